//! Faults: what is done to a cluster, and undone. One file each: inject and verify that it took effect,
//! heal and verify that it is gone. A fault that cannot be verified is an error, never a success.

mod clear;
mod command;
mod cpu;
mod drain;
mod ended;
mod join;
mod kill;
mod kill_process;
mod memory;
mod network;
mod packets;
mod pause;
mod queues;
mod rolling_restart;
mod stop;
#[cfg(test)]
mod testing;

use std::time::Duration;

use crate::agent::readiness;
use crate::agent::remote::{Probe, Prober};
use crate::cluster::reaper::Reaper;
use crate::cluster::{Cluster, ClusterError};
use crate::history::Fault;
use crate::topology::Node;

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

/// What undoes a fault when nobody else can any more: of those that reach beyond the cluster, which goes with all else.
///
/// # Errors
/// When it cannot be readied.
pub fn guard(fault: &Fault, node: &Node) -> Result<Option<Reaper>, ClusterError> {
    match fault {
        Fault::Command { heal, .. } => command::guard(node, heal).map(Some),
        _ => Ok(None),
    }
}

/// Does it, and returns once its effect has been seen.
///
/// # Errors
/// When it cannot be done, or its effect cannot be seen in time.
pub async fn inject<C: Cluster>(fault: &Fault, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
    match fault {
        Fault::Kill => kill::inject(site).await,
        Fault::KillProcess => kill_process::inject(site).await,
        Fault::Stop { grace_ms } | Fault::Restart { grace_ms } => stop::inject(site, millis(*grace_ms)).await,
        Fault::RollingRestart { grace_ms } => rolling_restart::inject(site, millis(*grace_ms)).await,
        Fault::Pause => pause::inject(site).await,
        Fault::Partition(packets) => packets::partition(packets).inject(site).await,
        Fault::Loss { packets, share } => packets::loss(packets, *share).inject(site).await,
        Fault::Reject(packets) => packets::reject(packets).inject(site).await,
        Fault::Rate { networks, bytes_per_second } => queues::rate(networks, *bytes_per_second).inject(site).await,
        Fault::Delay { networks, delay_ms, jitter_ms } => {
            queues::delay(networks, *delay_ms, *jitter_ms).inject(site).await
        }
        Fault::Reorder { networks, share } => queues::reorder(networks, *share).inject(site).await,
        Fault::Corrupt { networks, share } => queues::corrupt(networks, *share).inject(site).await,
        Fault::Cpu { cores } => cpu::inject(site, *cores).await,
        Fault::Memory => memory::inject(site).await,
        Fault::Clear => clear::inject(site).await,
        Fault::Join => join::join(site).await,
        Fault::Leave { grace_ms } => join::leave(site, millis(*grace_ms)).await,
        Fault::Command { inject, .. } => command::run(site, inject).await,
    }
}

/// Undoes it, and returns once that has been seen. Safe to call again.
///
/// # Errors
/// When it cannot be undone, or that cannot be seen in time.
pub async fn heal<C: Cluster>(fault: &Fault, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
    let healed = match fault {
        Fault::Kill | Fault::KillProcess | Fault::Stop { .. } | Fault::Restart { .. } | Fault::Memory => {
            return ended::start_again(site).await;
        }
        Fault::RollingRestart { .. } => return rolling_restart::heal(site).await,
        Fault::Pause => return pause::heal(site).await,
        Fault::Cpu { .. } => return cpu::heal(site).await,
        Fault::Clear => return clear::heal(site).await,
        // Both are over as soon as they are done.
        Fault::Join | Fault::Leave { .. } => return Ok(Verified { unix_ns: None, seen: Vec::new() }),
        Fault::Command { heal, .. } => return command::run(site, heal).await,
        Fault::Partition(packets) => packets::partition(packets).heal(site).await?,
        Fault::Loss { packets, share } => packets::loss(packets, *share).heal(site).await?,
        Fault::Reject(packets) => packets::reject(packets).heal(site).await?,
        Fault::Rate { networks, bytes_per_second } => queues::rate(networks, *bytes_per_second).heal(site).await?,
        Fault::Delay { networks, delay_ms, jitter_ms } => {
            queues::delay(networks, *delay_ms, *jitter_ms).heal(site).await?
        }
        Fault::Reorder { networks, share } => queues::reorder(networks, *share).heal(site).await?,
        Fault::Corrupt { networks, share } => queues::corrupt(networks, *share).heal(site).await?,
    };
    // A network that is whole again shows in its node: it answers, and the members see each other.
    site.wait_until_ready().await?;
    Ok(healed)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
