//! `steadfast hosts`: joins the engines of several machines to a swarm; and what `doctor --hosts` says of them.

use std::process::ExitCode;

use anyhow::Context;

use super::probe::dismiss;
use super::{images, output};
use crate::cluster::ClusterError;
use crate::cluster::docker::overlay;
use crate::cluster::docker::swarm::{self, Member};
use crate::cluster::docker::{Engines, Removal, TOOLBOX};
use crate::hosts::Hosts;
use crate::run::watch_run;

/// Arguments of `hosts`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Make a swarm of these engines, or take in those that are in none; a swarm that is there stays as it is
    Join {
        /// The file that names the machines and their engines
        #[arg(value_name = "FILE")]
        file: String,
    },
}

/// Runs the sub-verb.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let What::Join { file } = arguments.what;
    let hosts = Hosts::read(&file)?;
    let members = swarm::ask(&hosts).await.into_iter().collect::<Result<Vec<_>, ClusterError>>()?;
    let done = swarm::join(&hosts, &members).await?;
    for line in &done {
        output::line(line);
    }
    if done.is_empty() {
        output::line("all are members already");
    }
    check(&hosts, false).await
}

/// Prints a line for each host, and what keeps them from running a cluster together. Exits with 3 if something does. `overlay`
/// asks for more: whether packets pass between them.
pub async fn check(hosts: &Hosts, overlay: bool) -> anyhow::Result<ExitCode> {
    let (mut members, mut problems) = (Vec::new(), Vec::new());
    for asked in swarm::ask(hosts).await {
        match asked {
            Ok(member) => {
                print(hosts, &member);
                members.push(member);
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    problems.extend(swarm::problems_of(hosts, &members).await?);
    let mut passes_bytes = None;
    if problems.is_empty() && overlay {
        let Some(paths) = paths(hosts).await? else { return Ok(ExitCode::from(130)) };
        problems.extend(paths.iter().filter_map(|path| path.problem(&hosts.file)));
        passes_bytes = paths.iter().map(|path| path.mtu_bytes).min();
    }
    for problem in &problems {
        output::bad(problem);
    }
    if !problems.is_empty() {
        return Ok(ExitCode::from(3));
    }
    if let Some(bytes) = passes_bytes {
        output::good(&format!("packets of up to {bytes} bytes pass between each two of them"));
    }
    output::good("they can run a cluster together");
    Ok(ExitCode::SUCCESS)
}

/// What passes between each two hosts; none if the user interrupts it. Nothing of it is left.
async fn paths(hosts: &Hosts) -> anyhow::Result<Option<Vec<overlay::Path>>> {
    let engines = Engines::of_hosts(hosts.clone()).await?;
    let images = images::build(&engines, &[TOOLBOX.to_owned()]).await?;
    let toolbox = images.get(TOOLBOX).context("the image `toolbox` was not built")?;
    let program = std::env::current_exe()?;
    let run = format!("doctor-{:06x}", rand::random::<u32>() & 0x00ff_ffff);
    let watches = engines.on_all(async |engine| watch_run(engine, &images, &program, &run).await).await?;
    let tried = tokio::select! {
        tried = overlay::try_paths(&engines, toolbox, &run) => Some(tried),
        _ = tokio::signal::ctrl_c() => {
            output::note("interrupted: removing what was started");
            None
        }
    };
    let removed = engines.remove(Removal::Trial { run: &run, trial: overlay::TRIAL }).await.map(drop);
    for watch in watches {
        dismiss(watch).await;
    }
    match (tried.transpose(), removed) {
        (Err(error), removed) => Err(error.and_then(removed).into()),
        (Ok(paths), removed) => Ok(removed.map(|()| paths)?),
    }
}

fn print(hosts: &Hosts, member: &Member) {
    let Member { host, engine, membership } = member;
    let facts = engine.facts();
    let role = match (hosts.is_manager(host), membership.is_active()) {
        (true, true) => ", manages the swarm and hosts no node",
        (false, true) => ", in a swarm",
        (_, false) => ", in no swarm",
    };
    let clock = membership.clock_ms.map(|(offset, error)| format!(", clock {offset:+.1} ms (± {error:.1})"));
    output::good(&format!(
        "{}: {} (API {}) at {}\n      {} cores, {:.1} GiB, {}{role}{}",
        host.name,
        facts.name(),
        facts.api_version,
        host.engine,
        facts.cores,
        facts.memory_bytes as f64 / f64::from(1u32 << 30),
        facts.operating_system,
        clock.unwrap_or_default()
    ));
}
