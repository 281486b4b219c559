//! `steadfast probe`: starts a target, lets one user log in, read, write and log out, and shows each request, what came back and
//! what can be judged. The first thing to run on a target of one's own.

use std::process::ExitCode;

use super::runtime::{Chosen, Where};
use super::{arguments, attached, images, output};
use crate::agent::protocol::{Exchange, Walk};
use crate::check::{Guarantee, why_not};
use crate::cluster::Cluster;
use crate::cluster::attached::AttachedCluster;
use crate::cluster::docker::{DockerCluster, Watch};
use crate::cluster::process::ProcessCluster;
use crate::files;
use crate::mapping::SessionMapping;
use crate::run::{Probed, probe, watch_run};
use crate::topology::{CoreSets, Target};
use crate::values::AppNodes;

/// Arguments of `probe`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A target's name, or the path of a target file
    target: String,
    /// App nodes, 2 to 32
    #[arg(long, value_name = "COUNT", default_value = "2", value_parser = arguments::nodes)]
    nodes: AppNodes,
    /// Send requests to a system that runs already and is neither on this machine nor in a private network
    #[arg(long)]
    yes_this_is_my_system: bool,
    #[command(flatten)]
    place: Where,
}

/// Probes a target. The exit code is 2 if its file does not describe it.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let target = Target::find(&arguments.target)?;
    let nodes = nodes_of(&target, arguments.nodes)?;
    attached::check(&target, arguments.yes_this_is_my_system, files::is_path(&arguments.target)).await?;
    let chosen = arguments.place.settle_for(&[&target]).await?;
    chosen.tell();
    let program = std::env::current_exe()?;
    let probed = match (chosen, &target.attached) {
        (Chosen::Docker(engines), attached) => {
            let images = images::of_target(&engines, &target).await?;
            let name = format!("probe-{:06x}", rand::random::<u32>() & 0x00ff_ffff);
            let watches = engines.on_all(async |engine| watch_run(engine, &images, &program, &name).await).await?;
            let (of, cores) = ((name.as_str(), target.name.as_str()), CoreSets::default());
            let probed = if let Some(attached) = attached {
                let cluster = AttachedCluster::create(&program, &target, attached, 1, &cores).await?;
                probed(&cluster.from_other_machines(&engines, of, &images).await?).await
            } else {
                probed(&DockerCluster::create(&engines, of.0, of.1, &target, nodes, &images, &cores).await?).await
            };
            for watch in watches {
                dismiss(watch).await;
            }
            probed?
        }
        (Chosen::Process { .. }, Some(attached)) => {
            probed(&AttachedCluster::create(&program, &target, attached, 1, &CoreSets::default()).await?).await?
        }
        (Chosen::Process { .. }, None) => {
            let cluster = ProcessCluster::create(&program, &target, nodes, &CoreSets::default())?;
            probed(&cluster).await?
        }
    };
    let Some(probed) = probed else { return Ok(ExitCode::from(130)) };
    output::text(&describe(&target, &arguments.target, &probed));
    let is_understood = probed.walk.failure.is_none() && probed.nodes.is_empty();
    Ok(if is_understood { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// How many app nodes there are: as many as asked for, unless the target has a certain number.
pub(super) fn nodes_of(target: &Target, asked: AppNodes) -> anyhow::Result<u8> {
    Ok(match target.fixed_app_nodes() {
        Some(there) => u8::try_from(there)?,
        None => u8::try_from(asked.get())?,
    })
}

/// Probes a cluster and removes it, also if the user interrupts it; none then.
async fn probed<C: Cluster>(cluster: &C) -> anyhow::Result<Option<Probed>> {
    output::note(&format!("starting {}, then walking through it", cluster.topology().target.name));
    let probed = tokio::select! {
        probed = probe(cluster) => Some(probed),
        _ = tokio::signal::ctrl_c() => {
            output::note("interrupted: removing what was started");
            None
        }
    };
    match (probed.transpose(), cluster.destroy().await) {
        (Err(error), destroyed) => Err(error.and_then(destroyed).into()),
        (Ok(probed), destroyed) => Ok(destroyed.map(|()| probed)?),
    }
}

/// Ends a reaper that has nothing to remove.
pub(super) async fn dismiss(watch: Watch) {
    // Only reported: the answer is there.
    if let Err(error) = watch.dismiss().await {
        output::note(&error.to_string());
    }
}

fn describe(target: &Target, given: &str, probed: &Probed) -> String {
    let mut text = format!("{}: {}\n", target.name, target.shows);
    match &target.session {
        Some(mapping) => {
            text.push_str(&walk_in_words(&probed.walk));
            if probed.walk.failure.is_none() {
                text.push_str(&judged_in_words(mapping));
            }
        }
        None => text.push_str(
            "It has no `[session]` table, so its app must speak the session contract (docker/CONTRACT.md); `steadfast init --har` writes that table of a browser's recording.\n",
        ),
    }
    for failure in &probed.nodes {
        text.push_str(&format!("\n{failure}\n"));
    }
    if probed.walk.failure.is_none() && probed.nodes.is_empty() {
        text.push_str(&format!("\nEach app node answers as it should. Next: steadfast run quick --target {given}\n"));
    }
    text
}

fn walk_in_words(walk: &Walk) -> String {
    let mut text = String::new();
    for Exchange { operation, step, request, reply, body, node, captured } in &walk.exchanges {
        text.push_str(&format!("\n{operation}, step {step}: {request}\n  {reply}  {body}\n"));
        if let Some(node) = node {
            text.push_str(&format!("  answered by {node}\n"));
        }
        for (name, value) in captured {
            text.push_str(&format!("  captured {name} = \"{value}\"\n"));
        }
    }
    if let Some(failure) = &walk.failure {
        text.push_str(&format!("\nThe file does not describe this app yet:\n  {failure}\n"));
    }
    text
}

fn judged_in_words(mapping: &SessionMapping) -> String {
    let evidence = mapping.evidence();
    let mut text = format!("\nA read shows {}.\n", evidence.describe());
    for guarantee in Guarantee::ALL.into_iter().filter(|guarantee| guarantee.is_of_every_load()) {
        let judged = why_not(evidence, guarantee).map_or("judged".to_owned(), |reason| format!("not judged: {reason}"));
        text.push_str(&format!("  {:<18} {judged}\n", guarantee.name()));
    }
    text
}
