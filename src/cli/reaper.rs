//! `steadfast reaper`: removes the leftovers of a driver that is gone.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cluster::docker;
use crate::cluster::reaper::{remove_folder, wait_for_the_driver};

/// Arguments of `reaper`.
#[derive(clap::Args)]
pub struct Arguments {
    /// What carries this run's label in the engine
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// All but this container, in which it runs itself
    #[arg(long, value_name = "CONTAINER", requires = "run")]
    spare: Option<String>,
    /// Run this command: what undoes a fault that reaches beyond the nodes
    #[arg(last = true, value_name = "COMMAND")]
    heal: Vec<String>,
    /// A folder
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Waits until standard input ends, which happens when the driver ends. Then heals and removes, unless the driver has
/// already done that.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if !wait_for_the_driver()? {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some((program, words)) = arguments.heal.split_first() {
        let status = std::process::Command::new(program).args(words).status()?;
        anyhow::ensure!(status.success(), "{program} ended with {status}");
    }
    if let Some(folder) = &arguments.folder {
        remove_folder(folder)?;
    }
    if let Some(run) = &arguments.run {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(docker::reap(run, arguments.spare.as_deref()))?;
    }
    Ok(ExitCode::SUCCESS)
}
