//! `steadfast clean`: removes everything of steadfast from the engine.

use std::process::ExitCode;

use super::output;
use crate::cluster::docker::{Engine, Leftovers, remove_images};

/// Arguments of `clean`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Remove the images too; the next run builds them again
    #[arg(long)]
    images: bool,
}

/// Removes containers, networks and volumes of all runs, including runs in progress.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let engine = Engine::connect().await?;
    let removed = Leftovers::find(&engine, None).await?.remove(&engine).await?;
    output::line(&format!("removed {}", removed.counts));
    if arguments.images {
        output::line(&format!("removed {} images", remove_images(&engine).await?));
    }
    removed.complete()?;
    Ok(ExitCode::SUCCESS)
}
