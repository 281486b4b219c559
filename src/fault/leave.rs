//! Leave: scaling in under load. The balancer sends the node no new requests, the node finishes its requests in flight,
//! and then it is stopped for good.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameters::default_grace;
use super::steps::{drain, ended};
use super::{Definition, FaultKind, Site, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::topology::{Action, Tier};
use crate::values::Time;

/// How the node is stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Leave {
    /// How long the node has to end, before it is killed.
    #[serde(default = "default_grace")]
    pub grace: Time,
}

impl Definition for Leave {
    const KIND: FaultKind = FaultKind {
        commands: Some(&[Action::Stop]),
        tiers: &[Tier::App],
        heals_by_itself: true,
        removes_node: true,
        ..FaultKind::new(
            "leave",
            "takes an app node from the balancer, lets it end what it has begun, and stops it for good",
            &[Ability::Signals],
        )
    };

    fn detail(&self) -> String {
        ended::describe(self.grace)
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let drained = drain::drain(site).await?;
        let mut verified = ended::stop(site, self.grace).await?;
        verified.seen.splice(0..0, drained);
        Ok(verified)
    }

    async fn heal<C: Cluster>(&self, _: &Site<'_, C>) -> Result<Verified, ClusterError> {
        Ok(Verified::default())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn a_node_that_leaves_is_drained_before_it_ends() {
        let cluster = FakeCluster::of("tomcat-none");
        at_app_2(&cluster, async |site| {
            let seen = Leave { grace: Time::from_millis(1000) }.inject(&site).await.unwrap().seen;
            assert_eq!(seen[..2], ["the balancer reports it as drained", "the runtime reported its end"]);
            assert!(!cluster.running().contains(&"app-2".to_owned()));
        })
        .await;
    }
}
