//! Host kill: all that runs on the node's host is killed at once, as when a machine loses its power. The machine and its engine
//! stay: what is beyond them, such as a cable, is a `command`.

use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kill::Kill;
use super::steps::host;
use super::{Definition, FaultKind, Hurts, Site, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};

/// No parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostKill {}

impl Definition for HostKill {
    const KIND: FaultKind = FaultKind {
        hurts: Hurts::Everybody,
        ..FaultKind::new(
            "host-kill",
            "ends all nodes on the node's host with SIGKILL at once; heals by starting them again",
            &[Ability::Signals, Ability::Hosts],
        )
    };

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        host::inject_all(&Kill {}, site).await
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let mut all = Vec::new();
        for tier in host::by_tier(site) {
            let started = tier.into_iter().map(|node| async move {
                let site = Site { node, ..*site };
                Ok::<_, ClusterError>((node.name.clone(), Kill {}.heal(&site).await?))
            });
            all.extend(try_join_all(started).await?);
        }
        Ok(host::together(all))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn all_nodes_of_the_host_end_and_no_other() {
        let mut cluster = FakeCluster::of("tomcat-redis");
        cluster.on_one_host("host-2", &["app-2", "store"]);
        at_app_2(&cluster, async |site| {
            let injected = HostKill {}.inject(&site).await.unwrap();
            assert!(injected.unix_ns.is_some());
            assert!(injected.seen.contains(&"store: the runtime reported its end".to_owned()), "{:?}", injected.seen);
            assert_eq!(cluster.running().iter().filter(|node| ["app-2", "store"].contains(&node.as_str())).count(), 0);
            assert!(cluster.running().contains(&"app-1".to_owned()));
            let healed = HostKill {}.heal(&site).await.unwrap();
            assert_eq!(healed.seen, ["store: started again and ready", "app-2: started again and ready"]);
        })
        .await;
    }
}
