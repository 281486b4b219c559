//! Host partition: packets between the node's host and others are dropped, as by a cut cable. Nodes on the host still reach each
//! other. The host's own network is left alone: the rules are in the network namespaces of its nodes.

use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::Claim;
use super::steps::host;
use super::steps::packet_rules::{Packets, Rules};
use super::{Definition, FaultKind, Hurts, Place, Site, Unfit, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::topology::Node;
use crate::values::OneOrMore;

/// The packets that are dropped: `from` names nodes or tiers, whose whole hosts are meant; without it, all other hosts and the
/// clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct HostPartition(pub Packets);

impl Definition for HostPartition {
    const KIND: FaultKind = FaultKind {
        claims: Claim::Part("partition rules"),
        hurts: Hurts::Everybody,
        ..FaultKind::new(
            "host-partition",
            "drops packets between the node's host and others; heals by letting them through",
            &[Ability::PacketFilter, Ability::Hosts],
        )
    };

    fn detail(&self) -> String {
        self.0.describe()
    }

    fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        self.0.fit(place).map(Self)
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let nodes = host::running(site).await?;
        let packets = self.at(site, &nodes)?;
        let topology = site.cluster.topology();
        // A store may share no network with the others at all.
        let meets = |node: &&&Node| !Self::rules(&packets, node, &nodes).is_vacuous(topology, node);
        let cut: Vec<_> = nodes.iter().filter(meets).collect();
        if cut.is_empty() {
            let doing = format!("the {} of {}", Self::KIND.name, site.node.name);
            return Err(ClusterError::new(doing, "no node of its host shares a network with those that `from` names"));
        }
        let cut = cut.into_iter().map(|node| {
            let (rules, site) = (Self::rules(&packets, node, &nodes), Site { node, ..*site });
            async move { Ok((site.node.name.clone(), rules.inject(&site).await?)) }
        });
        try_join_all(cut).await.map(host::together)
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let nodes = host::running(site).await?;
        let healed = nodes.iter().map(|node| {
            let (rules, site) = (Self::rules(&self.0, node, &nodes), Site { node, ..*site });
            async move { Ok((site.node.name.clone(), rules.heal(&site).await?)) }
        });
        try_join_all(healed).await.map(host::together)
    }
}

impl HostPartition {
    /// The packets, with all nodes on the hosts of those that `from` names.
    fn at<C: Cluster>(&self, site: &Site<'_, C>, own: &[&Node]) -> Result<Packets, ClusterError> {
        let from = &self.0.from.0;
        if from.is_empty() {
            return Ok(self.0.clone());
        }
        let cluster = site.cluster;
        let hosts: Vec<_> = from.iter().filter_map(|name| cluster.host_of(name)).collect();
        let is_there = |node: &&Node| {
            cluster.host_of(&node.name).is_some_and(|host| hosts.contains(&host))
                && !own.iter().any(|own| own.name == node.name)
        };
        let others: Vec<_> = cluster.topology().nodes.iter().filter(is_there).map(|node| node.name.clone()).collect();
        if others.is_empty() {
            let doing = format!("the {} of {}", Self::KIND.name, site.node.name);
            return Err(ClusterError::new(doing, format!("{} is on the same host", from.join(", "))).advise(
                "name nodes of other hosts in `from`, or deal the nodes out differently in the file of the hosts",
            ));
        }
        Ok(Packets { from: OneOrMore(others), ..self.0.clone() })
    }

    fn rules<'a>(packets: &'a Packets, node: &Node, own: &[&Node]) -> Rules<'a> {
        let spared = own.iter().filter(|own| own.name != node.name).map(|own| own.name.clone()).collect();
        Rules { fault: Self::KIND.name, packets, spared, rule: "-j DROP".to_owned(), is_total: true }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    fn cluster() -> FakeCluster {
        let mut cluster = FakeCluster::of("tomcat-redis");
        cluster.on_one_host("host-2", &["app-2", "store"]);
        cluster.on_one_host("host-3", &["app-1", "balancer"]);
        cluster
    }

    #[tokio::test]
    async fn nodes_of_the_host_still_reach_each_other() {
        let cluster = cluster();
        at_app_2(&cluster, async |site| HostPartition(Packets::default()).inject(&site).await.map(drop)).await.unwrap();
        let scripts: std::collections::BTreeMap<_, _> = cluster.scripts.lock().unwrap().iter().cloned().collect();
        assert_eq!(scripts.keys().collect::<Vec<_>>(), ["app-2", "store"]);
        insta::assert_snapshot!(scripts["app-2"]);
    }

    #[tokio::test]
    async fn a_host_that_is_named_by_one_node_is_cut_as_a_whole() {
        let cluster = cluster();
        let from = |name: &str| HostPartition(Packets { from: OneOrMore(vec![name.into()]), ..Packets::default() });
        at_app_2(&cluster, async |site| {
            let own: Vec<_> = site
                .cluster
                .topology()
                .nodes
                .iter()
                .filter(|node| ["app-2", "store"].contains(&node.name.as_str()))
                .collect();
            assert_eq!(from("app-1").at(&site, &own).unwrap().from.0, ["app-1", "balancer"]);
            let error = from("store").at(&site, &own).unwrap_err().to_string();
            assert!(error.starts_with("the host-partition of app-2: store is on the same host"), "{error}");
        })
        .await;
    }
}
