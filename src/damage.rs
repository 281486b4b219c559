//! Damages real inputs at random to test parsers: changes, cuts, removes, copies and inserts bytes. A parser may return
//! any error; it must not panic, run forever or allocate memory without limit.
//!
//! Each such test takes two seconds. `DAMAGE_SECONDS=3600 cargo test --lib damaged` searches for an hour.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestError, TestRunner};

use crate::files::{self, Kind, Source};

/// One change to an input.
#[derive(Clone, Debug)]
enum Damage {
    /// Replaces one byte.
    Turned(Index, u8),
    /// Removes everything from a position on.
    CutAt(Index),
    /// Removes a piece.
    Without(Index, Index),
    /// Copies a piece to another position.
    Copied(Index, Index, Index),
    /// Inserts one of the words that have a meaning in the format.
    Inserted(Index, Index),
    /// Replaces a piece with one of these words.
    Replaced(Index, Index, Index),
}

fn any_damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Turned(at, byte)),
        1 => at().prop_map(Damage::CutAt),
        2 => (at(), at()).prop_map(|(from, to)| Damage::Without(from, to)),
        2 => (at(), at(), at()).prop_map(|(from, to, at)| Damage::Copied(from, to, at)),
        3 => (at(), at()).prop_map(|(at, what)| Damage::Inserted(at, what)),
        3 => (at(), at(), at()).prop_map(|(from, to, what)| Damage::Replaced(from, to, what)),
    ]
}

impl Damage {
    fn done_to(&self, bytes: &mut Vec<u8>, words: &[&[u8]]) {
        // Pieces have at most 23 bytes: a parser reads furthest into an input that is almost whole.
        let piece = |from: &Index, to: &Index, length: usize| {
            let from = from.index(length + 1);
            from..(from + to.index(24)).min(length)
        };
        let length = bytes.len();
        match self {
            Self::Turned(at, byte) if length > 0 => bytes[at.index(length)] = *byte,
            Self::Turned(..) => {}
            Self::CutAt(at) => bytes.truncate(at.index(length + 1)),
            Self::Without(from, to) => drop(bytes.drain(piece(from, to, length))),
            Self::Copied(from, to, at) => {
                let copy = bytes[piece(from, to, length)].to_vec();
                let at = at.index(length + 1);
                bytes.splice(at..at, copy);
            }
            Self::Inserted(at, what) => {
                let at = at.index(length + 1);
                bytes.splice(at..at, what.get(words).iter().copied());
            }
            Self::Replaced(from, to, what) => {
                bytes.splice(piece(from, to, length), what.get(words).iter().copied());
            }
        }
    }
}

fn damaged(whole: &[u8], damages: &[Damage], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for damage in damages {
        damage.done_to(&mut bytes, words);
    }
    bytes
}

/// Calls `read` with damaged forms of the inputs in `whole`; `words` are inserted. Panics with the smallest input that
/// fails.
pub fn survives(whole: &[Vec<u8>], words: &[&[u8]], read: impl Fn(&[u8])) {
    let limit =
        Duration::from_secs(std::env::var("DAMAGE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2));
    let began = Instant::now();
    let inputs = (any::<Index>(), vec(any_damage(), 1..6));
    while began.elapsed() < limit {
        // A new runner for each round, because a runner stops after its number of cases.
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&inputs, |(which, damages)| {
            read(&damaged(which.get::<Vec<u8>>(whole), &damages, words));
            Ok(())
        });
        if let Err(TestError::Abort(reason)) = &outcome {
            panic!("{reason}");
        }
        if let Err(TestError::Fail(reason, (which, damages))) = outcome {
            let bytes = damaged(which.get::<Vec<u8>>(whole), &damages, words);
            let file = std::env::temp_dir().join("steadfast-damaged-input");
            std::fs::write(&file, &bytes).unwrap();
            panic!("{reason}\n{damages:?}\nthe input is in {}", file.display());
        }
    }
}

/// The bundled files of a kind.
pub fn bundled(kind: Kind) -> Vec<Vec<u8>> {
    files::names(kind).iter().map(|name| files::find(kind, name).unwrap().text.into_bytes()).collect()
}

/// Bytes as a user's file.
pub fn as_source(bytes: &[u8]) -> Source {
    let text = String::from_utf8_lossy(bytes).into_owned();
    Source { name: "mine".to_owned(), file: "mine.toml".to_owned(), text }
}

/// Damages each of `files` in turn and calls `read` on the folder; the other files are whole.
pub fn each_survives(files: &[(String, Vec<u8>)], read: impl Fn(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    for (name, whole) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, whole).unwrap();
    }
    for (name, whole) in files {
        let path = folder.path().join(name);
        survives(std::slice::from_ref(whole), if name.ends_with(".parquet") { BINARY } else { TEXT }, |bytes| {
            std::fs::write(&path, bytes).unwrap();
            read(folder.path());
        });
        std::fs::write(path, whole).unwrap();
    }
}

/// Words that make a TOML or JSON file invalid or extreme.
pub const TEXT: &[&[u8]] = &[
    b"0",
    b"-1",
    b"1e300",
    b"1e-300",
    b"nan",
    b"inf",
    b"18446744073709551615",
    b"9223372036854775808",
    b"4294967296",
    b"\"\"",
    b"[]",
    b"{}",
    b"[[",
    b"]]",
    b"\n",
    b"\"",
    b" = ",
    b"1ns",
    b"\"1ns\"",
    b"\"99999999h\"",
    b"\"0s\"",
    b"null",
    b"true",
    b"../",
    b"\xff",
    b"\xf0\x9f\x98\x80",
    b"{{ x }}",
    b"{% for",
    b"every",
    b"\"every\"",
];

/// Byte patterns of numbers in binary formats.
pub const BINARY: &[&[u8]] = &[
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x00\x00\x00\x00",
    b"\x80\x80\x80\x80\x10",
];

mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "cannot stand this")]
    fn a_parser_that_panics_on_damage_is_found() {
        survives(&[b"answers = 1\n".to_vec()], TEXT, |bytes| {
            assert!(!bytes.ends_with(b"\"1ns\""), "cannot stand this");
        });
    }
}
