//! The JSON Schema of `summary.json`, from the types that it is written from.

use crate::record::Summary;

/// As it stands in docs/summary.schema.json.
///
/// # Errors
/// When it cannot be laid out: a defect of this program.
pub fn schema() -> Result<String, String> {
    let schema = schemars::schema_for!(Summary);
    serde_json::to_string_pretty(&schema).map(|text| text + "\n").map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schema_is_that_of_the_types() {
        let published = include_str!("../../docs/summary.schema.json");
        assert!(published == schema().unwrap(), "renew it: steadfast schema > docs/summary.schema.json");
    }
}
