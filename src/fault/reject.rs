//! Reject: connections between a node and others are reset, as by a firewall that rejects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::Claim;
use super::steps::packet_rules::{Packets, Rules};
use super::{Definition, FaultKind, Place, Site, Unfit, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};

/// The packets that are answered with a reset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Reject(pub Packets);

impl Definition for Reject {
    const KIND: FaultKind = FaultKind {
        claims: Claim::Part("reject rules"),
        ..FaultKind::new("reject", "resets connections between the node and others", &[Ability::PacketFilter])
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

impl Reject {
    fn rules(&self) -> Rules<'_> {
        let rule = "-p tcp -j REJECT --reject-with tcp-reset".to_owned();
        Rules { fault: Self::KIND.name, packets: &self.0, spared: Vec::new(), rule, is_total: true }
    }
}
