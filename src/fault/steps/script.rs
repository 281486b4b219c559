//! Scripts that change a node's own network namespace, check the effect, and undo the change. They run in a helper
//! container in the node's network namespace, never on the host.

use std::net::Ipv4Addr;

use crate::cluster::{Cluster, ClusterError};
use crate::fault::{Site, Verified};
use crate::topology::{Network, Node};

/// A shell function that tries to connect to `ADDRESS/PORT`.
pub const POKE: &str = "poke() { timeout 0.3 bash -c \": < /dev/tcp/$1\" 2>/dev/null; }\n";

/// A shell function that prints the interface with an address.
pub const DEVICE: &str = "device() { ip -o -4 addr show to $1/32 | { read -r _ name _; echo $name; }; }\n";

/// The node's addresses in `networks`; if that is empty, in all its networks.
pub fn addresses(node: &Node, networks: &[Network]) -> Vec<(Network, Ipv4Addr)> {
    let is_wanted = |network: &Network| networks.is_empty() || networks.contains(network);
    node.addresses.iter().filter(|(network, _)| is_wanted(network)).map(|(one, other)| (*one, *other)).collect()
}

/// Runs a script. Each line that it prints is an observation; if it fails, its last line is the reason.
pub async fn run<C: Cluster>(site: &Site<'_, C>, script: &str, doing: &str) -> Result<Verified, ClusterError> {
    let (succeeded, printed) = site.cluster.run_in_network_of(&site.node.name, script).await?;
    let seen: Vec<String> = printed.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if succeeded {
        return Ok(Verified { unix_ns: None, seen });
    }
    let reason = seen.last().cloned().unwrap_or_else(|| "the helper in its network printed no reason".to_owned());
    Err(ClusterError::new(doing, reason))
}
