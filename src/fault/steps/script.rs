//! Scripts that change a node's own network namespace, see that the change has an effect, and take it back. They run in a
//! helper container in the node's network namespace, never on the host.

use std::net::Ipv4Addr;

use crate::cluster::{Cluster, ClusterError};
use crate::fault::{Site, Verified};
use crate::topology::{Network, Node};

/// Tries to connect to an address and port.
pub const POKE: &str = "poke() { timeout 0.3 bash -c \": < /dev/tcp/$1\" 2>/dev/null; }\n";

/// The interface with an address.
pub const DEVICE: &str = "device() { ip -o -4 addr show to $1/32 | { read -r _ name _; echo $name; }; }\n";

/// The node's addresses on these networks; none: on all.
pub fn addresses(node: &Node, networks: &[Network]) -> Vec<(Network, Ipv4Addr)> {
    let is_wanted = |network: &Network| networks.is_empty() || networks.contains(network);
    node.addresses.iter().filter(|(network, _)| is_wanted(network)).map(|(one, other)| (*one, *other)).collect()
}

/// Runs one. What it prints is what was seen; its last line says why it failed.
pub async fn run<C: Cluster>(site: &Site<'_, C>, script: &str, doing: &str) -> Result<Verified, ClusterError> {
    let (succeeded, printed) = site.cluster.run_in_network_of(&site.node.name, script).await?;
    let seen: Vec<String> = printed.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if succeeded {
        return Ok(Verified { unix_ns: None, seen });
    }
    let reason = seen.last().cloned().unwrap_or_else(|| "the helper in its network printed no reason".to_owned());
    Err(ClusterError::new(doing, reason))
}
