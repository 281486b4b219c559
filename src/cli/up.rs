//! `steadfast up` and `down`: a target to look at.

use std::process::ExitCode;

use super::{arguments, images, output};
use crate::cluster::Cluster;
use crate::cluster::docker::{DockerCluster, Engine, Leftovers, RUN_LABEL};
use crate::profile::Within;
use crate::run::bring_up;
use crate::target::Target;

/// The run's name of everything that `up` starts.
const RUN: &str = "up";

/// What `up` takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// A target's name, or the path of a target file
    target: String,
    /// App nodes, 2 to 8
    #[arg(long, value_name = "COUNT", default_value = "3", value_parser = arguments::nodes)]
    nodes: Within<2, 8>,
}

/// Starts a target and leaves it running.
pub async fn up(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let target = Target::find(&arguments.target)?;
    let engine = Engine::connect().await?;
    let images = images::build(&engine, &images::needed(std::iter::once(&target))).await?;
    let nodes = u8::try_from(arguments.nodes.get())?;
    let cluster = DockerCluster::create(&engine, RUN, &target.name, &target, nodes, &images).await?;
    let started = tokio::select! {
        started = bring_up(&cluster) => started,
        _ = tokio::signal::ctrl_c() => {
            cluster.destroy().await?;
            return Ok(ExitCode::from(130));
        }
    };
    if let Err(error) = started {
        cluster.destroy().await?;
        return Err(error.into());
    }
    output::line(&format!("{} is up: {}", target.name, target.shows));
    for node in &cluster.topology().nodes {
        let addresses: Vec<String> = node
            .addresses
            .iter()
            .map(|(network, address)| format!("{network} {address}:{}", node.image.port))
            .collect();
        output::line(&format!("  {:<10} {}", node.name, addresses.join(", ")));
    }
    if let Some((address, port)) = cluster.topology().entrance() {
        output::line(&format!(
            "Where the engine runs on this machine, try:\n  curl -c jar -b jar -d '{{\"owner\":\"me\",\"bytes\":10}}' http://{address}:{port}/session\n  curl -c jar -b jar http://{address}:{port}/session\n`steadfast down` removes it."
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes what `up` started.
pub async fn down() -> anyhow::Result<ExitCode> {
    let engine = Engine::connect().await?;
    let leftovers = Leftovers::find(&engine, Some(&format!("{RUN_LABEL}={RUN}"))).await?;
    let removed = leftovers.remove(&engine).await?;
    output::line(&format!("removed {removed}"));
    Ok(ExitCode::SUCCESS)
}
