//! Rate: limits how many bytes the node can send per second, as behind a slow link.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::SEND_QUEUE;
use super::steps::on_networks;
use super::steps::send_queue::Queue;
use super::{Definition, FaultKind, Place, Site, Unfit, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::topology::Network;

/// The burst must hold a few packets; otherwise no packet would pass.
const MIN_BURST_BYTES: u64 = 5000;

/// The limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// At most so much.
    pub bytes_per_second: BytesPerSecond,
    /// The networks; empty: all.
    #[serde(default)]
    pub networks: Vec<Network>,
}

/// Bytes per second, at least 1000, so that a packet still gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u64", into = "u64")]
#[schemars(with = "u64")]
pub struct BytesPerSecond(u64);

impl TryFrom<u64> for BytesPerSecond {
    type Error = String;

    fn try_from(bytes: u64) -> Result<Self, String> {
        if bytes >= 1000 {
            Ok(Self(bytes))
        } else {
            Err("it takes at least 1000; `partition` lets nothing through".to_owned())
        }
    }
}

impl From<BytesPerSecond> for u64 {
    fn from(rate: BytesPerSecond) -> Self {
        rate.0
    }
}

impl Definition for Rate {
    const KIND: FaultKind = FaultKind {
        claims: SEND_QUEUE,
        ..FaultKind::new("rate", "limits how many bytes a second the node can send", &[Ability::RateLimit])
    };

    fn detail(&self) -> String {
        format!("{} bytes a second{}", self.bytes_per_second.0, on_networks(&self.networks))
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

impl Rate {
    fn queue(&self) -> Queue<'_> {
        let rate = self.bytes_per_second.0;
        let burst = (rate / 50).max(MIN_BURST_BYTES);
        // Sends four times the burst, which cannot pass at once: the queue counts the packets that had to wait. No
        // process needs to receive them.
        let packets = burst * 4 / 1000 + 1;
        Queue {
            fault: Self::KIND.name,
            networks: &self.networks,
            discipline: format!("tbf rate {rate}bps burst {burst} latency 300ms"),
            proof: format!(
                "for i in $(seq {packets}); do printf '%01000d' 0 > /dev/udp/$peer/9; done 2>/dev/null\n\
                 waited=$(tc -s qdisc show dev $dev | sed -n 's/.*overlimits \\([0-9]*\\).*/\\1/p')\n\
                 if [ \"${{waited:-0}}\" -eq 0 ]; then echo \"nothing had to wait on $dev\"; exit 1; fi\n\
                 echo \"on $dev packets had to wait $waited times\"\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::scripts_of;
    use super::*;

    #[tokio::test]
    async fn a_rate_is_a_queue_on_each_network() {
        let fault = Rate { bytes_per_second: BytesPerSecond(100_000), networks: vec![Network::Cluster] };
        assert_eq!(fault.detail(), "100000 bytes a second on cluster");
        let (script, healing, _) = scripts_of(&fault, "").await;
        insta::assert_snapshot!(script);
        insta::assert_snapshot!(healing);
    }
}
