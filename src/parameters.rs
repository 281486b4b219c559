//! The keys of a table that depend on one of its values, such as the name of a fault or of a load model: the allowed
//! keys, the required keys, and their errors. They are derived from the type that holds them, so that they are defined
//! once.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

/// An error in the keys of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadParameter {
    /// The key; `None` if it is missing.
    pub key: Option<String>,
    /// The mistake, and what is allowed.
    pub message: String,
}

/// The keys that a type takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// All keys, in alphabetical order.
    pub all: Vec<String>,
    /// Keys without a default, each with its meaning.
    pub required: Vec<(String, String)>,
}

impl Keys {
    /// The keys of a type: the names of its fields.
    #[must_use]
    pub fn of<T: JsonSchema>() -> Self {
        // Inlined, because the schema of a type that only wraps another one would otherwise be a reference to it.
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<T>();
        let all = schema.get("properties").and_then(|keys| keys.as_object());
        let required = schema.get("required").and_then(|keys| keys.as_array());
        Self {
            all: all.into_iter().flat_map(|keys| keys.keys().cloned()).collect(),
            required: required
                .into_iter()
                .flatten()
                .filter_map(|key| key.as_str())
                .map(|key| (key.to_owned(), meaning(&schema, key)))
                .collect(),
        }
    }
}

/// The doc comment of a field as the end of a sentence: its first letter in lower case, without the full stop.
fn meaning(schema: &Schema, key: &str) -> String {
    let text =
        schema.pointer(&format!("/properties/{key}/description")).and_then(|text| text.as_str()).unwrap_or_default();
    let mut letters = text.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

impl BadParameter {
    /// An error about `key`.
    pub fn new(key: &str, message: impl Into<String>) -> Self {
        Self { key: Some(key.to_owned()), message: message.into() }
    }
}

/// Reads the parameters of the fault or load model `name`; ignores other keys.
///
/// # Errors
/// Names the key that is missing or wrong, and why.
pub fn read<T: DeserializeOwned + JsonSchema>(
    name: &str,
    given: &BTreeMap<String, toml::Value>,
) -> Result<T, BadParameter> {
    let keys = Keys::of::<T>();
    if let Some((key, meaning)) = keys.required.iter().find(|(key, _)| !given.contains_key(key)) {
        return Err(BadParameter { key: None, message: format!("`{name}` needs `{key}`: {meaning}") });
    }
    let own = given.iter().filter(|(key, _)| keys.all.contains(key));
    let table: toml::Table = own.map(|(key, value)| (key.clone(), value.clone())).collect();
    serde_path_to_error::deserialize(table).map_err(|error| BadParameter {
        key: error.path().iter().next().map(ToString::to_string),
        message: error.into_inner().message().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::values::{Share, Time};

    #[test]
    fn the_keys_are_the_fields_of_the_type() {
        #[derive(Debug, Deserialize, JsonSchema)]
        #[expect(dead_code, reason = "only its keys are looked at")]
        struct Parameters {
            /// How many of them.
            share: Share,
            #[serde(default)]
            grace: Time,
        }
        let keys = Keys::of::<Parameters>();
        assert_eq!(keys.all, ["grace", "share"]);
        assert_eq!(keys.required, [("share".to_owned(), "how many of them".to_owned())]);
        let error = |key: &str, value: f64| read::<Parameters>("it", &[(key.into(), value.into())].into()).unwrap_err();
        assert_eq!(error("share", 2.0), BadParameter::new("share", "2 is not a share: it takes 0 to 1"));
        assert_eq!(error("grace", 2.0).message, "`it` needs `share`: how many of them");
    }
}
