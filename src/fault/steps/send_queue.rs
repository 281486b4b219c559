//! A queue (`tc qdisc`) in a node's own network namespace that delays or damages the packets that the node sends.

use std::fmt::Write as _;

use super::script::{DEVICE, POKE, addresses, run};
use crate::cluster::{Cluster, ClusterError};
use crate::fault::{Site, Verified};
use crate::topology::{Network, Node, Topology};

/// The proof for a queue whose effect the kernel does not count, such as reordering or corruption: the queue exists.
pub const STANDS: &str = "tc qdisc show dev $dev | grep netem || { echo \"no queue on $dev\"; exit 1; }\n";

/// A queue for the packets that a node sends.
pub struct Queue<'a> {
    /// The fault's name.
    pub fault: &'static str,
    /// The networks; empty: all.
    pub networks: &'a [Network],
    /// The arguments of `tc` after `root`.
    pub discipline: String,
    /// The part of the script that checks the effect on one network. It can use the interface `$dev`, and the address
    /// `$peer` and port `$port` of another node there.
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

    /// Adds the queue, and checks its effect.
    pub async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        run(
            site,
            &self.script(site.cluster.topology(), site.node),
            &format!("the {} of {}", self.fault, site.node.name),
        )
        .await
    }

    /// Removes the queue, and waits until the node is ready.
    pub async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let healed =
            run(site, &self.undo(site.node), &format!("healing the {} of {}", self.fault, site.node.name)).await?;
        // The network works again when the node answers and sees the other members.
        site.wait_until_ready().await?;
        Ok(healed)
    }
}
