//! The parameters of a fault as a profile gives them: which keys it takes, which it needs, and what is wrong with one.
//! The keys come from the type that holds them, so that they are said once.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::values::{Share, Time, short};

/// How long a node that is asked to end has until it is killed, where the profile does not say.
pub const DEFAULT_GRACE: Time = Time::from_millis(10_000);

/// For `#[serde(default = …)]`.
pub const fn default_grace() -> Time {
    DEFAULT_GRACE
}

/// What is wrong with a fault's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadParameter {
    /// The key; none where it is missing.
    pub key: Option<String>,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// The keys of a fault's parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// All of them, in the order of the alphabet.
    pub all: Vec<String>,
    /// Those without a default.
    pub required: Vec<String>,
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
            required: required.into_iter().flatten().filter_map(|key| key.as_str().map(str::to_owned)).collect(),
        }
    }
}

/// Reads the parameters of the fault `name`.
///
/// # Errors
/// Which key is missing or wrong, and why.
pub fn read<T: DeserializeOwned + JsonSchema>(
    name: &str,
    given: &BTreeMap<String, toml::Value>,
) -> Result<T, BadParameter> {
    let keys = Keys::of::<T>();
    if let Some(key) = keys.required.iter().find(|key| !given.contains_key(*key)) {
        return Err(BadParameter { key: None, message: format!("`{name}` needs `{key}`") });
    }
    let own = given.iter().filter(|(key, _)| keys.all.contains(key));
    let table: toml::Table = own.map(|(key, value)| (key.clone(), value.clone())).collect();
    serde_path_to_error::deserialize(table).map_err(|error| BadParameter {
        key: error.path().iter().next().map(ToString::to_string),
        message: error.into_inner().message().to_owned(),
    })
}

/// A share of packets that is enough to be seen: of fewer than one in ten thousand a trial may not send one.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Share", into = "f64")]
#[schemars(with = "f64")]
pub struct PacketShare(f64);

impl PacketShare {
    const MIN: f64 = 0.0001;

    /// More than 0, at most 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<Share> for PacketShare {
    type Error = String;

    fn try_from(share: Share) -> Result<Self, String> {
        if share.get() >= Self::MIN {
            return Ok(Self(share.get()));
        }
        Err(format!("{} is too small to be seen: it takes {} to 1", short(share.get()), Self::MIN))
    }
}

impl From<PacketShare> for f64 {
    fn from(share: PacketShare) -> Self {
        share.0
    }
}

/// As people read it.
impl std::fmt::Display for PacketShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} %", self.0 * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_fault_are_the_fields_of_its_type() {
        #[derive(Deserialize, JsonSchema)]
        #[expect(dead_code, reason = "only its keys are looked at")]
        struct Parameters {
            share: PacketShare,
            #[serde(default = "default_grace")]
            grace: Time,
        }
        let keys = Keys::of::<Parameters>();
        assert_eq!((keys.all, keys.required), (vec!["grace".into(), "share".into()], vec!["share".into()]));
        let error = |share: f64| read::<Parameters>("loss", &[("share".into(), share.into())].into()).err().unwrap();
        assert_eq!(error(2.0).key.unwrap(), "share");
        assert_eq!(error(1e-12).message, "1e-12 is too small to be seen: it takes 0.0001 to 1");
    }
}
