//! A queue of the kernel's in front of what a node sends, in its own network namespace, that slows or damages it.

use std::fmt::Write as _;

use super::script::{DEVICE, POKE, addresses, run};
use crate::cluster::{Cluster, ClusterError};
use crate::fault::{Site, Verified};
use crate::topology::{Network, Node, Topology};

/// The proof of a queue whose effect the kernel does not count, as of what it reorders or damages: that it stands there.
pub const STANDS: &str = "tc qdisc show dev $dev | grep netem || { echo \"no queue on $dev\"; exit 1; }\n";

/// A queue in front of what a node sends.
pub struct Queue<'a> {
    /// The fault's name.
    pub fault: &'static str,
    /// On these networks; none: on all.
    pub networks: &'a [Network],
    /// What `tc` takes after `root`.
    pub discipline: String,
    /// What the script does for each network to see an effect: it finds `$dev`, and `$peer`, an address there.
    pub proof: String,
}

impl Queue<'_> {
    fn script(&self, topology: &Topology, node: &Node) -> String {
        let mut script = format!("{DEVICE}{POKE}");
        for (network, address) in addresses(node, self.networks) {
            let peer = topology.nodes.iter().filter(|peer| peer.name != node.name);
            let peer = peer.filter_map(|peer| Some((peer.addresses.get(&network)?, peer.ports.get(&network))));
            let (peer, port) = peer
                .max_by_key(|(_, port)| port.is_some())
                .map_or((address, 9), |(address, port)| (*address, port.copied().unwrap_or(9)));
            let _ = write!(
                script,
                "dev=$(device {address}); peer={peer}; port={port}\n\
                 tc qdisc add dev $dev root {} || exit 1\n{}",
                self.discipline, self.proof
            );
        }
        script
    }

    fn undo(&self, node: &Node) -> String {
        let mut script = DEVICE.to_owned();
        for (_, address) in addresses(node, self.networks) {
            let _ = write!(
                script,
                "dev=$(device {address}); tc qdisc del dev $dev root 2>/dev/null\n\
                 if tc qdisc show dev $dev | grep -Eq 'tbf|netem'; then echo \"the queue of $dev is still there\"; exit 1; fi\n"
            );
        }
        script + "echo \"no queue is left\"\n"
    }

    /// Puts it there, and sees its effect.
    pub async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        run(
            site,
            &self.script(site.cluster.topology(), site.node),
            &format!("the {} of {}", self.fault, site.node.name),
        )
        .await
    }

    /// Takes it away.
    pub async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let healed =
            run(site, &self.undo(site.node), &format!("healing the {} of {}", self.fault, site.node.name)).await?;
        // A network that is whole again shows in its node: it answers, and the members see each other.
        site.wait_until_ready().await?;
        Ok(healed)
    }
}
