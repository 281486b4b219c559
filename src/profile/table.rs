//! A table of a profile's file whose keys depend on one of its values: `[[faults]]` on `fault`, `[load]` on `model`. It
//! keeps the span of each key, so that errors that are found later have their line.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Spanned, Value};

use crate::files::{FileError, Source, TableLines};
use crate::parameters::BadParameter;

/// The maximum edit distance between an unknown key and the key that the error suggests.
const MAX_TYPOS: usize = 2;

/// The keys of a table and their values, with spans.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Table(pub Spanned<BTreeMap<String, Spanned<Value>>>);

/// Reads a table.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The file.
    pub source: &'a Source,
    /// The table.
    pub table: &'a Table,
    /// The table's name.
    pub name: &'static str,
    /// The key on which the others depend.
    pub main: &'static str,
}

impl Reader<'_> {
    fn keys(&self) -> &BTreeMap<String, Spanned<Value>> {
        self.table.0.get_ref()
    }

    /// The span of a key; if it is missing, of the main key; if that is missing too, of the table.
    fn span(&self, key: &str) -> Range<usize> {
        let keys = self.keys();
        keys.get(key).or_else(|| keys.get(self.main)).map_or_else(|| self.table.0.span(), Spanned::span)
    }

    /// An error at the line of a key, or at the line of the main key if it is missing.
    pub fn invalid(&self, key: &str, message: impl Into<String>) -> FileError {
        self.source.invalid(self.span(key), Some(&format!("{}.{key}", self.name)), message)
    }

    /// An error that a fault or a load model has found.
    pub fn bad(&self, bad: BadParameter) -> FileError {
        self.invalid(bad.key.as_deref().unwrap_or(self.main), bad.message)
    }

    /// The lines of the table and its keys.
    pub fn lines(&self) -> TableLines {
        let line = |(key, value): (&String, &Spanned<Value>)| (key.clone(), self.source.line_of(&value.span()));
        TableLines {
            file: self.source.file.clone(),
            table: self.name,
            line: self.source.line_of(&self.span(self.main)),
            keys: self.keys().iter().map(line).collect(),
        }
    }

    /// Whether the table has a key.
    pub fn has(&self, key: &str) -> bool {
        self.keys().contains_key(key)
    }

    /// The value of a key, if the table has it.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, FileError> {
        let Some(value) = self.keys().get(key) else { return Ok(None) };
        serde_path_to_error::deserialize(value.get_ref().clone()).map(Some).map_err(|error| {
            let path = error.path().to_string();
            let key = if path == "." { key.to_owned() } else { format!("{key}.{path}") };
            self.source.invalid(value.span(), Some(&format!("{}.{key}", self.name)), error.inner().message())
        })
    }

    /// The value of a required key. `meaning` is the error message if it is missing.
    pub fn needs<T: DeserializeOwned>(&self, key: &str, meaning: &str) -> Result<T, FileError> {
        self.get(key)?.ok_or_else(|| self.invalid(key, meaning))
    }

    /// Refuses a key that is neither in `common` nor in `own`, the parameters of the faults or load models `names`.
    pub fn check_keys(&self, common: &[&str], names: &str, own: &[String]) -> Result<(), FileError> {
        let is_unknown = |key: &&String| !common.contains(&key.as_str()) && !own.contains(key);
        let Some(unknown) = self.keys().keys().find(is_unknown) else { return Ok(()) };
        let known = common.iter().copied().chain(own.iter().map(String::as_str));
        let near = known.map(|key| (strsim::damerau_levenshtein(key, unknown), key)).min();
        let message = match near {
            Some((distance, meant)) if distance <= MAX_TYPOS => {
                format!("there is no such key; did you mean `{meant}`?")
            }
            _ if own.is_empty() => format!("{names} has no parameters; remove `{unknown}`"),
            _ => format!("{names} has no parameter `{unknown}`; it has: {}", own.join(", ")),
        };
        Err(self.invalid(unknown, message))
    }

    /// All keys with their values.
    pub fn values(&self) -> BTreeMap<String, Value> {
        self.keys().iter().map(|(key, value)| (key.clone(), value.get_ref().clone())).collect()
    }
}
