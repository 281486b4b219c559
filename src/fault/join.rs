//! Join: scaling out under load. The cluster's members know the new node from the start. The balancer is configured not
//! to use it until it is ready.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::{Hurts, Nodes};
use super::steps::{drain, ended};
use super::{Definition, FaultKind, Place, Site, Unfit, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::topology::Tier;

/// No parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Join {}

impl Definition for Join {
    const KIND: FaultKind = FaultKind {
        tiers: &[Tier::App],
        nodes: Nodes::New,
        hurts: Hurts::Everybody,
        heals_by_itself: true,
        ..FaultKind::new(
            "join",
            "starts one more app node, and tells the balancer of it when it is ready",
            &[Ability::Signals],
        )
    };

    fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        if place.inventory.target.compose.is_some() {
            let message = "a node of Compose files cannot come later: Compose starts all nodes of a service together";
            return Err(Unfit::new("fault", message));
        }
        match place.inventory.image_of(Tier::Balancer) {
            Some(balancer) if balancer.admit.is_empty() => {
                let message = format!("the balancer `{}` cannot be told of a node that comes later", balancer.name);
                Err(Unfit::new("fault", message))
            }
            _ => Ok(self),
        }
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let mut verified = ended::start_again(site).await?;
        verified.seen = vec!["started and ready".to_owned()];
        verified.seen.extend(drain::admit(site).await?);
        Ok(verified)
    }

    async fn heal<C: Cluster>(&self, _: &Site<'_, C>) -> Result<Verified, ClusterError> {
        Ok(Verified::default())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_node;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn a_node_that_joins_is_ready_before_the_balancer_is_told() {
        let cluster = FakeCluster::of("tomcat-none");
        for node in ["balancer", "app-1", "app-2"] {
            cluster.start(node).await.unwrap();
        }
        at_node(&cluster, "app-3", async |site| {
            let seen = Join {}.inject(&site).await.unwrap().seen;
            assert_eq!(seen, ["started and ready", "the balancer sends it requests"]);
            assert!(cluster.running().contains(&"app-3".to_owned()));
        })
        .await;
    }
}
