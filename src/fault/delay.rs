//! Delay: packets that the node sends are delayed, as over a long distance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::SEND_QUEUE;
use super::steps::on_networks;
use super::steps::send_queue::Queue;
use super::{Definition, FaultKind, Place, Site, Unfit, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::topology::Network;
use crate::values::Time;

/// The delay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Delay {
    /// So late.
    #[serde(rename = "delay")]
    pub late: Time,
    /// The maximum deviation from the delay.
    #[serde(default)]
    pub jitter: Time,
    /// The networks; empty: all.
    #[serde(default)]
    pub networks: Vec<Network>,
}

impl Definition for Delay {
    const KIND: FaultKind = FaultKind {
        claims: SEND_QUEUE,
        ..FaultKind::new("delay", "delays what the node sends, with or without jitter", &[Ability::Netem])
    };

    fn detail(&self) -> String {
        let jitter = match self.jitter.as_millis() {
            0 => String::new(),
            jitter => format!(", {jitter} more or less"),
        };
        format!("{} ms{jitter}{}", self.late.as_millis(), on_networks(&self.networks))
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

impl Delay {
    fn queue(&self) -> Queue<'_> {
        let (delay_ms, jitter_ms) = (self.late.as_millis(), self.jitter.as_millis());
        let min_ms = delay_ms.saturating_sub(jitter_ms) / 2;
        Queue {
            fault: Self::KIND.name,
            networks: &self.networks,
            discipline: format!("netem delay {delay_ms}ms {jitter_ms}ms"),
            proof: format!(
                "from=$(date +%s%N); timeout 60 bash -c \": < /dev/tcp/$peer/$port\" 2>/dev/null; took=$((($(date +%s%N) - from) / 1000000))\n\
                 if [ $took -lt {min_ms} ]; then echo \"to connect on $dev took $took ms\"; exit 1; fi\n\
                 echo \"to connect on $dev took $took ms\"\n"
            ),
        }
    }
}
