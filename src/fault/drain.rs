//! Drain: a node is spared, as before a deployment. The balancer sends it no new sessions, and it stays up. Some balancers leave it
//! the sessions that it has, others move them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::steps::drain;
use super::{Definition, FaultKind, Place, Site, Unfit, Verified};
use crate::cluster::{Cluster, ClusterError};
use crate::topology::Tier;

/// No parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Drain {}

impl Definition for Drain {
    const KIND: FaultKind = FaultKind {
        tiers: &[Tier::App],
        ..FaultKind::new(
            "drain",
            "tells the balancer to send an app node nothing new; then takes the node in again",
            &[],
        )
    };

    fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        match place.inventory.image_of(Tier::Balancer) {
            Some(balancer) if balancer.drain.is_empty() || balancer.admit.is_empty() => {
                let message =
                    format!("the balancer `{}` has no commands that drain a node and take it in", balancer.name);
                Err(Unfit::new("fault", message))
            }
            _ => Ok(self),
        }
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        Ok(seen(drain::drain(site).await?))
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        Ok(seen(drain::admit(site).await?))
    }
}

fn seen(seen: Option<String>) -> Verified {
    Verified { seen: seen.into_iter().collect(), ..Verified::default() }
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn a_drained_node_stays_up_and_is_taken_in_again() {
        let cluster = FakeCluster::of("tomcat-none");
        at_app_2(&cluster, async |site| {
            let drained = Drain {}.inject(&site).await.unwrap().seen;
            assert_eq!(drained, ["the balancer reports it as drained"]);
            assert!(cluster.running().contains(&"app-2".to_owned()));
            assert_eq!(Drain {}.heal(&site).await.unwrap().seen, ["the balancer sends it requests"]);
        })
        .await;
    }
}
