//! Host pause: all that runs on the node's host stops, as when the machine below a virtual one is moved or starved. Connections
//! stay open and nothing answers; later all continue as if nothing had happened.

use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pause::Pause;
use super::steps::host;
use super::{Definition, FaultKind, Hurts, Site, Verified};
use crate::cluster::{Ability, Cluster, ClusterError, NodeState};

/// No parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostPause {}

impl Definition for HostPause {
    const KIND: FaultKind = FaultKind {
        hurts: Hurts::Everybody,
        ..FaultKind::new(
            "host-pause",
            "stops all nodes on the node's host: connections stay open and nothing answers; heals by letting them continue",
            &[Ability::Freezer, Ability::Hosts],
        )
    };

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        host::inject_all(&Pause {}, site).await
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let mut nodes = host::by_tier(site).concat();
        // Nodes that joined later are not among those that run from the start.
        for node in host::on_it(site).filter(|node| node.is_standby) {
            if site.cluster.state_of(&node.name).await? == NodeState::Paused {
                nodes.push(node);
            }
        }
        // All at once, before any is waited for: an app that continues needs its store.
        let resumed = nodes.iter().map(|node| async move {
            let is_paused = site.cluster.state_of(&node.name).await? == NodeState::Paused;
            if is_paused { site.cluster.resume(&node.name).await } else { Ok(()) }
        });
        try_join_all(resumed).await?;
        let ready = nodes.iter().map(|node| async move {
            let site = Site { node, ..*site };
            site.wait_until_ready().await?;
            Ok((node.name.clone(), Verified::seen("continues and is ready")))
        });
        try_join_all(ready).await.map(host::together)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn all_nodes_of_the_host_stop_and_continue() {
        let mut cluster = FakeCluster::of("tomcat-redis");
        cluster.on_one_host("host-2", &["app-2", "store"]);
        at_app_2(&cluster, async |site| {
            HostPause {}.inject(&site).await.unwrap();
            for (node, state) in
                [("app-1", NodeState::Running), ("app-2", NodeState::Paused), ("store", NodeState::Paused)]
            {
                assert_eq!(cluster.state_of(node).await.unwrap(), state, "{node}");
            }
            let healed = HostPause {}.heal(&site).await.unwrap();
            assert_eq!(healed.seen, ["store: continues and is ready", "app-2: continues and is ready"]);
        })
        .await;
    }
}
