//! Writes to standard output and standard error. A closed pipe (`| head`) is not an error; any other failed write to
//! standard output is reported at the end.

use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use crate::report::printable;

/// The first error of writing to standard output.
static FAILURE: OnceLock<String> = OnceLock::new();

/// Writes text and a line end to standard output.
pub fn line(text: &str) {
    keep(writeln!(io::stdout(), "{text}"));
}

/// Writes text that has its own line ends to standard output.
pub fn text(text: &str) {
    let mut stdout = io::stdout();
    keep(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// Writes the line of a check that holds.
pub fn good(text: &str) {
    line(&format!("ok    {text}"));
}

/// Writes the line of a check that does not keep a run from starting.
pub fn warn(text: &str) {
    line(&format!("note  {text}"));
}

/// Writes the line of a check that keeps a run from starting.
pub fn bad(text: &str) {
    line(&format!("FAIL  {text}"));
}

/// Flushes standard output. Returns the first write error, if there was one.
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

/// Writes a note to standard error, without control characters, because the text may come from a target.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text));
}

/// Writes an error to standard error.
pub fn error(text: &str) {
    let _ = writeln!(io::stderr(), "steadfast: {}", printable(text));
}
