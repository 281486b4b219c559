//! Steps: the requests of which an operation consists.

use std::collections::BTreeMap;

use form_urlencoded::byte_serialize;
use serde::{Deserialize, Serialize};

use super::pattern::ReplyPattern;
use super::query::Query;
use super::template::{Piece, Template};
use crate::secrets;

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads; a client may send it twice.
    Get,
    /// Changes something.
    Post,
    /// Puts something in place of what is there.
    Put,
    /// Changes a part.
    Patch,
    /// Removes something.
    Delete,
}

impl Method {
    /// As it stands in a request.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// How the values of variables are escaped in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`.
    Json,
    /// Not at all; a header says what it is.
    Plain,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// How values are escaped.
    pub encoding: Encoding,
    /// What it is written from; escaped already but for the values of variables.
    pub template: Template,
}

/// What the reply to a step shows of the session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shows {
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Query>,
    /// The operations that it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<Query>,
    /// Whether these stand in the order in which they were applied.
    #[serde(default)]
    pub ordered: bool,
    /// How many operations it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counter: Option<Query>,
}

impl Shows {
    /// Whether it shows nothing.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.owner.is_none() && self.operations.is_none() && self.counter.is_none()
    }
}

/// One request and what its reply must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// How it asks.
    pub method: Method,
    /// For what: a path of the app, with its query.
    pub path: Template,
    /// Headers beside those that every request has.
    pub headers: BTreeMap<String, Template>,
    /// The body; none without.
    pub body: Option<Body>,
    /// What is taken out of the reply, by the name of the variable.
    pub capture: BTreeMap<String, Query>,
    /// What the reply must be; without it a success or a redirect.
    pub expect: Option<ReplyPattern>,
    /// Whether redirects are followed.
    pub follow: bool,
    /// What the last reply shows of the session.
    pub shows: Shows,
}

impl Step {
    /// For plans and records: headers and bodies with their variables alone, and a path without the values of secrets.
    pub(super) fn without_secrets(&self) -> Self {
        let hidden = |template: &Template| template.with_text(|_| secrets::MASK.to_owned());
        Self {
            path: self.path.with_text(|text| secrets::masked(&[text]).concat()),
            headers: self.headers.iter().map(|(name, value)| (name.clone(), hidden(value))).collect(),
            body: self.body.as_ref().map(|body| Body { template: hidden(&body.template), ..body.clone() }),
            ..self.clone()
        }
    }
}

/// A step as it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepFile {
    get: Option<Template>,
    post: Option<Template>,
    put: Option<Template>,
    patch: Option<Template>,
    delete: Option<Template>,
    #[serde(default)]
    headers: BTreeMap<String, Template>,
    form: Option<BTreeMap<String, Template>>,
    json: Option<serde_json::Value>,
    body: Option<Template>,
    #[serde(default)]
    capture: BTreeMap<String, Query>,
    expect: Option<ReplyPattern>,
    #[serde(default)]
    follow: bool,
    owner: Option<Query>,
    operations: Option<Query>,
    ordered: Option<bool>,
    counter: Option<Query>,
}

impl StepFile {
    /// The step.
    ///
    /// # Errors
    /// What contradicts itself, and what is allowed.
    pub fn check(self) -> Result<Step, String> {
        let asked = [
            (Method::Get, self.get),
            (Method::Post, self.post),
            (Method::Put, self.put),
            (Method::Patch, self.patch),
            (Method::Delete, self.delete),
        ];
        let mut asked = asked.into_iter().filter_map(|(method, path)| Some((method, path?)));
        let (Some((method, path)), None) = (asked.next(), asked.next()) else {
            return Err("a step has one of `get`, `post`, `put`, `patch`, `delete` with a path".to_owned());
        };
        if !path.to_string().starts_with('/') && !matches!(path.pieces().first(), Some(Piece::Variable(_))) {
            return Err(format!("`{path}` is not a path of the app: it begins with `/`"));
        }
        let body = match (self.form, self.json, self.body) {
            (None, None, None) => None,
            (Some(form), None, None) => Some(Body { encoding: Encoding::Form, template: form_template(&form)? }),
            (None, Some(json), None) => {
                Some(Body { encoding: Encoding::Json, template: Template::try_from(json.to_string())? })
            }
            (None, None, Some(template)) => Some(Body { encoding: Encoding::Plain, template }),
            _ => return Err("a step has one of `form`, `json` and `body`".to_owned()),
        };
        if self.operations.is_some() && self.counter.is_some() {
            return Err("a reply shows `operations` or a `counter`, not both".to_owned());
        }
        if self.ordered.is_some() && self.operations.is_none() {
            return Err("`ordered` goes with `operations`".to_owned());
        }
        if self.expect.as_ref().is_some_and(ReplyPattern::is_empty) {
            return Err("`expect` names a `status`, a `location` or a `body`".to_owned());
        }
        Ok(Step {
            method,
            path,
            headers: self.headers,
            body,
            capture: self.capture,
            expect: self.expect,
            follow: self.follow,
            shows: Shows {
                owner: self.owner,
                ordered: self.operations.is_some() && self.ordered.unwrap_or(true),
                operations: self.operations,
                counter: self.counter,
            },
        })
    }
}

/// Names and values as forms send them.
fn form_template(form: &BTreeMap<String, Template>) -> Result<Template, String> {
    let mut text = String::new();
    for (name, value) in form {
        if !text.is_empty() {
            text.push('&');
        }
        text.extend(byte_serialize(name.as_bytes()));
        text.push('=');
        for piece in value.pieces() {
            match piece {
                Piece::Text(part) => text.extend(byte_serialize(part.as_bytes())),
                Piece::Variable(name) => text.push_str(&format!("{{{{{name}}}}}")),
            }
        }
    }
    Template::try_from(text)
}

impl Encoding {
    /// What the body is, where that is known.
    #[must_use]
    pub const fn content_type(self) -> Option<&'static str> {
        match self {
            Self::Form => Some("application/x-www-form-urlencoded"),
            Self::Json => Some("application/json"),
            Self::Plain => None,
        }
    }

    /// Appends a value, escaped.
    pub fn put(self, value: &str, into: &mut Vec<u8>) {
        match self {
            Self::Form => byte_serialize(value.as_bytes()).for_each(|part| into.extend_from_slice(part.as_bytes())),
            Self::Json => {
                // It is within the quotes of a string. Text can always be written.
                let quoted = serde_json::to_string(value).unwrap_or_default();
                into.extend_from_slice(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().as_bytes());
            }
            Self::Plain => into.extend_from_slice(value.as_bytes()),
        }
    }
}
