//! Rolling restart: every app node in turn is drained, stopped and started, and the next one follows when it is ready,
//! as in a deployment.

use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::{Hurts, Nodes};
use super::parameters::default_grace;
use super::steps::{drain, ended, in_turn};
use super::{Definition, FaultKind, Site, Verified};
use crate::cluster::{Ability, Cluster, ClusterError, running_apps};
use crate::topology::{Action, Tier};
use crate::values::Time;

/// How each node is stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RollingRestart {
    /// How long a node has to end, before it is killed.
    #[serde(default = "default_grace")]
    pub grace: Time,
}

impl Definition for RollingRestart {
    const KIND: FaultKind = FaultKind {
        commands: Some(&[Action::Stop, Action::Start]),
        tiers: &[Tier::App],
        nodes: Nodes::EachAppInTurn,
        hurts: Hurts::Everybody,
        heals_by_itself: true,
        ..FaultKind::new(
            "rolling-restart",
            "stops and starts every app node, one after the other has become ready",
            &[Ability::Signals],
        )
    };

    fn detail(&self) -> String {
        ended::describe(self.grace)
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let mut verified = Verified::default();
        let began = Instant::now();
        // Nodes that have not joined yet or have left are not running, so they are not restarted.
        for node in running_apps(site.cluster).await? {
            let site = Site { node, ..*site };
            drain::drain(&site).await?;
            let ended = ended::stop(&site, self.grace).await?;
            verified.unix_ns = verified.unix_ns.or(ended.unix_ns);
            let has_ended = began.elapsed();
            ended::start_again(&site).await?;
            drain::admit(&site).await?;
            verified.seen.push(format!(
                "{} had ended after {:.1} s and was ready again after {:.1} s",
                node.name,
                has_ended.as_secs_f64(),
                began.elapsed().as_secs_f64()
            ));
        }
        Ok(verified)
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        in_turn::heal(site).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn every_app_node_ends_and_comes_back_before_the_next_one() {
        let cluster = FakeCluster::of("tomcat-delta");
        let fault = RollingRestart { grace: Time::from_millis(1000) };
        at_app_2(&cluster, async |site| {
            let seen = fault.inject(&site).await.unwrap().seen;
            let nodes: Vec<&str> =
                seen.iter().filter_map(|seen| seen.split_once(" had ended after")).map(|(node, _)| node).collect();
            assert_eq!(nodes, ["app-1", "app-2", "app-3"]);
            assert_eq!(cluster.running().len(), 4);
            assert_eq!(fault.heal(&site).await.unwrap().seen, ["every app node is ready"]);
        })
        .await;
    }
}
