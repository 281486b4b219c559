//! Ends a node's process, verifies that it has ended, and starts it again.

use std::time::Duration;

use tokio::time::timeout;

use crate::cluster::{Cluster, ClusterError, NodeState};
use crate::fault::{Site, Verified};
use crate::values::Time;

/// How long the runtime may take to report the end.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks the node to end, kills it if it has not ended after `grace`, and verifies that it has ended.
pub async fn stop<C: Cluster>(site: &Site<'_, C>, grace: Time) -> Result<Verified, ClusterError> {
    site.cluster.stop(&site.node.name, grace.get()).await?;
    verify(site, &format!("stopping {}", site.node.name)).await
}

/// Describes the grace period.
pub fn describe(grace: Time) -> String {
    format!("{} s to end", grace.get().as_secs_f64())
}

/// Waits until the runtime reports the end, and checks that the node no longer answers.
pub async fn verify<C: Cluster>(site: &Site<'_, C>, doing: &str) -> Result<Verified, ClusterError> {
    let mut verified = verify_end(site, doing).await?;
    if site.cluster.state_of(&site.node.name).await? == NodeState::Ended {
        verified.seen.extend(site.silence(doing).await?.map(|reason| format!("unreachable: {reason}")));
    } else if has_restart_policy(site) {
        verified.seen.push("its restart policy has started it again".to_owned());
    } else {
        return Err(ClusterError::new(doing, "it is still running"));
    }
    Ok(verified)
}

/// Whether something besides this program may start the node: the restart policy of a service.
fn has_restart_policy<C: Cluster>(site: &Site<'_, C>) -> bool {
    site.cluster.topology().target.compose.is_some()
}

async fn verify_end<C: Cluster>(site: &Site<'_, C>, doing: &str) -> Result<Verified, ClusterError> {
    let died = timeout(END_TIMEOUT, site.cluster.wait_for_exit(&site.node.name)).await;
    let died = died.map_err(|_| {
        ClusterError::new(doing, format!("the runtime reported no end within {} s", END_TIMEOUT.as_secs()))
    })??;
    Ok(Verified { unix_ns: Some(died), seen: vec!["the runtime reported its end".to_owned()] })
}

/// Starts the node, and waits until it is ready.
pub async fn start_again<C: Cluster>(site: &Site<'_, C>) -> Result<Verified, ClusterError> {
    // An earlier attempt may have started it, or a restart policy.
    let runs = site.cluster.state_of(&site.node.name).await? == NodeState::Running;
    if !runs {
        site.cluster.start(&site.node.name).await?;
    }
    site.wait_until_ready().await?;
    Ok(Verified::seen(match (has_restart_policy(site), runs) {
        (true, true) => "it ran again by its restart policy, and is ready",
        (true, false) => "no restart policy had started it; started again and ready",
        (false, _) => "started again and ready",
    }))
}
