//! The line between a node and the driver that started it as a child process: the node's standard input
//! and output. The first line in is its configuration, each further one asks for its counters, and the end
//! means that the driver is gone: then the node ends too, whatever it is doing. A thread of its own
//! does this, so that a busy node obeys as well.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use super::counters::Counts;

/// What the driver says to be answered with [`Counts`] as one line of JSON.
pub const ASK_COUNTS: &str = "counts";

/// Reads the configuration: a JSON string on the first line.
///
/// # Errors
/// When the line is missing or is not a JSON string.
pub fn read_config() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    serde_json::from_str(&line)
        .map_err(|error| io::Error::other(format!("no configuration on standard input: {error}")))
}

/// Answers the driver in a thread of its own, and ends the process when the driver is gone. Then `file`, which
/// the driver would have removed, is removed here.
///
/// # Errors
/// When the thread cannot be started.
pub fn obey(file: Option<PathBuf>) -> io::Result<()> {
    std::thread::Builder::new().name("driver".to_owned()).spawn(move || answer_until_gone(file.as_deref())).map(drop)
}

fn answer_until_gone(file: Option<&Path>) {
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if line != ASK_COUNTS {
            continue;
        }
        let Ok(counts) = serde_json::to_string(&Counts::now()) else { break };
        let mut output = io::stdout().lock();
        if writeln!(output, "{counts}").and_then(|()| output.flush()).is_err() {
            break;
        }
    }
    if let Some(file) = file {
        let _ = std::fs::remove_file(file);
        // Only if nothing else is in it.
        let _ = file.parent().map(std::fs::remove_dir);
    }
    std::process::exit(0);
}
