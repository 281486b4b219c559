//! Faults: what is done to a cluster, and undone. One file each: inject and verify that it took effect,
//! heal and verify that it is gone. A fault that cannot be verified is an error, never a success.

mod kill;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::agent::remote::Prober;
use crate::cluster::{Cluster, ClusterError};
use crate::target::Node;

/// What can be done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL, and later a start.
    Kill,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Kill];

    /// What it is, in one line.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Kill => "ends the node's process with SIGKILL; heals by starting the node again",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kill => "kill",
        })
    }
}

/// Where a fault is done.
pub struct Site<'a, C> {
    /// The cluster.
    pub cluster: &'a C,
    /// Asks its nodes from the front network.
    pub prober: &'a Prober,
    /// The node that is hit.
    pub node: &'a Node,
}

/// A step that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// When it took effect, in nanoseconds since 1970, where the runtime tells it.
    pub unix_ns: Option<u64>,
    /// What was seen, in words, in the order of time.
    pub seen: Vec<String>,
}

impl FaultKind {
    /// Does it, and returns once its effect has been seen.
    ///
    /// # Errors
    /// When it cannot be done, or its effect cannot be seen in time.
    pub async fn inject<C: Cluster>(self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        match self {
            Self::Kill => kill::inject(site).await,
        }
    }

    /// Undoes it, and returns once that has been seen.
    ///
    /// # Errors
    /// When it cannot be undone, or that cannot be seen in time.
    pub async fn heal<C: Cluster>(self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        match self {
            Self::Kill => kill::heal(site).await,
        }
    }
}
