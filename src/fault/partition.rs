//! Partition: all packets between a node and others are dropped, as by a dead switch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::Claim;
use super::steps::packet_rules::{Packets, Rules};
use super::{Definition, FaultKind, Place, Site, Unfit, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};

/// The packets that are dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Partition(pub Packets);

impl Definition for Partition {
    const KIND: FaultKind = FaultKind {
        claims: Claim::Part("partition rules"),
        ..FaultKind::new(
            "partition",
            "drops packets between the node and others; heals by letting them through",
            &[Ability::PacketFilter],
        )
    };

    fn detail(&self) -> String {
        self.0.describe()
    }

    fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        self.0.fit(place).map(Self)
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        self.rules().inject(site).await
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        self.rules().heal(site).await
    }
}

impl Partition {
    fn rules(&self) -> Rules<'_> {
        Rules {
            fault: Self::KIND.name,
            packets: &self.0,
            spared: Vec::new(),
            rule: "-j DROP".to_owned(),
            is_total: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::steps::packet_rules::Direction;
    use super::super::testing::scripts_of;
    use super::*;
    use crate::topology::Network;
    use crate::values::OneOrMore;

    #[tokio::test]
    async fn a_partition_is_rules_for_the_other_ends_and_the_kernels_own_count_of_what_they_caught() {
        let from = OneOrMore(vec!["app-1".into()]);
        let packets = Packets { from, networks: vec![Network::Cluster], direction: Direction::Both };
        assert_eq!(Partition(packets.clone()).detail(), "from and to app-1 on cluster");
        let (script, healing, verified) = scripts_of(&Partition(packets), "seen\n").await;
        assert_eq!(verified.seen, ["seen"]);
        insta::assert_snapshot!(script);
        insta::assert_snapshot!(healing);
    }
}
