//! The JSON Schema of `summary.json`, generated from the types that `summary.json` is written from.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;

use crate::record::Summary;
use crate::report::ReportError;

/// JSON pointer to the name of a fault in the schema.
const FAULT: &str = "/$defs/RecoverySummary/properties/fault";

/// The content of docs/summary.schema.json. `faults` are the names of all faults: a summary has them as text only.
///
/// # Errors
/// When it cannot be serialised: a defect of this program.
pub fn schema(faults: &[&str]) -> Result<String, ReportError> {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(drop_format));
    let mut schema = settings.into_generator().into_root_schema_for::<Summary>();
    let fault = schema.pointer_mut(FAULT).and_then(|fault| fault.as_object_mut());
    fault.ok_or(ReportError::Schema(FAULT))?.insert("enum".to_owned(), faults.into());
    Ok(serde_json::to_string_pretty(&schema)? + "\n")
}

/// Removes the formats of numbers, such as `uint64`: the standard does not have them, and strict readers reject them.
fn drop_format(schema: &mut Schema) {
    schema.remove("format");
}

#[cfg(test)]
mod tests {
    use crate::fault::FaultKind;

    fn schema() -> String {
        super::schema(&FaultKind::names()).unwrap()
    }

    #[test]
    fn the_published_schema_matches_the_types() {
        let published = include_str!("../../docs/summary.schema.json");
        assert!(published == schema(), "renew it: steadfast schema > docs/summary.schema.json");
    }

    #[test]
    fn the_schema_has_no_formats_that_the_standard_lacks() {
        assert!(!schema().contains("\"format\""));
    }
}
