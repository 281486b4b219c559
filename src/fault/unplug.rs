//! Unplug: the node's network interfaces go down, as when a cable is pulled. Unlike in a partition, the node itself
//! notices: its own sends fail at once, while its peers wait for replies until they time out.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::steps::on_networks;
use super::steps::script::{DEVICE, addresses, run};
use super::{Definition, FaultKind, Place, Site, Unfit, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::topology::{Network, Node};

/// The interfaces that go down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unplug {
    /// The networks whose interfaces go down; empty: all of the node's networks.
    #[serde(default)]
    pub networks: Vec<Network>,
}

impl Definition for Unplug {
    const KIND: FaultKind = FaultKind::new(
        "unplug",
        "takes the node's network interfaces down, which the node itself notices; heals by taking them up",
        &[Ability::PacketFilter],
    );

    fn detail(&self) -> String {
        on_networks(&self.networks).trim_start().to_owned()
    }

    fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        place.is_in(&self.networks).map(|()| self)
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let doing = format!("unplugging {}", site.node.name);
        let mut verified = run(site, &self.take_down(site.node), &doing).await?;
        if addresses(site.node, &self.networks).iter().any(|(network, _)| *network == Network::Front) {
            verified.seen.extend(site.silence(&doing).await?.map(|reason| format!("silent: {reason}")));
        }
        Ok(verified)
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let healed = run(site, &self.take_up(site.node), &format!("plugging {} in again", site.node.name)).await?;
        site.wait_until_ready().await?;
        Ok(healed)
    }
}

impl Unplug {
    /// An interface that goes down loses its routes. The route to its own network returns with the interface; those over
    /// a gateway do not, so the script notes them in a routing table of their own, as routes to nowhere with the gateway for
    /// their metric: such routes need no interface, and no rule leads to that table.
    fn take_down(&self, node: &Node) -> String {
        let mut script = format!("{DEVICE}{NOTED}");
        for (_, address) in addresses(node, &self.networks) {
            let _ = write!(
                script,
                "dev=$(device {address})\n\
                 ip -4 route show dev $dev | awk '$2 == \"via\" {{ print $1, $3 }}' | while read -r range gateway; do\n\
                 ip route replace blackhole $range table $(table $dev) metric $(number $gateway) || exit 1\n\
                 done || exit 1\n\
                 ip link set dev $dev down || exit 1\n\
                 ip -o link show dev $dev | grep -q 'state DOWN' || {{ echo \"$dev is still up\"; exit 1; }}\n\
                 echo \"the kernel says that $dev is down\"\n"
            );
        }
        script
    }

    fn take_up(&self, node: &Node) -> String {
        let mut script = format!("{DEVICE}{NOTED}");
        for (_, address) in addresses(node, &self.networks) {
            let _ = write!(
                script,
                "dev=$(device {address})\n\
                 ip link set dev $dev up || exit 1\n\
                 ip -4 route show table $(table $dev) 2>/dev/null | while read -r _ range _ metric _; do\n\
                 ip route replace $range via $(gateway $metric) dev $dev || exit 1\n\
                 done || exit 1\n\
                 ip -4 route flush table $(table $dev) 2>/dev/null\n\
                 ip -o link show dev $dev | grep -q 'state UP' || {{ echo \"$dev is still down\"; exit 1; }}\n\
                 echo \"the kernel says that $dev is up\"\n"
            );
        }
        script
    }
}

/// Shell functions for the routes of an interface that is down: its table, a gateway as a number, and back.
const NOTED: &str = "table() { echo $((7000 + $(cat /sys/class/net/$1/ifindex))); }\n\
    number() { IFS=. read -r a b c d <<< \"$1\"; echo $(((a << 24) + (b << 16) + (c << 8) + d)); }\n\
    gateway() { echo $(($1 >> 24)).$(($1 >> 16 & 255)).$(($1 >> 8 & 255)).$(($1 & 255)); }\n";

#[cfg(test)]
mod tests {
    use super::super::testing::scripts_of;
    use super::*;

    #[tokio::test]
    async fn an_interface_goes_down_and_comes_back_with_its_gateway() {
        let fault = Unplug { networks: vec![Network::Cluster] };
        assert_eq!(fault.detail(), "on cluster");
        let (script, healing, _) = scripts_of(&fault, "").await;
        insta::assert_snapshot!(script);
        insta::assert_snapshot!(healing);
    }
}
