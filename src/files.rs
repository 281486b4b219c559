//! Finds the files of profiles, targets and images, and reports invalid ones.
//!
//! The bundled files are embedded in the binary, so that it works from any folder. A profile or target of the same name
//! below the current folder takes precedence, so that users can change one or add their own. This module knows TOML and
//! line numbers; it does not know what the files mean.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rust_embed::Embed;
use serde::de::DeserializeOwned;
use thiserror::Error;

#[derive(Embed)]
#[folder = "profiles/"]
struct Profiles;

#[derive(Embed)]
#[folder = "targets/"]
struct Targets;

#[derive(Embed)]
#[folder = "docker/"]
struct Images;

/// The two kinds of files that users write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A description of what to do to targets.
    Profile,
    /// A topology that can be started.
    Target,
}

impl Kind {
    fn folder(self) -> &'static str {
        match self {
            Self::Profile => "profiles",
            Self::Target => "targets",
        }
    }

    fn embedded(self, name: &str) -> Option<Vec<u8>> {
        let file = format!("{name}.toml");
        let found = match self {
            Self::Profile => Profiles::get(&file),
            Self::Target => Targets::get(&file),
        };
        found.map(|file| file.data.into_owned())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Profile => "profile",
            Self::Target => "target",
        })
    }
}

/// Why a file cannot be used, with the line if it is known.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FileError {
    /// The file exists, but its content is invalid.
    #[error("{file}:{line}: {}{message}", key.as_ref().map(|key| format!("`{key}`: ")).unwrap_or_default())]
    Invalid {
        /// The path as the user would type it.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// The dotted key, if the error is about a key.
        key: Option<String>,
        /// The mistake, and what is allowed.
        message: String,
    },
    /// There is no such file.
    #[error("no {kind} is called `{name}`; there are: {}", known.join(", "))]
    Unknown {
        /// Profile or target.
        kind: &'static str,
        /// The name that was requested.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// The file cannot be read.
    #[error("{file}: {message}")]
    Unreadable {
        /// The path as the user would type it.
        file: String,
        /// The system's reason.
        message: String,
    },
}

/// The lines of a table and its keys, for errors that are found only after the file has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableLines {
    /// The path as the user would type it.
    pub file: String,
    /// The table's name.
    pub table: &'static str,
    /// Its first line, counted from 1.
    pub line: usize,
    /// The line of each key.
    pub keys: BTreeMap<String, usize>,
}

impl TableLines {
    /// An error at the line of `key`, or at the line of the table if the table does not have the key.
    #[must_use]
    pub fn invalid(&self, key: &str, message: impl Into<String>) -> FileError {
        FileError::Invalid {
            file: self.file.clone(),
            line: self.keys.get(key).copied().unwrap_or(self.line),
            key: Some(format!("{}.{key}", self.table)),
            message: message.into(),
        }
    }
}

/// The text of a file, and its name for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name without folder and extension.
    pub name: String,
    /// The path as the user would type it.
    pub file: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// An error about the text at `span` (bytes).
    #[must_use]
    pub fn invalid(&self, span: Range<usize>, key: Option<&str>, message: impl Into<String>) -> FileError {
        FileError::Invalid {
            file: self.file.clone(),
            line: self.line_of(&span),
            key: key.map(str::to_owned),
            message: message.into(),
        }
    }

    /// The line in which `span` (bytes) begins, counted from 1.
    #[must_use]
    pub fn line_of(&self, span: &Range<usize>) -> usize {
        self.text.get(..span.start).unwrap_or(&self.text).matches('\n').count() + 1
    }

    /// Reads the text as TOML into `T`.
    ///
    /// # Errors
    /// Names file, line and key, and what is allowed there.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, FileError> {
        let deserializer = toml::Deserializer::parse(&self.text)
            .map_err(|error| self.invalid(error.span().unwrap_or(0..0), None, error.message()))?;
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            // `Spanned` adds the name of its private field to the path.
            let path = error
                .path()
                .to_string()
                .replace(".$__serde_spanned_private_value", "")
                .replace("$__serde_spanned_private_value.", "");
            let inner = error.into_inner();
            let key = (path != ".").then_some(path.as_str());
            self.invalid(inner.span().unwrap_or(0..0), key, inner.message())
        })
    }
}

/// In characters; limited because names of targets and profiles become names of folders and containers.
const MAX_NAME_LENGTH: usize = 64;

fn is_name(text: &str) -> bool {
    let is_within = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.len() <= MAX_NAME_LENGTH
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(is_within)
}

/// The problem with a name, if it is none.
#[must_use]
pub fn name_problem(text: &str) -> Option<String> {
    (!is_name(text)).then(|| {
        format!(
            "`{text}` is not a name: it is made of letters, digits, `.`, `_` and `-`, begins with a letter or a digit, and has at most {MAX_NAME_LENGTH} of them"
        )
    })
}

/// Finds a file by its name, or by its path if `name` contains a `/` or ends in `.toml`.
///
/// # Errors
/// If the file does not exist (with the names that exist), cannot be read, or has an invalid name.
pub fn find(kind: Kind, name: &str) -> Result<Source, FileError> {
    let is_path = is_path(name);
    let path = if is_path { name.to_owned() } else { format!("{}/{name}.toml", kind.folder()) };
    let stem = Path::new(&path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    if let Some(message) = stem.as_deref().and_then(name_problem) {
        return Err(FileError::Unreadable { file: path, message });
    }
    let source = |text| Source { name: stem.unwrap_or_else(|| name.to_owned()), file: path.clone(), text };
    if is_path || Path::new(&path).is_file() {
        let unreadable =
            |error: std::io::Error| FileError::Unreadable { file: path.clone(), message: error.to_string() };
        return std::fs::read_to_string(&path).map(source).map_err(unreadable);
    }
    bundled(kind, name)
}

/// The bundled file of this name, even if the current folder has a file of the same name.
///
/// # Errors
/// If no bundled file has this name.
pub fn bundled(kind: Kind, name: &str) -> Result<Source, FileError> {
    let bytes = kind.embedded(name).ok_or_else(|| unknown(kind, name))?;
    Ok(Source {
        name: name.to_owned(),
        file: format!("{}/{name}.toml", kind.folder()),
        text: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

fn unknown(kind: Kind, name: &str) -> FileError {
    FileError::Unknown {
        kind: if kind == Kind::Profile { "profile" } else { "target" },
        name: name.to_owned(),
        known: names(kind),
    }
}

/// The path of the file in the current folder that replaces the bundled one of the same name and differs from it, if
/// any.
#[must_use]
pub fn stands_before_bundled(kind: Kind, name: &str) -> Option<String> {
    let path = format!("{}/{name}.toml", kind.folder());
    let local = std::fs::read(&path).ok()?;
    kind.embedded(name).is_some_and(|bundled| bundled != local).then_some(path)
}

/// Whether `name` is the path of a file, not the name of a profile or target.
#[must_use]
pub fn is_path(name: &str) -> bool {
    name.contains('/') || Path::new(name).extension().is_some_and(|ending| ending == "toml")
}

/// The names of all profiles or targets, bundled and in the current folder, sorted and without duplicates.
#[must_use]
pub fn names(kind: Kind) -> Vec<String> {
    let bundled: Vec<String> = match kind {
        Kind::Profile => Profiles::iter().map(std::borrow::Cow::into_owned).collect(),
        Kind::Target => Targets::iter().map(std::borrow::Cow::into_owned).collect(),
    };
    let local = std::fs::read_dir(kind.folder()).into_iter().flatten().flatten();
    let mut names: Vec<String> = bundled
        .into_iter()
        .chain(local.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .filter_map(|file| file.strip_suffix(".toml").map(str::to_owned))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// All files of an image together may have so many bytes: they are the context of its build.
const MAX_IMAGE_BYTES: u64 = 256 * 1024 * 1024;

/// The files of an image, by their path in its folder. `image` is a name, or the path of a folder if it has a `/`. A folder
/// `docker/` below the current one is found before the bundled one. Empty if there is no such image.
#[must_use]
pub fn image_files(image: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = if image.contains('/') { PathBuf::from(image) } else { Path::new("docker").join(image) };
    if image.contains('/') || folder.join("image.toml").is_file() {
        return files_below(&folder).unwrap_or_default();
    }
    let prefix = format!("{image}/");
    Images::iter()
        .filter_map(|path| {
            let inside = path.strip_prefix(&prefix)?.to_owned();
            Some((inside, Images::get(&path)?.data.into_owned()))
        })
        .collect()
}

/// The regular files below a folder, by their path in it.
///
/// # Errors
/// When one cannot be read, or they are too large together.
pub fn files_below(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut found = BTreeMap::new();
    let (mut folders, mut left) = (vec![folder.to_owned()], MAX_IMAGE_BYTES);
    while let Some(next) = folders.pop() {
        let failed = |error: std::io::Error| format!("{}: {error}", next.display());
        for entry in std::fs::read_dir(&next).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let facts = std::fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            if facts.is_dir() {
                folders.push(path);
            } else if facts.is_file() {
                let too_large = || format!("{}: an image has at most {MAX_IMAGE_BYTES} bytes", folder.display());
                left = left.checked_sub(facts.len()).ok_or_else(too_large)?;
                let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                let inside = path.strip_prefix(folder).unwrap_or(&path);
                found.insert(inside.to_string_lossy().into_owned(), bytes);
            }
        }
    }
    Ok(found)
}

/// The names of all images, sorted.
#[must_use]
pub fn image_names() -> Vec<String> {
    let mut names: Vec<String> = Images::iter().filter_map(|path| Some(path.split_once('/')?.0.to_owned())).collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only its errors are looked at")]
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its errors are looked at")]
        rate: u32,
    }

    fn error_of(text: &str) -> String {
        let source = Source { name: "x".into(), file: "profiles/x.toml".into(), text: text.into() };
        source.parse::<Outer>().unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_what_is_allowed() {
        insta::assert_snapshot!(error_of("\n[inner]\nrate = 1\nrat = 2\n"), @"profiles/x.toml:4: `inner.rat`: unknown field `rat`, expected `rate`");
    }

    #[test]
    fn a_wrong_type_is_named_with_its_line_and_key() {
        insta::assert_snapshot!(error_of("[inner]\n\nrate = \"fast\"\n"), @r#"profiles/x.toml:3: `inner.rate`: invalid type: string "fast", expected u32"#);
    }

    #[test]
    fn a_missing_key_is_named() {
        insta::assert_snapshot!(error_of("[inner]\n"), @"profiles/x.toml:1: `inner`: missing field `rate`");
    }

    #[test]
    fn broken_toml_is_named_with_its_line() {
        assert!(error_of("[inner]\nrate = = 1\n").starts_with("profiles/x.toml:2: "));
    }

    #[test]
    fn an_unknown_target_is_answered_with_the_ones_that_exist() {
        let message = find(Kind::Target, "tomcat-dleta").unwrap_err().to_string();
        assert!(message.starts_with("no target is called `tomcat-dleta`; there are: "), "{message}");
        assert!(message.contains("tomcat-delta"), "{message}");
    }
}
