//! Connects a node with the driver that started it as a child process, over the node's standard input and output. The
//! first input line is the configuration; each later line [`ASK_COUNTS`] asks for the counters. The end of the input
//! means that the driver is gone; then the node exits at once. This runs in its own thread, so that a busy node reacts
//! too.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use super::counters::Counts;

/// The driver's request for [`Counts`], answered with one line of JSON.
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

/// Answers the driver in its own thread. When the driver is gone, removes `file`, which the driver would have removed,
/// and ends the process.
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
        // Succeeds only if the folder is empty.
        let _ = file.parent().map(std::fs::remove_dir);
    }
    std::process::exit(0);
}
