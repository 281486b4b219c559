//! Faults: what is done to a cluster, and undone. One file each: inject and verify that it took effect,
//! heal and verify that it is gone. A fault that cannot be verified is an error, never a success.

mod ended;
mod kill;
mod pause;
mod stop;

use std::time::Duration;

use crate::agent::readiness;
use crate::agent::remote::{Probe, Prober};
use crate::cluster::{Cluster, ClusterError};
use crate::history::FaultKind;
use crate::target::Node;

/// A node that is dead or stands still must not answer within this.
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
    async fn silence(&self, doing: &str) -> Result<Option<String>, ClusterError> {
        let Some(url) = readiness::url(self.node) else { return Ok(None) };
        match self.prober.probe(&url, SILENCE).await {
            Probe::Silent(reason) => Ok(Some(reason)),
            Probe::Answered { status, .. } => Err(ClusterError::new(doing, format!("it still answers, with {status}"))),
        }
    }

    async fn wait_until_ready(&self) -> Result<(), ClusterError> {
        readiness::wait_until_ready(self.cluster, self.prober, self.node, READY_TIMEOUT).await
    }
}

/// A step that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// When it took effect, in nanoseconds since 1970, where the runtime tells it.
    pub unix_ns: Option<u64>,
    /// What was seen, in words, in the order of time.
    pub seen: Vec<String>,
}

/// Does it, and returns once its effect has been seen.
///
/// # Errors
/// When it cannot be done, or its effect cannot be seen in time.
pub async fn inject<C: Cluster>(kind: FaultKind, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
    match kind {
        FaultKind::Kill => kill::inject(site).await,
        FaultKind::Stop => stop::inject(site).await,
        FaultKind::Pause => pause::inject(site).await,
    }
}

/// Undoes it, and returns once that has been seen.
///
/// # Errors
/// When it cannot be undone, or that cannot be seen in time.
pub async fn heal<C: Cluster>(kind: FaultKind, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
    match kind {
        FaultKind::Kill | FaultKind::Stop => ended::start_again(site).await,
        FaultKind::Pause => pause::heal(site).await,
    }
}
