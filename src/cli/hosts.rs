//! `steadfast hosts`: joins the engines of several machines to a swarm; and what `doctor --hosts` says of them.

use std::process::ExitCode;

use super::output;
use crate::cluster::ClusterError;
use crate::cluster::docker::swarm::{self, Member};
use crate::hosts::Hosts;

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
    check(&hosts).await
}

/// Prints a line for each host, and what keeps them from running a cluster together. Exits with 3 if something does.
pub async fn check(hosts: &Hosts) -> anyhow::Result<ExitCode> {
    let mut can_run = true;
    let mut bad = |text: &str| {
        output::bad(text);
        can_run = false;
    };
    let mut members = Vec::new();
    for asked in swarm::ask(hosts).await {
        match asked {
            Ok(member) => {
                print(hosts, &member);
                members.push(member);
            }
            Err(error) => bad(&error.to_string()),
        }
    }
    for problem in swarm::problems_of(hosts, &members).await? {
        bad(&problem);
    }
    if can_run {
        output::good("they can run a cluster together");
    }
    Ok(if can_run { ExitCode::SUCCESS } else { ExitCode::from(3) })
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
