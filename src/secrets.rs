//! Masks secrets in commands, because records are shown to others. Works on words and text only; the command that is
//! run is not changed.

use serde::{Serialize, Serializer};

/// Stands for a secret.
pub const MASK: &str = "***";

/// Parts of option, variable and header names whose values are secrets.
const NAMES: [&str; 9] =
    ["password", "passwd", "secret", "token", "authorization", "api-key", "apikey", "api_key", "credential"];

/// Returns the words of a command with secrets masked: the user in a URL, and the value of an option, a variable or a
/// header whose name contains one of [`NAMES`].
#[must_use]
pub fn masked(words: &[impl AsRef<str>]) -> Vec<String> {
    let mut is_value_of_secret = false;
    let word = |word: &str| {
        let shown = if std::mem::take(&mut is_value_of_secret) { MASK.to_owned() } else { masked_text(word) };
        is_value_of_secret = word.starts_with('-') && !word.contains(['=', ' ']) && names_a_secret(word);
        shown
    };
    words.iter().map(AsRef::as_ref).map(word).collect()
}

/// Serializes the words with secrets masked.
///
/// # Errors
/// When the serializer fails.
pub fn serialize<S: Serializer>(words: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    masked(words).serialize(serializer)
}

/// Masks one word, which may be a whole script.
fn masked_text(text: &str) -> String {
    let mut shown = String::new();
    let mut in_header = false;
    for token in text.split_inclusive(char::is_whitespace) {
        let bare = token.trim_end();
        let space = &token[bare.len()..];
        let end = bare.find(['\'', '"']).filter(|at| *at > 0);
        if in_header {
            // The value ends at the closing quote or at the end of the text.
            if let Some(end) = end {
                in_header = false;
                shown += MASK;
                shown += &bare[end..];
                shown += space;
            }
            continue;
        }
        in_header = bare.ends_with(':') && names_a_secret(bare);
        match bare.split_once('=') {
            Some((name, value)) if names_a_secret(name) && !value.is_empty() => {
                shown += name;
                shown += "=";
                shown += MASK;
            }
            _ => shown += &without_user(bare),
        }
        shown += space;
    }
    if in_header {
        shown += MASK;
    }
    shown
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    NAMES.iter().any(|secret| name.contains(secret))
}

/// Masks the user in `//user:secret@host`.
fn without_user(word: &str) -> String {
    let masked = word.split_once("//").and_then(|(scheme, rest)| {
        let end = rest.find('/').unwrap_or(rest.len());
        let (before, after) = rest.split_at(end);
        let (_, host) = before.rsplit_once('@')?;
        Some(format!("{scheme}//{MASK}@{host}{after}"))
    });
    masked.unwrap_or_else(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &[&str]) -> String {
        masked(words).join(" ")
    }

    #[test]
    fn secrets_are_masked_in_a_command() {
        for (words, masked) in [
            (&["load", "http://me:s3cret@shop/x@y"][..], "load http://***@shop/x@y"),
            (&["ctl", "--password", "s3cret", "stop"], "ctl --password *** stop"),
            (&["ctl", "--api-key=s3cret", "stop"], "ctl --api-key=*** stop"),
            (&["env", "DB_PASSWORD=s3cret", "ctl"], "env DB_PASSWORD=*** ctl"),
            (&["curl", "-H", "Authorization: Bearer s3cret", "shop"], "curl -H Authorization: *** shop"),
            (
                &["sh", "-c", "curl -H 'X-Token: s3 cret' shop; TOKEN=s3cret ctl"],
                "sh -c curl -H 'X-Token: ***' shop; TOKEN=*** ctl",
            ),
        ] {
            assert_eq!(shown(words), masked);
        }
    }

    #[test]
    fn everything_else_stays() {
        for words in [
            &["run", "--rate", "200", "http://shop/a@b"][..],
            &["sh", "-c", "kill -9 $(cat /run/app.pid) && echo done"],
            &[],
        ] {
            assert_eq!(shown(words), words.join(" "));
        }
    }
}
