//! Queries: what is taken out of a reply, in Hurl's words (<https://hurl.dev/docs/capturing-response.html>): `status`,
//! `header "Name"`, `cookie "name"`, `body`, `jsonpath "$.a"`, `regex /a(b)/` or `regex "a(b)"`.

use std::fmt;

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json_path::JsonPath;

/// What a query looks at.
pub trait Answered {
    /// The status code.
    fn status(&self) -> u16;
    /// The first header of that name, whatever its case.
    fn header(&self, name: &str) -> Option<String>;
    /// The value of a cookie that the reply sets.
    fn cookie(&self, name: &str) -> Option<String>;
    /// The body as text; bytes that are no UTF-8 are replaced.
    fn text(&self) -> std::borrow::Cow<'_, str>;
    /// The body as JSON; none where it is not.
    fn json(&self) -> Option<&Value>;
}

/// A query that has been understood.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Query {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Status,
    Header(String),
    Cookie(String),
    Body,
    JsonPath(JsonPath),
    Regex(Regex),
}

impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Query {
    /// The first value that it finds, as text; none where it finds nothing.
    pub fn first(&self, reply: &impl Answered) -> Option<String> {
        match &self.kind {
            Kind::JsonPath(path) => path.query(reply.json()?).first().and_then(scalar),
            Kind::Regex(regex) => captured(regex, &reply.text()).next(),
            _ => self.plain(reply),
        }
    }

    /// Every value that it finds, in the order of the reply. None where it does not apply: a JSON path to a body that is no
    /// JSON, a header that is not there. An empty list is an answer.
    pub fn all(&self, reply: &impl Answered) -> Option<Vec<String>> {
        match &self.kind {
            Kind::JsonPath(path) => Some(path.query(reply.json()?).iter().filter_map(|value| scalar(value)).collect()),
            Kind::Regex(regex) => Some(captured(regex, &reply.text()).collect()),
            _ => self.plain(reply).map(|value| vec![value]),
        }
    }

    fn plain(&self, reply: &impl Answered) -> Option<String> {
        match &self.kind {
            Kind::Status => Some(reply.status().to_string()),
            Kind::Header(name) => reply.header(name),
            Kind::Cookie(name) => reply.cookie(name),
            Kind::Body => Some(reply.text().into_owned()),
            Kind::JsonPath(_) | Kind::Regex(_) => None,
        }
    }
}

/// Each match: its first group, or without groups the whole.
fn captured<'a>(regex: &'a Regex, text: &'a str) -> impl Iterator<Item = String> {
    regex.captures_iter(text).filter_map(|captures| Some(captures.get(1).or(captures.get(0))?.as_str().to_owned()))
}

/// As a user would see it; none for what has parts.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The text between double quotes, in which `\"` and `\\` stand for themselves.
fn quoted(text: &str) -> Result<String, String> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let inner = inner.ok_or_else(|| format!("`{text}` must stand in double quotes"))?;
    Ok(inner.replace("\\\"", "\"").replace("\\\\", "\\"))
}

const KINDS: &str = "status, header \"Name\", cookie \"name\", body, jsonpath \"$.a\", regex /a(b)/";

impl TryFrom<String> for Query {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let trimmed = text.trim();
        let (word, argument) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
        let argument = argument.trim();
        let kind = match (word, argument) {
            ("status", "") => Kind::Status,
            ("body", "") => Kind::Body,
            ("header", name) => Kind::Header(quoted(name)?),
            ("cookie", name) => Kind::Cookie(quoted(name)?),
            ("jsonpath", path) => {
                let path = quoted(path)?;
                Kind::JsonPath(JsonPath::parse(&path).map_err(|error| format!("`{path}` is no JSON path: {error}"))?)
            }
            ("regex", pattern) => {
                let slashes = pattern.strip_prefix('/').and_then(|pattern| pattern.strip_suffix('/'));
                let pattern = slashes.map_or_else(|| quoted(pattern), |pattern| Ok(pattern.replace("\\/", "/")))?;
                Kind::Regex(Regex::new(&pattern).map_err(|error| error.to_string())?)
            }
            _ => return Err(format!("`{trimmed}` is not a query; there are: {KINDS}")),
        };
        Ok(Self { text: trimmed.to_owned(), kind })
    }
}

impl From<Query> for String {
    fn from(query: Query) -> Self {
        query.text
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    struct Page(&'static str, Option<Value>);

    impl Answered for Page {
        fn status(&self) -> u16 {
            303
        }

        fn header(&self, name: &str) -> Option<String> {
            (name == "Location").then(|| "/cart".to_owned())
        }

        fn cookie(&self, name: &str) -> Option<String> {
            (name == "id").then(|| "7".to_owned())
        }

        fn text(&self) -> Cow<'_, str> {
            self.0.into()
        }

        fn json(&self) -> Option<&Value> {
            self.1.as_ref()
        }
    }

    fn page(text: &'static str) -> Page {
        Page(text, serde_json::from_str(text).ok())
    }

    fn query(text: &str) -> Query {
        Query::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn every_kind_finds_its_values() {
        let html = page("<input name=\"_csrf\" value=\"a1\"><li>x</li><li>y</li>");
        let first = |text: &str, page: &Page| query(text).first(page);
        assert_eq!(first("status", &html).as_deref(), Some("303"));
        assert_eq!(first("header \"Location\"", &html).as_deref(), Some("/cart"));
        assert_eq!(first("cookie \"id\"", &html).as_deref(), Some("7"));
        assert_eq!(first("cookie \"other\"", &html), None);
        assert_eq!(first("regex /name=\"_csrf\" value=\"([^\"]+)\"/", &html).as_deref(), Some("a1"));
        assert_eq!(first("regex \"<li>\"", &html).as_deref(), Some("<li>"));
        assert_eq!(query("regex /<li>(.)<\\/li>/").all(&html), Some(vec!["x".to_owned(), "y".to_owned()]));
        assert_eq!(first("jsonpath \"$.user\"", &html), None, "it is no JSON");
        let json = page("{\"user\": \"s1\", \"count\": 3, \"items\": [\"a\", \"b\"], \"none\": []}");
        assert_eq!(first("jsonpath \"$.user\"", &json).as_deref(), Some("s1"));
        assert_eq!(first("jsonpath \"$.count\"", &json).as_deref(), Some("3"));
        assert_eq!(query("jsonpath \"$.items[*]\"").all(&json), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(query("jsonpath \"$.none[*]\"").all(&json), Some(Vec::new()));
    }

    #[test]
    fn what_is_no_query_is_refused_with_those_that_there_are() {
        let refused = |text: &str| Query::try_from(text.to_owned()).unwrap_err();
        assert!(refused("xpath \"//a\"").ends_with("regex /a(b)/"));
        assert!(refused("header Location").contains("double quotes"));
        assert!(refused("jsonpath \"user\"").contains("is no JSON path"));
        assert!(refused("regex /(/").contains("unclosed group"));
        assert!(refused("status 3").contains("is not a query"));
    }
}
