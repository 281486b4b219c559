//! Which runtime a verb uses: what the user says, or what the machine has.

use std::time::Duration;

use tokio::time::timeout;

use super::output;
use crate::cluster::ClusterError;
use crate::cluster::docker::Engine;

/// An engine that does not answer within this is none.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the user says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// Docker where an engine answers, else process
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
    /// Tells which, and why, in one line.
    pub fn tell(&self) {
        output::note(&match self {
            Self::Docker(engine) => format!("runtime docker: engine {} answers", engine.facts().version),
            Self::Process { reason } => format!("runtime process: {reason}"),
        });
    }
}

impl Choice {
    /// Settles it.
    pub async fn settle(self) -> Result<Chosen, ClusterError> {
        match self {
            Self::Process => Ok(Chosen::Process { reason: "as asked for with --runtime".to_owned() }),
            Self::Docker => connect().await.map(Box::new).map(Chosen::Docker),
            Self::Auto => Ok(match connect().await {
                Ok(engine) => Chosen::Docker(Box::new(engine)),
                Err(error) => {
                    Chosen::Process { reason: format!("no Docker engine ({}: {})", error.doing, error.reason) }
                }
            }),
        }
    }
}

async fn connect() -> Result<Engine, ClusterError> {
    let silent = |_| ClusterError::new("connecting to the Docker engine", "it does not answer");
    timeout(ENGINE_TIMEOUT, Engine::connect()).await.map_err(silent)?
}
