//! Chooses the runtime of a verb: the one that the user names, or the one that the machine has.

use super::output;
use super::usage::UsageError;
use crate::cluster::docker::{Engine, Engines, NO_SIGN, missing_by_itself};
use crate::hosts::Hosts;
use crate::topology::{AddressRange, Target};

/// The user's choice of where nodes run.
#[derive(clap::Args, Clone, Debug)]
pub struct Where {
    /// Where the nodes run
    #[arg(long, value_enum, default_value_t)]
    pub runtime: Choice,
    /// Give containers addresses of this range; without it the first of 10.77 to 10.250 is taken that is free and that this
    /// machine does not reach elsewhere
    #[arg(long, value_name = "RANGE")]
    pub addresses: Option<AddressRange>,
    /// Deal the nodes out to the machines that this file names; `steadfast doctor --hosts FILE` says whether they can
    #[arg(long, value_name = "FILE")]
    pub hosts: Option<String>,
}

/// The engines of a file's hosts; without a file, the engine of this machine.
///
/// # Errors
/// When the file is wrong, an engine does not answer, or they cannot run a cluster together.
pub async fn engines(hosts: Option<&str>) -> anyhow::Result<Engines> {
    Ok(match hosts {
        Some(file) => Engines::of_hosts(Hosts::read(file)?).await?,
        None => Engine::connect().await?.into(),
    })
}

/// The kinds of runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// Docker where there is any sign of an engine, else process
    #[default]
    Auto,
    /// Containers: real products and reference nodes
    Docker,
    /// Child processes on the loopback: reference nodes only
    Process,
}

/// The runtime that was chosen.
pub enum Chosen {
    /// Engines that answer.
    Docker(Box<Engines>),
    /// Processes.
    Process {
        /// Why Docker is not used.
        reason: String,
    },
}

impl Chosen {
    /// Prints the chosen runtime, the reason, and what the engine cannot do.
    pub fn tell(&self) {
        match self {
            Self::Docker(engines) => {
                for (host, engine) in engines.iter() {
                    let facts = engine.facts();
                    let host = host.map(|host| format!(" of {host}")).unwrap_or_default();
                    output::note(&format!("runtime docker: {}{host} at {}", facts.name(), facts.found_at));
                    for reason in missing_by_itself(facts).values() {
                        output::note(reason);
                    }
                }
            }
            Self::Process { reason } => output::note(&format!("runtime process: {reason}")),
        }
    }
}

impl Where {
    /// Chooses the runtime for these targets. What runs already needs none.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub async fn settle_for(self, targets: &[&Target]) -> anyhow::Result<Chosen> {
        // On hosts there are agents.
        let needs_none = self.hosts.is_none() && !targets.is_empty();
        if needs_none && targets.iter().all(|target| target.attached.is_some()) {
            return Ok(Chosen::Process { reason: "the target runs already; the traffic comes from here".to_owned() });
        }
        self.settle().await
    }

    /// Chooses the runtime.
    ///
    /// # Errors
    /// If an engine is configured or its socket exists, but it does not answer: a user who has an engine does not want
    /// processes. Also if Docker is requested and there is no engine, or the hosts cannot run a cluster together.
    pub async fn settle(self) -> anyhow::Result<Chosen> {
        let docker = |engines: Engines| Chosen::Docker(Box::new(engines.with_addresses(self.addresses)));
        match (self.runtime, &self.hosts) {
            (Choice::Process, Some(_)) => {
                Err(UsageError::new("--hosts names engines, and --runtime process uses none; give one of them").into())
            }
            (Choice::Process, None) => Ok(Chosen::Process { reason: "as asked for with --runtime".to_owned() }),
            (Choice::Docker, hosts) => engines(hosts.as_deref()).await.map(docker),
            (Choice::Auto, Some(file)) => engines(Some(file)).await.map(docker),
            (Choice::Auto, None) => Ok(match Engine::find().await? {
                Some(engine) => docker(engine.into()),
                None => Chosen::Process { reason: format!("no Docker engine: {NO_SIGN}") },
            }),
        }
    }
}
