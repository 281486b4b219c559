//! `steadfast clean`: removes everything of steadfast from the engine.

use std::process::ExitCode;

use super::output;
use crate::cluster::docker::{Engine, Leftovers, remove_images};
use crate::hosts::{Host, Hosts};

/// Arguments of `clean`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Remove the images too; the next run builds them again
    #[arg(long)]
    images: bool,
    /// Of all machines that this file names, even if they cannot run a cluster together now
    #[arg(long, value_name = "FILE")]
    hosts: Option<String>,
}

/// Removes containers, networks and volumes of all runs, including runs in progress.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Some(file) = &arguments.hosts else {
        return clean(&Engine::connect().await?, arguments.images).await.map(|()| ExitCode::SUCCESS);
    };
    let hosts = Hosts::read(file)?;
    let mut failed = false;
    // The manager comes last: its networks can go when no other engine has a container in them.
    let mut order: Vec<&Host> = hosts.iter().collect();
    order.sort_by_key(|host| hosts.is_manager(host));
    for host in order {
        let cleaned = async { clean(&Engine::of_host(host, file).await?, arguments.images).await };
        output::line(&format!("{}:", host.name));
        if let Err(error) = cleaned.await {
            output::line(&format!("{error:#}"));
            failed = true;
        }
    }
    if failed {
        output::line(&format!(
            "not all of it is gone; when each host is back, run `steadfast clean --hosts {file}` again"
        ));
    }
    Ok(if failed { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

async fn clean(engine: &Engine, with_images: bool) -> anyhow::Result<()> {
    let removed = Leftovers::find(engine, None).await?.remove(engine).await?;
    output::line(&format!("removed {}", removed.counts));
    if with_images {
        output::line(&format!("removed {} images", remove_images(engine).await?));
    }
    removed.complete()?;
    Ok(())
}
