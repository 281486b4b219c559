//! The JSON Schema of `summary.json`, from the types that it is written from.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;

use crate::record::Summary;

/// As it stands in docs/summary.schema.json.
///
/// # Errors
/// When it cannot be laid out: a defect of this program.
pub fn schema() -> Result<String, String> {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(drop_format));
    let schema = settings.into_generator().into_root_schema_for::<Summary>();
    serde_json::to_string_pretty(&schema).map(|text| text + "\n").map_err(|error| error.to_string())
}

/// Formats of numbers (`uint64`) are no formats of the standard, and strict readers refuse them.
fn drop_format(schema: &mut Schema) {
    schema.remove("format");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schema_is_that_of_the_types() {
        let published = include_str!("../../docs/summary.schema.json");
        assert!(published == schema().unwrap(), "renew it: steadfast schema > docs/summary.schema.json");
    }

    #[test]
    fn the_schema_has_no_formats_that_the_standard_lacks() {
        assert!(!schema().unwrap().contains("\"format\""));
    }
}
