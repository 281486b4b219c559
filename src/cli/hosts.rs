//! `steadfast hosts`: joins the engines of several machines to a swarm; and what `doctor --hosts` says of them.

use std::process::ExitCode;

use futures::future::join_all;

use super::{doctor, output};
use crate::cluster::ClusterError;
use crate::cluster::docker::Engine;
use crate::cluster::docker::swarm::{self, Membership};
use crate::hosts::{Host, Hosts};

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
    let engines = connect(&hosts).await.into_iter().map(|(host, engine)| Ok((host, engine?)));
    let engines = engines.collect::<Result<Vec<_>, ClusterError>>()?;
    let done = swarm::join(&hosts, &engines).await?;
    for line in &done {
        output::line(line);
    }
    if done.is_empty() {
        output::line("all are members already");
    }
    check(&hosts).await
}

/// Prints a line for each host, and what keeps them from running a cluster together. Exits with 3 if something does.
pub async fn check(hosts: &Hosts) -> anyhow::Result<ExitCode> {
    let mut can_run = true;
    let mut bad = |text: &str| {
        doctor::bad(text);
        can_run = false;
    };
    let (mut members, mut nodes) = (Vec::new(), Vec::new());
    let asked = connect(hosts).await.into_iter().map(async |(host, engine)| match engine {
        Ok(engine) => (host, swarm::membership(&engine).await.map(|member| (engine, member))),
        Err(error) => (host, Err(error)),
    });
    for (host, asked) in join_all(asked).await {
        match asked {
            Ok((engine, member)) => {
                print(hosts, &host, &engine, &member);
                if hosts.is_manager(&host) && member.is_manager {
                    nodes = swarm::nodes(&engine).await?;
                }
                members.push((host, member));
            }
            Err(error) => bad(&format!("{}: {error}", host.name)),
        }
    }
    for problem in swarm::problems(hosts, &members, &nodes) {
        bad(&problem);
    }
    if can_run {
        doctor::good("they can run a cluster together");
    }
    Ok(if can_run { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// Connects to all engines at once.
async fn connect(hosts: &Hosts) -> Vec<(Host, Result<Engine, ClusterError>)> {
    join_all(hosts.iter().map(async |host| (host.clone(), Engine::of_host(host, &hosts.file).await))).await
}

fn print(hosts: &Hosts, host: &Host, engine: &Engine, member: &Membership) {
    let facts = engine.facts();
    let role = match (hosts.is_manager(host), member.is_active()) {
        (true, true) => ", manages the swarm and hosts no node",
        (false, true) => ", in a swarm",
        (_, false) => ", in no swarm",
    };
    let clock = member.clock_ms.map(|(offset, error)| format!(", clock {offset:+.1} ms (± {error:.1})"));
    doctor::good(&format!(
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
