//! Packet filter rules in a node's own network namespace, with which a fault drops or rejects packets. The kernel's
//! counters are the evidence that a rule has matched packets.

use std::fmt::Write as _;
use std::net::SocketAddrV4;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::on_networks;
use super::script::{POKE, addresses, run};
use crate::cluster::{Cluster, ClusterError};
use crate::fault::{Place, Site, Unfit, Verified};
use crate::topology::{Network, Node, Topology};
use crate::values::OneOrMore;

/// How long to wait for the effect, in tenths of a second.
const EFFECT_TIMEOUT_TENTHS: u32 = 100;

/// The direction of the packets that a fault affects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Packets that the node receives or sends.
    #[default]
    Both,
    /// Packets that the node receives.
    In,
    /// Packets that the node sends.
    Out,
}

/// The packets of a node that a fault affects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Packets {
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

impl Packets {
    /// Replaces tiers in `from` by the names of their nodes, without the node itself.
    ///
    /// # Errors
    /// If the node is not in one of the networks, or there is no node at the other end.
    pub fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        place.is_in(&self.networks)?;
        Ok(Self { from: OneOrMore(place.others(&self.from.0)?), ..self })
    }

    /// Describes the packets.
    pub fn describe(&self) -> String {
        let others = if self.from.0.is_empty() { "everybody".to_owned() } else { self.from.0.join(", ") };
        let direction = match self.direction {
            Direction::Both => "from and to",
            Direction::In => "from",
            Direction::Out => "to",
        };
        format!("{direction} {others}{}", on_networks(&self.networks))
    }
}

/// A built-in chain of the kernel's packet filter, and how our rules use it.
#[derive(Clone, Copy)]
struct Hook {
    /// The name of the built-in chain.
    chain: &'static str,
    /// The option of a rule that matches the address of the other end.
    end: &'static str,
    /// The last part of our own chain's name.
    name: &'static str,
}

const IN: Hook = Hook { chain: "INPUT", end: "-s", name: "in" };
const OUT: Hook = Hook { chain: "OUTPUT", end: "-d", name: "out" };

fn addresses_of<'t>(nodes: impl IntoIterator<Item = &'t Node>, networks: &[Network]) -> Vec<String> {
    let of =
        |node: &'t Node| networks.iter().filter_map(|network| node.addresses.get(network)).map(ToString::to_string);
    nodes.into_iter().flat_map(of).collect()
}

/// The rules of a fault.
pub struct Rules<'a> {
    /// The fault's name.
    pub fault: &'static str,
    /// The packets that the rules match.
    pub packets: &'a Packets,
    /// Nodes that are never at the other end.
    pub spared: Vec<String>,
    /// The rest of each rule: further matches, and the target, such as `-j DROP`.
    pub rule: String,
    /// Whether the rules prevent every new connection.
    pub is_total: bool,
}

impl Rules<'_> {
    fn hooks(&self) -> &'static [Hook] {
        match self.packets.direction {
            Direction::Both => &[IN, OUT],
            Direction::In => &[IN],
            Direction::Out => &[OUT],
        }
    }

    fn chain(&self, hook: Hook) -> String {
        format!("steadfast-{}-{}", self.fault, hook.name)
    }

    fn networks(&self, node: &Node) -> Vec<Network> {
        addresses(node, &self.packets.networks).into_iter().map(|(network, _)| network).collect()
    }

    fn peers<'t>(&self, topology: &'t Topology, node: &Node) -> Vec<&'t Node> {
        let from = &self.packets.from.0;
        let is_spared = |other: &&Node| other.name == node.name || self.spared.contains(&other.name);
        let is_peer = |other: &&Node| !is_spared(other) && (from.is_empty() || from.contains(&other.name));
        topology.nodes.iter().filter(is_peer).collect()
    }

    /// The other ends: addresses, or whole networks if the rules are for everybody.
    fn ends(&self, topology: &Topology, node: &Node) -> Vec<String> {
        let networks = self.networks(node);
        if self.packets.from.0.is_empty() {
            return networks.iter().map(|network| topology.subnets.of(*network).to_string()).collect();
        }
        addresses_of(self.peers(topology, node), &networks)
    }

    /// Whether there is nobody at the other end of any of the node's networks: no rule would match.
    pub fn is_vacuous(&self, topology: &Topology, node: &Node) -> bool {
        self.ends(topology, node).is_empty()
    }

    /// The addresses of spared nodes, which matter only where whole networks are the other end.
    fn spared_ends(&self, topology: &Topology, node: &Node) -> Vec<String> {
        let spared = topology.nodes.iter().filter(|other| self.spared.contains(&other.name));
        if self.packets.from.0.is_empty() { addresses_of(spared, &self.networks(node)) } else { Vec::new() }
    }

    /// The addresses and ports to which the script connects, to check whether packets arrive.
    fn sockets(&self, topology: &Topology, node: &Node) -> Vec<SocketAddrV4> {
        let networks = self.networks(node);
        let of_peer = |peer: &&Node| -> Vec<SocketAddrV4> {
            let socket =
                |network: &Network| Some(SocketAddrV4::new(*peer.addresses.get(network)?, *peer.ports.get(network)?));
            networks.iter().filter_map(socket).collect()
        };
        self.peers(topology, node).iter().flat_map(of_peer).collect()
    }

    fn script(&self, topology: &Topology, node: &Node) -> String {
        let mut script = "set -e\n".to_owned();
        for hook in self.hooks() {
            let chain = self.chain(*hook);
            let _ = writeln!(script, "iptables -w -N {chain}");
            for end in self.spared_ends(topology, node) {
                let _ = writeln!(script, "iptables -w -A {chain} {} {end} -j RETURN", hook.end);
            }
            for end in self.ends(topology, node) {
                let _ = writeln!(script, "iptables -w -A {chain} {} {end} {}", hook.end, self.rule);
            }
            let _ = writeln!(script, "iptables -w -I {} -j {chain}", hook.chain);
        }
        let sockets: Vec<String> =
            self.sockets(topology, node).iter().map(|socket| format!("{}/{}", socket.ip(), socket.port())).collect();
        let sockets = sockets.join(" ");
        script.push_str("set +e\n");
        script.push_str(POKE);
        // The kernel's counters are the proof. The script connects, so that there are packets even without traffic.
        let _ = writeln!(
            script,
            "caught() {{ iptables -w -vxnL | awk '/^Chain steadfast-{}-/ {{ on = 1; next }} /^Chain/ {{ on = 0 }} on && $3 != \"RETURN\" {{ n += $1 }} END {{ print n + 0 }}'; }}",
            self.fault
        );
        if self.is_total {
            let _ = write!(
                script,
                "for socket in {sockets}; do\n  if poke $socket; then echo \"$socket can still be reached\"; exit 1; fi\n  echo \"$socket cannot be reached\"\ndone\n"
            );
        }
        let _ = write!(
            script,
            "for i in $(seq {EFFECT_TIMEOUT_TENTHS}); do\n  n=$(caught); [ \"$n\" -gt 0 ] && break\n  for socket in {sockets}; do poke $socket; done\n  sleep 0.1\ndone\n\
             if [ \"$n\" -gt 0 ]; then echo \"the kernel has caught $n packets\"; else echo \"the kernel has caught no packet\"; exit 1; fi\n"
        );
        script
    }

    fn undo(&self) -> String {
        let mut script = String::new();
        for hook in [IN, OUT] {
            let chain = self.chain(hook);
            let _ = writeln!(
                script,
                "iptables -w -D {} -j {chain} 2>/dev/null; iptables -w -F {chain} 2>/dev/null; iptables -w -X {chain} 2>/dev/null",
                hook.chain
            );
        }
        let _ = write!(
            script,
            "if iptables -w -S | grep -q steadfast-{}-; then echo \"a rule is still there\"; exit 1; fi\necho \"no rule is left\"\n",
            self.fault
        );
        script
    }

    /// Adds the rules, and waits until they have matched packets.
    pub async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        run(
            site,
            &self.script(site.cluster.topology(), site.node),
            &format!("the {} of {}", self.fault, site.node.name),
        )
        .await
    }

    /// Removes the rules, and waits until the node is ready.
    pub async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let healed = run(site, &self.undo(), &format!("healing the {} of {}", self.fault, site.node.name)).await?;
        // The network works again when the node answers and sees the other members.
        site.wait_until_ready().await?;
        Ok(healed)
    }
}
