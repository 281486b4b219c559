//! The keys of a table that are told by one of its values, such as the name of a fault or of a load model: which there are,
//! which are needed, and what is wrong with one. They come from the type that holds them, so that they are said once.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

/// What is wrong with a table's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadParameter {
    /// The key; none where it is missing.
    pub key: Option<String>,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// The keys that a type takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// All of them, in the order of the alphabet.
    pub all: Vec<String>,
    /// Those without a default, with what they say.
    pub required: Vec<(String, String)>,
}

impl Keys {
    /// Those of a type, from its fields.
    #[must_use]
    pub fn of<T: JsonSchema>() -> Self {
        // A type that is but another one's parameters would else be a reference to it.
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

/// What the documentation of a field says, as the end of a sentence.
fn meaning(schema: &Schema, key: &str) -> String {
    let text =
        schema.pointer(&format!("/properties/{key}/description")).and_then(|text| text.as_str()).unwrap_or_default();
    let mut letters = text.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

impl BadParameter {
    /// A key and what is wrong with it.
    pub fn new(key: &str, message: impl Into<String>) -> Self {
        Self { key: Some(key.to_owned()), message: message.into() }
    }
}

/// Reads the keys of what `name` stands for.
///
/// # Errors
/// Which key is missing or wrong, and why.
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
