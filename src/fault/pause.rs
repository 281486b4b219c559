//! Pause: the node's process stops, as in a long garbage collection or on an overloaded host. Its connections stay
//! open, the kernel accepts data and connections, and nothing answers. Later it continues as if nothing had happened.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::{Definition, FaultKind, Site, Verified};
use crate::cluster::{Ability, Cluster, ClusterError, NodeState};
use crate::topology::Action;

/// How long a runtime may take to pause a process.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause between two attempts, in which a signal can arrive.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(5);

/// No parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pause {}

impl Definition for Pause {
    const KIND: FaultKind = FaultKind {
        commands: Some(&[Action::Pause, Action::Resume]),
        ..FaultKind::new(
            "pause",
            "stops the node's process: connections stay open and nothing answers; heals by letting it continue",
            &[Ability::Freezer],
        )
    };

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        pause(site).await?;
        let mut seen = vec!["the runtime says that it is paused".to_owned()];
        seen.extend(site.silence(&doing(site)).await?.map(|reason| format!("silent: {reason}")));
        Ok(Verified { unix_ns: None, seen })
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let name = site.node.name.as_str();
        // An earlier attempt may have resumed it.
        if site.cluster.state_of(name).await? == NodeState::Paused {
            site.cluster.resume(name).await?;
        }
        site.wait_until_ready().await?;
        Ok(Verified::seen("continues and is ready"))
    }
}

/// Retries, because a runtime fails if a thread does not reach the freezer within milliseconds, for example a thread
/// that waits for CPU time (runc 1.1 on cgroup v1: "unable to freeze").
async fn pause<C: Cluster>(site: &Site<'_, C>) -> Result<(), ClusterError> {
    let deadline = Instant::now() + STOP_TIMEOUT;
    let name = site.node.name.as_str();
    loop {
        let asked = site.cluster.pause(name).await;
        match site.cluster.state_of(name).await? {
            NodeState::Paused => return Ok(()),
            NodeState::Ended => return Err(ClusterError::new(doing(site), "it has ended")),
            NodeState::Running if Instant::now() >= deadline => {
                return asked.and_then(|()| Err(ClusterError::new(doing(site), "it is still running")));
            }
            NodeState::Running => sleep(ATTEMPT_PAUSE).await,
        }
    }
}

fn doing<C>(site: &Site<'_, C>) -> String {
    format!("pausing {}", site.node.name)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at_app_2, at_node};
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn a_paused_node_is_silent_and_continues_when_healed() {
        let cluster = FakeCluster::of("tomcat-none");
        at_app_2(&cluster, async |site| {
            let injected = Pause {}.inject(&site).await.unwrap();
            assert_eq!(injected.seen[0], "the runtime says that it is paused");
            assert_eq!(cluster.state_of("app-2").await.unwrap(), NodeState::Paused);
            assert_eq!(Pause {}.heal(&site).await.unwrap().seen, ["continues and is ready"]);
            assert_eq!(cluster.state_of("app-2").await.unwrap(), NodeState::Running);
        })
        .await;
    }

    #[tokio::test]
    async fn a_failed_pause_is_tried_again() {
        let cluster = FakeCluster::of("tomcat-none");
        *cluster.pauses_refused.lock().unwrap() = 2;
        at_app_2(&cluster, async |site| {
            Pause {}.inject(&site).await.unwrap();
            assert_eq!(cluster.state_of("app-2").await.unwrap(), NodeState::Paused);
        })
        .await;
    }

    #[tokio::test]
    async fn a_runtime_that_never_pauses_a_node_is_an_error_with_its_reason() {
        let cluster = FakeCluster::of("tomcat-none");
        *cluster.pauses_refused.lock().unwrap() = u32::MAX;
        at_app_2(&cluster, async |site| {
            assert_eq!(Pause {}.inject(&site).await.unwrap_err().to_string(), "pausing app-2: unable to freeze");
        })
        .await;
    }

    #[tokio::test]
    async fn a_node_that_has_ended_cannot_be_paused() {
        let cluster = FakeCluster::of("tomcat-none");
        let error =
            at_node(&cluster, "app-2", async |site| Pause {}.inject(&site).await.unwrap_err().to_string()).await;
        assert_eq!(error, "pausing app-2: it has ended");
    }
}
