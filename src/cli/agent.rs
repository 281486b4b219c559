//! `steadfast agent`: the process that generates the traffic, inside a container.

use std::process::ExitCode;

/// Runs until the driver closes the control channel.
pub fn run() -> anyhow::Result<ExitCode> {
    crate::agent::run()?;
    Ok(ExitCode::SUCCESS)
}
