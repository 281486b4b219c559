//! Loss: a share of the packets between a node and others is dropped, as with a bad cable.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::Claim;
use super::parameters::PacketShare;
use super::steps::packet_rules::{Direction, Packets, Rules};
use super::{Definition, FaultKind, Place, Site, Unfit, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::topology::Network;
use crate::values::OneOrMore;

/// The share of packets that are dropped. Repeats the keys of [`Packets`], because `#[serde(flatten)]` would lose the
/// name of a wrong key in errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// The share that is dropped.
    pub share: PacketShare,
    /// The nodes or tiers at the other end; empty: everybody.
    #[serde(default)]
    pub from: OneOrMore<String>,
    /// The networks; empty: all.
    #[serde(default)]
    pub networks: Vec<Network>,
    /// The direction.
    #[serde(default)]
    pub direction: Direction,
}

impl Definition for Loss {
    const KIND: FaultKind = FaultKind {
        claims: Claim::Part("loss rules"),
        ..FaultKind::new("loss", "drops a share of the packets between the node and others", &[Ability::PacketFilter])
    };

    fn detail(&self) -> String {
        format!("{} {}", self.share, self.packets().describe())
    }

    fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        let Packets { from, networks, direction } = self.packets().fit(place)?;
        Ok(Self { share: self.share, from, networks, direction })
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        self.rules(&self.packets()).inject(site).await
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        self.rules(&self.packets()).heal(site).await
    }
}

impl Loss {
    fn packets(&self) -> Packets {
        Packets { from: self.from.clone(), networks: self.networks.clone(), direction: self.direction }
    }

    fn rules<'a>(&self, packets: &'a Packets) -> Rules<'a> {
        let share = self.share.get();
        let rule = format!("-m statistic --mode random --probability {share} -j DROP");
        Rules { fault: Self::KIND.name, packets, spared: Vec::new(), rule, is_total: share >= 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::scripts_of;
    use super::*;
    use crate::values::Share;

    #[tokio::test]
    async fn loss_without_from_applies_to_whole_networks_in_one_direction() {
        let share = PacketShare::try_from(Share::try_from(0.25).unwrap()).unwrap();
        let fault = Loss { share, from: OneOrMore::default(), networks: Vec::new(), direction: Direction::In };
        assert_eq!(fault.detail(), "25 % from everybody");
        let (script, _, _) = scripts_of(&fault, "").await;
        let rules: Vec<&str> = script.lines().filter(|line| line.starts_with("iptables -w")).collect();
        insta::assert_snapshot!(rules.join("\n"), @r"
        iptables -w -N steadfast-loss-in
        iptables -w -A steadfast-loss-in -s 10.77.0.0/17 -m statistic --mode random --probability 0.25 -j DROP
        iptables -w -A steadfast-loss-in -s 10.77.128.0/24 -m statistic --mode random --probability 0.25 -j DROP
        iptables -w -I INPUT -j steadfast-loss-in
        ");
    }
}
