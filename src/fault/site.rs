//! The place where a fault is injected, and the results of its steps.

use std::time::Duration;

use crate::agent::readiness;
use crate::agent::remote::{Probe, Prober};
use crate::cluster::{Cluster, ClusterError};
use crate::topology::Node;

/// A node that is dead or paused must not answer within this.
const SILENCE: Duration = Duration::from_millis(500);
/// How long a node may take until it is ready again.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// The place where a fault is injected.
pub struct Site<'a, C> {
    /// The cluster.
    pub cluster: &'a C,
    /// Probes nodes from the front network.
    pub prober: &'a Prober,
    /// The node that is hit.
    pub node: &'a Node,
}

impl<C: Cluster> Site<'_, C> {
    /// Checks that the node does not answer. Returns the reason, or `None` if the node has no URL to probe.
    ///
    /// # Errors
    /// If it answers; `doing` says what was attempted.
    pub async fn silence(&self, doing: &str) -> Result<Option<String>, ClusterError> {
        let Some(url) = readiness::url(self.node) else { return Ok(None) };
        match self.prober.probe(&url, SILENCE).await {
            Probe::Silent(reason) => Ok(Some(reason)),
            Probe::Answered { status, .. } => Err(ClusterError::new(doing, format!("it still answers, with {status}"))),
        }
    }

    /// Waits until the node takes requests and sees every running member of its cluster.
    ///
    /// # Errors
    /// If it ends or is not ready in time.
    pub async fn wait_until_ready(&self) -> Result<(), ClusterError> {
        readiness::wait_until_ready(self.cluster, self.prober, self.node, READY_TIMEOUT).await
    }
}

/// The result of a verified step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// When it took effect, in nanoseconds since 1970, if the runtime reports it.
    pub unix_ns: Option<u64>,
    /// Descriptions of what was seen, in the order of time.
    pub seen: Vec<String>,
}

impl Verified {
    /// A single observation, without a time from the runtime.
    pub fn seen(what: impl Into<String>) -> Self {
        Self { unix_ns: None, seen: vec![what.into()] }
    }
}
