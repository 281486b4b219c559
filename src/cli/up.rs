//! `steadfast up` and `down`: start a target to try it by hand, and remove it.

use std::process::ExitCode;

use super::probe::nodes_of;
use super::runtime::{Chosen, Where, engines};
use super::usage::UsageError;
use super::{arguments, images, output};
use crate::cluster::Cluster;
use crate::cluster::docker::{DockerCluster, LASTING_RUN, Removal};
use crate::cluster::process::ProcessCluster;
use crate::run::bring_up;
use crate::topology::{CoreSets, Target};
use crate::values::AppNodes;

/// The name of the run to which everything that `up` starts belongs.
const RUN: &str = LASTING_RUN;

/// Arguments of `up`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A target's name, or the path of a target file
    target: String,
    /// App nodes, 2 to 32
    #[arg(long, value_name = "COUNT", default_value = "3", value_parser = arguments::nodes)]
    nodes: AppNodes,
    #[command(flatten)]
    place: Where,
}

/// Starts a target and leaves it running: containers until `down`, processes until Ctrl-C.
pub async fn up(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let target = Target::find(&arguments.target)?;
    let nodes = nodes_of(&target, arguments.nodes)?;
    if target.attached.is_some() {
        return Err(UsageError::new(format!("target {} runs already: there is nothing to start", target.name)).into());
    }
    let hosts = arguments.place.hosts.clone();
    let chosen = arguments.place.settle().await?;
    chosen.tell();
    match chosen {
        Chosen::Docker(engines) => {
            engines.check(&target, nodes)?;
            let images = images::of_target(&engines, &target).await?;
            // Random, to differ from a target that is up and from leftovers that could not be removed.
            let id = format!("{}-{:06x}", target.name, rand::random::<u32>() & 0x00ff_ffff);
            let cluster =
                DockerCluster::create(&engines, RUN, &id, &target, nodes, &images, &CoreSets::default()).await?;
            if !start(&cluster).await? {
                return Ok(ExitCode::from(130));
            }
            let hosts = hosts.map(|file| format!(" --hosts {file}")).unwrap_or_default();
            let ends = format!("`steadfast down{hosts}` removes it.");
            print_topology(&cluster, Some(&format!("steadfast-{RUN}-{id}-front")), &ends);
        }
        Chosen::Process { .. } => {
            let cluster = ProcessCluster::create(&std::env::current_exe()?, &target, nodes, &CoreSets::default())?;
            if !start(&cluster).await? {
                return Ok(ExitCode::from(130));
            }
            print_topology(&cluster, None, "It runs until Ctrl-C.");
            tokio::signal::ctrl_c().await?;
            cluster.destroy().await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts all nodes. Removes them again if that fails or the user interrupts it. Returns whether they run.
async fn start<C: Cluster>(cluster: &C) -> anyhow::Result<bool> {
    let started = tokio::select! {
        started = bring_up(cluster) => started,
        _ = tokio::signal::ctrl_c() => {
            cluster.destroy().await?;
            return Ok(false);
        }
    };
    if let Err(error) = started {
        return Err(error.and_then(cluster.destroy().await).into());
    }
    Ok(true)
}

/// `front` is the name of the front network in the engine, if it is one.
fn print_topology<C: Cluster>(cluster: &C, front: Option<&str>, how_it_ends: &str) {
    let topology = cluster.topology();
    output::line(&format!("{} is up: {}", topology.target.name, topology.target.shows));
    for node in &topology.nodes {
        let address = |(network, address)| match node.ports.get(network) {
            Some(port) => format!("{network} {address}:{port}"),
            None => format!("{network} {address}"),
        };
        let addresses: Vec<String> = node.addresses.iter().map(address).collect();
        let host = cluster.host_of(&node.name).map(|host| format!(", on {host}")).unwrap_or_default();
        output::line(&format!("  {:<10} {}{host}", node.name, addresses.join(", ")));
    }
    if let Some(endpoint) = topology.endpoints().first() {
        let cookies = "-c jar -b jar";
        let tries = match &topology.target.session {
            None => format!(
                "  curl {cookies} -d '{{\"owner\":\"me\",\"bytes\":10}}' http://{endpoint}/session\n  curl {cookies} http://{endpoint}/session"
            ),
            Some(mapping) => mapping
                .login
                .iter()
                .map(|step| format!("  curl -i {cookies} http://{endpoint}{}", step.path))
                .take(1)
                .collect(),
        };
        let has_hosts = topology.nodes.iter().any(|node| cluster.host_of(&node.name).is_some());
        let place = match front.filter(|_| has_hosts) {
            Some(front) => {
                format!("In a container on its front network (`docker run --network {front}`, on any of its hosts)")
            }
            None => "Where its nodes run on this machine".to_owned(),
        };
        output::line(&format!("{place}, try:\n{tries}\n{how_it_ends}"));
    }
}

/// Arguments of `down`.
#[derive(clap::Args)]
pub struct Down {
    /// Of the machines that this file names, where `up` was given it
    #[arg(long, value_name = "FILE")]
    hosts: Option<String>,
}

/// Removes what `up` started.
pub async fn down(arguments: Down) -> anyhow::Result<ExitCode> {
    let engines = engines(arguments.hosts.as_deref()).await?;
    let removed = engines.remove(Removal::Run(RUN)).await?;
    output::line(&format!("removed {}", removed.counts));
    removed.complete()?;
    Ok(ExitCode::SUCCESS)
}
