//! `steadfast interfaces`: the network interfaces with their hardware addresses, for containers that hold this
//! program and nothing else, no shell either.

use std::process::ExitCode;

use super::output;

/// Prints a line for each: its name and its hardware address.
pub fn run() -> anyhow::Result<ExitCode> {
    for entry in std::fs::read_dir("/sys/class/net")?.flatten() {
        let address = std::fs::read_to_string(entry.path().join("address")).unwrap_or_default();
        output::line(&format!("{} {}", entry.file_name().to_string_lossy(), address.trim()));
    }
    Ok(ExitCode::SUCCESS)
}
