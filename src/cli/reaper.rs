//! `steadfast reaper`: removes what a driver left that is gone.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cluster::docker;
use crate::cluster::reaper::{remove_folder, wait_for_the_driver};

/// What `reaper` takes.
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

/// Waits for the end of standard input, and then removes.
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
