//! Corrupt: a share of the packets that the node sends has a flipped bit, as from broken hardware.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::SEND_QUEUE;
use super::parameters::PacketShare;
use super::steps::on_networks;
use super::steps::send_queue::{Queue, STANDS};
use super::{Definition, FaultKind, Place, Site, Unfit, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::topology::Network;

/// The share of packets that are corrupted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Corrupt {
    /// The share that is damaged.
    pub share: PacketShare,
    /// The networks; empty: all.
    #[serde(default)]
    pub networks: Vec<Network>,
}

impl Definition for Corrupt {
    const KIND: FaultKind = FaultKind {
        claims: SEND_QUEUE,
        ..FaultKind::new("corrupt", "flips a bit in a share of the packets that the node sends", &[Ability::Netem])
    };

    fn detail(&self) -> String {
        format!("{}{}", self.share, on_networks(&self.networks))
    }

    fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        place.is_in(&self.networks).map(|()| self)
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        self.queue().inject(site).await
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        self.queue().heal(site).await
    }
}

impl Corrupt {
    fn queue(&self) -> Queue<'_> {
        let discipline = format!("netem corrupt {}%", self.share.get() * 100.0);
        Queue { fault: Self::KIND.name, networks: &self.networks, discipline, proof: STANDS.to_owned() }
    }
}
