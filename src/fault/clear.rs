//! Clear: the node is killed and replaced by a new one with an empty disk, as when its machine is lost and replaced.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::steps::ended;
use super::{Definition, FaultKind, Site, Verified};
use crate::cluster::{Ability, Cluster, ClusterError, NodeState};

/// No parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Clear {}

impl Definition for Clear {
    const KIND: FaultKind =
        FaultKind::new("clear", "ends the node with SIGKILL and makes it anew, with an empty disk", &[Ability::Disk]);

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        site.cluster.kill(&site.node.name).await?;
        ended::verify(site, &format!("killing {}", site.node.name)).await
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let name = site.node.name.as_str();
        // An earlier attempt to heal may already have recreated and started the node.
        if site.cluster.state_of(name).await.ok() != Some(NodeState::Running) {
            site.cluster.recreate(name).await?;
        }
        let mut healed = ended::start_again(site).await?;
        healed.seen.insert(0, "made anew, with an empty disk".to_owned());
        Ok(healed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn a_cleared_node_is_made_anew_before_it_starts() {
        let cluster = FakeCluster::of("tomcat-none");
        at_app_2(&cluster, async |site| {
            Clear {}.inject(&site).await.unwrap();
            assert_eq!(
                Clear {}.heal(&site).await.unwrap().seen,
                ["made anew, with an empty disk", "started again and ready"]
            );
        })
        .await;
        assert!(cluster.recreated.lock().unwrap().contains("app-2"));
    }
}
