//! `steadfast doctor`: what this machine and its engine can and cannot do, and how to fix it.

use std::process::ExitCode;

use super::{hosts, images, output};
use crate::cluster::docker::compose::Tool;
use crate::cluster::docker::{
    Engine, EngineFacts, ImageState, Images, Leftovers, NO_SIGN, TOOLBOX, missing_by_itself, missing_in_the_kernel,
};
use crate::cluster::process;
use crate::fault::FaultKind;
use crate::hosts::Hosts;

/// The memory that three Tomcat nodes, their balancer and the agent need.
const ENOUGH_MEMORY_BYTES: u64 = 3 * 1024 * 1024 * 1024;

/// Arguments of `doctor`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Check the machines that this file names, and what they need to run a cluster together
    #[arg(long, value_name = "FILE")]
    hosts: Option<String>,
    /// Also start a container on each of these machines, say what passes between them, and remove all of it
    #[arg(long, requires = "hosts")]
    overlay: bool,
}

/// Prints one line per check. Exits with 3 if no run is possible.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let Some(file) = &arguments.hosts {
        return hosts::check(&Hosts::read(file)?, arguments.overlay).await;
    }
    processes();
    let engine = match Engine::find().await {
        Ok(Some(engine)) => engine,
        Ok(None) => {
            output::warn(&format!(
                "no Docker engine: {NO_SIGN}\n      runs use reference nodes as processes: `steadfast run quick`"
            ));
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => {
            output::bad(&error.to_string());
            return Ok(ExitCode::from(3));
        }
    };
    print_engine(engine.facts());
    let can_run = check_images(&engine).await?;
    if can_run {
        faults(&engine).await?;
    }
    match Tool::find(Some(&engine)).await {
        Ok(tool) => output::good(&format!("targets of Compose files are started by {}", tool.name())),
        Err(error) => output::warn(&format!("targets of Compose files cannot be started: {error}")),
    }
    let leftovers = Leftovers::find(&engine, None).await?;
    if leftovers.is_empty() {
        output::good("nothing of an earlier run is left");
    } else {
        output::warn(&format!(
            "leftovers of an aborted run or of `up`, or a run in progress: {}; `steadfast clean` removes them",
            leftovers.counts()
        ));
    }
    Ok(if can_run { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// Prints the engine, its cores and memory, and its warnings.
fn print_engine(facts: &EngineFacts) {
    output::good(&format!(
        "{} (API {}) at {}\n      {}, kernel {}, cgroup v{}, {}{}",
        facts.name(),
        facts.api_version,
        facts.found_at,
        facts.operating_system,
        facts.kernel,
        facts.cgroup_version,
        facts.storage_driver,
        if facts.is_rootless { ", rootless" } else { "" }
    ));
    match facts.cores {
        0 | 1 => output::warn(&format!(
            "{} core: the generator will disturb what it measures; take two or more",
            facts.cores
        )),
        cores => output::good(&format!("{cores} cores")),
    }
    let gib = facts.memory_bytes as f64 / f64::from(1u32 << 30);
    if facts.memory_bytes < ENOUGH_MEMORY_BYTES {
        output::warn(&format!(
            "{gib:.1} GiB of memory: three Tomcat nodes want 3; give the engine more, or run with --nodes 2"
        ));
    } else {
        output::good(&format!("{gib:.1} GiB of memory"));
    }
    for warning in &facts.warnings {
        output::warn(&format!("the engine warns: {warning}"));
    }
}

/// Prints what the runtime `process` can do on this machine.
fn processes() {
    if process::is_whole_loopback() {
        output::good("reference nodes can run as processes, each with its own loopback address");
    } else {
        output::warn(
            "reference nodes can run as processes, all on 127.0.0.1: targets whose balancer tells clients by address cannot",
        );
    }
    if !cfg!(target_os = "linux") {
        output::warn("memory and CPU time of processes are measured on Linux only");
    }
}

async fn check_images(engine: &Engine) -> anyhow::Result<bool> {
    let known = Images::new(engine, &|_| {});
    let states = match known.states(&images::all()).await {
        Ok(states) => {
            output::good("this program can be put into an empty image");
            states
        }
        Err(error) => {
            output::bad(&error.to_string());
            return Ok(false);
        }
    };
    let missing: Vec<&str> =
        states.iter().filter(|(_, state)| **state == ImageState::Missing).map(|(name, _)| name.as_str()).collect();
    if missing.is_empty() {
        output::good("all images are built");
        return Ok(true);
    }
    output::warn(&format!(
        "images not built yet: {}; the first run builds those that it needs, `steadfast images build` all",
        missing.join(", ")
    ));
    Ok(match known.check_root().await {
        Ok(text) => {
            output::good(&text);
            true
        }
        Err(error) => {
            output::bad(&error.to_string());
            false
        }
    })
}

/// Prints which faults are supported here. Checking them needs the image with the network tools.
async fn faults(engine: &Engine) -> anyhow::Result<()> {
    let states = Images::new(engine, &|_| {}).states(&[TOOLBOX.to_owned()]).await?;
    let Some(ImageState::Present { reference }) = states.get(TOOLBOX) else {
        output::warn("network faults were not checked: the image `toolbox` is not built; run `steadfast images build`");
        return Ok(());
    };
    let mut missing = missing_by_itself(engine.facts());
    missing.extend(missing_in_the_kernel(engine, reference, "doctor").await?);
    let cannot = |kind: &&FaultKind| kind.needs.iter().any(|ability| missing.contains_key(ability));
    let words = |kinds: Vec<&FaultKind>| kinds.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
    let (lacking, possible) = FaultKind::ALL.iter().copied().partition::<Vec<_>, _>(cannot);
    output::good(&format!("faults that can be done: {}", words(possible)));
    for (ability, why) in &missing {
        let kinds = lacking.iter().copied().filter(|kind| kind.needs.contains(ability)).collect();
        output::warn(&format!("unsupported here: {}: {why}", words(kinds)));
    }
    Ok(())
}
