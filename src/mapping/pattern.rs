//! Patterns of replies: how an app says that it does not know a session, and what a step expects.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::query::Answered;

/// A reply that has all of what stands in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyPattern {
    /// One of these status codes.
    #[serde(default)]
    pub status: Option<Statuses>,
    /// Its `Location` header; `*` at the end stands for whatever follows. An address of the same app may be given by its path.
    #[serde(default)]
    pub location: Option<String>,
    /// Text that its body contains.
    #[serde(default)]
    pub body: Option<String>,
}

/// A status code, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Statuses {
    /// One.
    One(u16),
    /// One of these.
    Any(Vec<u16>),
}

impl Statuses {
    fn has(&self, status: u16) -> bool {
        match self {
            Self::One(one) => *one == status,
            Self::Any(all) => all.contains(&status),
        }
    }
}

impl ReplyPattern {
    /// Whether it asks for nothing, and so would match every reply.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.status.is_none() && self.location.is_none() && self.body.is_none()
    }

    /// Whether a reply has all of it.
    pub fn matches(&self, reply: &impl Answered) -> bool {
        self.status.as_ref().is_none_or(|statuses| statuses.has(reply.status()))
            && self
                .location
                .as_ref()
                .is_none_or(|location| reply.header("Location").is_some_and(|shown| leads_to(location, &shown)))
            && self.body.as_ref().is_none_or(|text| reply.text().contains(text.as_str()))
    }
}

/// Whether an address is what a pattern says.
fn leads_to(pattern: &str, shown: &str) -> bool {
    let path = match shown.split_once("://") {
        // As some frameworks write it: with the host.
        Some((_, rest)) if pattern.starts_with('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => shown,
    };
    match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == pattern,
    }
}

impl fmt::Display for ReplyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match &self.status {
            Some(Statuses::One(status)) => parts.push(status.to_string()),
            Some(Statuses::Any(statuses)) => {
                parts.push(statuses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "));
            }
            None => {}
        }
        parts.extend(self.location.as_ref().map(|location| format!("a redirect to {location}")));
        parts.extend(self.body.as_ref().map(|text| format!("a body with `{text}`")));
        f.write_str(&if parts.is_empty() { "any reply".to_owned() } else { parts.join(" with ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_recognised_with_and_without_its_host() {
        assert!(leads_to("/login*", "/login?next=/cart"));
        assert!(leads_to("/login*", "http://app:8080/login?next=/cart"));
        assert!(leads_to("/login", "/login") && !leads_to("/login", "/login?x"));
        assert!(!leads_to("/login*", "/cart") && !leads_to("/login*", "https://other"));
        assert!(leads_to("https://id.example/*", "https://id.example/auth"));
    }

    #[test]
    fn a_pattern_is_told_in_words() {
        let pattern =
            ReplyPattern { status: Some(Statuses::Any(vec![302, 303])), location: Some("/login*".into()), body: None };
        assert_eq!(pattern.to_string(), "302 or 303 with a redirect to /login*");
    }
}
