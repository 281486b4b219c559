//! Text with `{{variables}}`, as Hurl writes them. Read once; a request is written from its pieces.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// The value of a variable.
    Variable(String),
}

/// Text with variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    pieces: Vec<Piece>,
}

impl Template {
    /// Its pieces, in their order.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// With everything that is no variable changed, for records.
    #[must_use]
    pub(super) fn with_text(&self, change: impl Fn(&str) -> String) -> Self {
        let changed = |piece: &Piece| match piece {
            Piece::Text(text) => Piece::Text(change(text)),
            Piece::Variable(name) => Piece::Variable(name.clone()),
        };
        Self { pieces: self.pieces.iter().map(changed).collect() }
    }

    /// The names of its variables.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }
}

/// Whether a text can be the name of a variable.
#[must_use]
pub fn is_variable_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or_else(|| format!("`{{{{` is never closed in `{text}`"))?;
            let name = name.trim();
            if !is_variable_name(name) {
                return Err(format!("`{name}` is not a name of a variable: letters, digits, `_` and `-`"));
            }
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Variable(name.to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { pieces })
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.to_string()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Variable(name) => write!(f, "{{{{{name}}}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Result<Template, String> {
        Template::try_from(text.to_owned())
    }

    #[test]
    fn variables_are_found_and_the_text_is_kept() {
        let read = template("/users/{{owner}}/cart?x={{ op }}").unwrap();
        assert_eq!(read.variables().collect::<Vec<_>>(), ["owner", "op"]);
        assert_eq!(read.to_string(), "/users/{{owner}}/cart?x={{op}}");
        assert_eq!(template("").unwrap().pieces(), []);
        assert_eq!(template("{\"a\": {}}").unwrap().variables().count(), 0);
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        assert_eq!(template("a {{owner").unwrap_err(), "`{{` is never closed in `a {{owner`");
        assert!(template("{{a b}}").unwrap_err().starts_with("`a b` is not a name"));
        assert!(template("{{}}").is_err());
    }
}
