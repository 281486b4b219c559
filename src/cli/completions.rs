//! `steadfast completions` and `steadfast man`: a shell's completion script, and the manual page.

use std::process::ExitCode;

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;

use super::output;

/// Arguments of `completions`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The shell that shall complete
    shell: Shell,
}

/// Prints the completion script of a shell.
pub fn completions(arguments: &Arguments, mut command: Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "steadfast", &mut script);
    output::text(&String::from_utf8(script)?);
    Ok(ExitCode::SUCCESS)
}

/// Prints the manual page in roff, with the arguments of each verb.
pub fn man(command: Command) -> anyhow::Result<ExitCode> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.flatten_help(true)).render(&mut page).context("writing the manual")?;
    output::text(&String::from_utf8(page)?);
    Ok(ExitCode::SUCCESS)
}
