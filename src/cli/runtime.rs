//! Chooses the runtime of a verb: the one that the user names, or the one that the machine has.

use super::output;
use crate::cluster::ClusterError;
use crate::cluster::docker::{Engine, NO_SIGN, missing_by_itself};
use crate::topology::{AddressRange, Target};

/// The user's choice of where nodes run.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Where {
    /// Where the nodes run
    #[arg(long, value_enum, default_value_t)]
    pub runtime: Choice,
    /// Give containers addresses of this range; without it the first of 10.77 to 10.250 is taken that is free and that this
    /// machine does not reach elsewhere
    #[arg(long, value_name = "RANGE")]
    pub addresses: Option<AddressRange>,
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
    /// An engine that answers.
    Docker(Box<Engine>),
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
            Self::Docker(engine) => {
                let facts = engine.facts();
                output::note(&format!("runtime docker: {} at {}", facts.name(), facts.found_at));
                for reason in missing_by_itself(facts).values() {
                    output::note(reason);
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
    pub async fn settle_for(self, targets: &[&Target]) -> Result<Chosen, ClusterError> {
        if !targets.is_empty() && targets.iter().all(|target| target.attached.is_some()) {
            return Ok(Chosen::Process { reason: "the target runs already; the traffic comes from here".to_owned() });
        }
        self.settle().await
    }

    /// Chooses the runtime.
    ///
    /// # Errors
    /// If an engine is configured or its socket exists, but it does not answer: a user who has an engine does not want
    /// processes. Also if Docker is requested and there is no engine.
    pub async fn settle(self) -> Result<Chosen, ClusterError> {
        let with_addresses = |engine: Engine| Chosen::Docker(Box::new(engine.with_addresses(self.addresses)));
        match self.runtime {
            Choice::Process => Ok(Chosen::Process { reason: "as asked for with --runtime".to_owned() }),
            Choice::Docker => Engine::connect().await.map(with_addresses),
            Choice::Auto => Ok(match Engine::find().await? {
                Some(engine) => with_addresses(engine),
                None => Chosen::Process { reason: format!("no Docker engine: {NO_SIGN}") },
            }),
        }
    }
}
