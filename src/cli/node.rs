//! `steadfast node`: a reference node, as a child process of a run or inside a container.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::reference::{self, Origin, Role};

/// Arguments of `node`.
#[derive(clap::Args)]
pub struct Arguments {
    role: RoleName,
    /// Take the configuration from standard input, and end when it ends
    #[arg(long)]
    driven: bool,
    /// The configuration, where standard input does not bring it
    #[arg(long, default_value = "/node.toml")]
    config: PathBuf,
    /// Serve nothing: say whether the node of this configuration takes connections
    #[arg(long)]
    is_up: bool,
    /// Where a durable store keeps its changes
    #[arg(long, default_value = "/store.changes")]
    store_file: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum RoleName {
    App,
    Balancer,
    Store,
}

/// Serves until the process is ended, or only checks the node with `--is-up`.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let role = match arguments.role {
        RoleName::App => Role::App,
        RoleName::Balancer => Role::Balancer,
        RoleName::Store => Role::Store,
    };
    if arguments.is_up {
        return Ok(if reference::is_up(role, &arguments.config)? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let origin = if arguments.driven { Origin::Driver } else { Origin::File(arguments.config) };
    reference::run(role, &origin, &arguments.store_file)?;
    Ok(ExitCode::SUCCESS)
}
