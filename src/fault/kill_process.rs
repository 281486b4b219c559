//! Kill process: only the node's process is killed; its address stays, so that new connections are refused at once
//! instead of timing out. This simulates a crash of the program; `kill` simulates the loss of the machine. A service of Compose
//! files has no sandbox that remains, but its restart policy acts, as after a crash.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::steps::ended;
use super::{Definition, FaultKind, Site, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::topology::Action;

/// No parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KillProcess {}

impl Definition for KillProcess {
    const KIND: FaultKind = FaultKind {
        commands: Some(&[Action::Kill, Action::Start]),
        keeps_sandbox: true,
        ..FaultKind::new(
            "kill-process",
            "ends the node's process with SIGKILL while its address stays and refuses connections; heals by starting it again",
            &[Ability::Signals],
        )
    };

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        site.cluster.kill_process(&site.node.name).await?;
        ended::verify(site, &format!("killing the process of {}", site.node.name)).await
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        ended::start_again(site).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn a_node_whose_process_is_killed_ends_and_refuses_connections() {
        let cluster = FakeCluster::of("tomcat-none");
        at_app_2(&cluster, async |site| {
            let injected = KillProcess {}.inject(&site).await.unwrap();
            assert_eq!(injected.seen, ["the runtime reported its end", "unreachable: connection refused"]);
            assert!(!cluster.running().contains(&"app-2".to_owned()));
        })
        .await;
    }
}
