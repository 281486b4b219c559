//! `steadfast interfaces`: lists the network interfaces with their hardware addresses. It exists for containers that
//! contain only this program, without a shell.

use std::process::ExitCode;

use super::output;

/// Prints one line per interface: its name and its hardware address.
pub fn run() -> anyhow::Result<ExitCode> {
    for entry in std::fs::read_dir("/sys/class/net")?.flatten() {
        let address = std::fs::read_to_string(entry.path().join("address")).unwrap_or_default();
        output::line(&format!("{} {}", entry.file_name().to_string_lossy(), address.trim()));
    }
    Ok(ExitCode::SUCCESS)
}
