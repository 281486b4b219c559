//! The runtimes for nodes: containers or processes.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Ability;
use super::docker::Engines;

/// A runtime that is ready to create clusters.
pub enum Runtime {
    /// Containers.
    Docker {
        /// The engines.
        engines: Box<Engines>,
        /// References of the needed images, by name.
        images: BTreeMap<String, String>,
        /// Abilities that it or its machine lacks, and why.
        missing: BTreeMap<Ability, String>,
    },
    /// Child processes on the loopback.
    Process,
}

impl Runtime {
    /// Why an ability is missing; `None` if it is not. Trials may run `as_processes` with an engine too.
    #[must_use]
    pub fn lacks(&self, ability: Ability, as_processes: bool) -> Option<String> {
        match self {
            Self::Docker { missing, .. } if !as_processes => missing.get(&ability).cloned(),
            Self::Docker { .. } | Self::Process => {
                (!matches!(ability, Ability::Signals | Ability::Freezer | Ability::Commands))
                    .then(|| format!("nodes that are processes share one machine and lack {}", ability.describe()))
            }
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> RuntimeName {
        match self {
            Self::Docker { .. } => RuntimeName::Docker,
            Self::Process => RuntimeName::Process,
        }
    }
}

/// What a runtime is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeName {
    /// Containers.
    Docker,
    /// Child processes.
    Process,
    /// Wherever the user's own system runs already.
    Attached,
}

impl fmt::Display for RuntimeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Docker => "docker",
            Self::Process => "process",
            Self::Attached => "attached",
        })
    }
}
