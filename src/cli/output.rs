//! Words to standard output and standard error. A reader that has gone away (`| head`) is no error.

use std::io::Write;

/// One piece of text for standard output.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Text for standard output that has its own line ends.
pub fn text(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A note for standard error.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// An error for standard error.
pub fn error(text: &str) {
    let _ = writeln!(std::io::stderr(), "steadfast: {text}");
}
