//! Where a fault is done, and what its steps found.

use std::time::Duration;

use crate::agent::readiness;
use crate::agent::remote::{Probe, Prober};
use crate::cluster::{Cluster, ClusterError};
use crate::topology::Node;

/// A node that is dead or paused must not answer within this.
const SILENCE: Duration = Duration::from_millis(500);
/// How long a node may take until it is ready again.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Where a fault is done.
pub struct Site<'a, C> {
    /// The cluster.
    pub cluster: &'a C,
    /// Asks its nodes from the front network.
    pub prober: &'a Prober,
    /// The node that is hit.
    pub node: &'a Node,
}

impl<C: Cluster> Site<'_, C> {
    /// Sees that the node does not answer. Returns why, if it is one that can be asked.
    ///
    /// # Errors
    /// When it answers; `doing` says what was attempted.
    pub async fn silence(&self, doing: &str) -> Result<Option<String>, ClusterError> {
        let Some(url) = readiness::url(self.node) else { return Ok(None) };
        match self.prober.probe(&url, SILENCE).await {
            Probe::Silent(reason) => Ok(Some(reason)),
            Probe::Answered { status, .. } => Err(ClusterError::new(doing, format!("it still answers, with {status}"))),
        }
    }

    /// Waits until the node takes requests and its cluster's members see it.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn wait_until_ready(&self) -> Result<(), ClusterError> {
        readiness::wait_until_ready(self.cluster, self.prober, self.node, READY_TIMEOUT).await
    }
}

/// A step that was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// When it took effect, in nanoseconds since 1970, where the runtime tells it.
    pub unix_ns: Option<u64>,
    /// What was seen, in words, in the order of time.
    pub seen: Vec<String>,
}

impl Verified {
    /// One thing that was seen, at a time that the runtime does not tell.
    pub fn seen(what: impl Into<String>) -> Self {
        Self { unix_ns: None, seen: vec![what.into()] }
    }
}
