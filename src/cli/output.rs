//! Words to standard output and standard error. A reader that has gone away (`| head`) is no error; whatever else keeps words
//! from being written is one, told in the end.

use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use crate::report::printable;

/// Why something could not be written to standard output.
static FAILURE: OnceLock<String> = OnceLock::new();

/// One piece of text for standard output.
pub fn line(text: &str) {
    keep(writeln!(io::stdout(), "{text}"));
}

/// Text for standard output that has its own line ends.
pub fn text(text: &str) {
    let mut stdout = io::stdout();
    keep(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// Why not all of the output is there, if it is not.
pub fn failure() -> Option<&'static str> {
    keep(io::stdout().flush());
    FAILURE.get().map(String::as_str)
}

fn keep(result: io::Result<()>) {
    if let Err(error) = result
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = FAILURE.set(error.to_string());
    }
}

/// A note for standard error. What a target says in it moves no cursor.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text));
}

/// An error for standard error.
pub fn error(text: &str) {
    let _ = writeln!(io::stderr(), "steadfast: {}", printable(text));
}
