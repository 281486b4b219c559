//! Which runtime a verb uses: what the user says, or what the machine has.

use super::output;
use crate::cluster::ClusterError;
use crate::cluster::docker::{Engine, NO_SIGN, missing_by_itself};
use crate::topology::AddressRange;

/// What the user says of where nodes run.
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

/// What nodes are.
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

/// What it came to.
pub enum Chosen {
    /// An engine that answers.
    Docker(Box<Engine>),
    /// No engine, and why.
    Process {
        /// Why not Docker.
        reason: String,
    },
}

impl Chosen {
    /// Tells which, and why; and what the engine cannot do.
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
    /// Settles it.
    ///
    /// # Errors
    /// When an engine that is named, or whose socket is there, does not answer: whoever has one does not mean processes.
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
