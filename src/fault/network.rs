//! What network faults share: scripts that change a node's own network namespace, see that the change has an effect, and
//! take it back. They run in a helper beside the node, never on the host.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::{Site, Verified};
use crate::cluster::{Cluster, ClusterError};
use crate::history::{Direction, FaultKind, Packets};
use crate::topology::{Network, Node, Topology};

/// How many tenths of a second the effect is waited for.
const PATIENCE: u32 = 100;

/// One way that packets take.
#[derive(Clone, Copy)]
struct Way {
    /// The kernel's chain that they go through.
    hook: &'static str,
    /// How a rule names their other end.
    end: &'static str,
    /// The ending of our chain's name.
    name: &'static str,
}

const IN: Way = Way { hook: "INPUT", end: "-s", name: "in" };
const OUT: Way = Way { hook: "OUTPUT", end: "-d", name: "out" };

/// Rules for packets, by which a fault drops or rejects them.
pub struct Rules<'a> {
    /// Whose.
    pub kind: FaultKind,
    /// Which packets.
    pub packets: &'a Packets,
    /// What matches beside their other end, and what becomes of them.
    pub rule: String,
    /// Whether no connection can come about as long as they stand.
    pub is_total: bool,
}

impl Rules<'_> {
    fn ways(&self) -> &'static [Way] {
        match self.packets.direction {
            Direction::Both => &[IN, OUT],
            Direction::In => &[IN],
            Direction::Out => &[OUT],
        }
    }

    fn chain(&self, way: Way) -> String {
        format!("steadfast-{}-{}", self.kind, way.name)
    }

    fn networks(&self, node: &Node) -> Vec<Network> {
        let wanted = &self.packets.networks;
        node.addresses.keys().copied().filter(|network| wanted.is_empty() || wanted.contains(network)).collect()
    }

    fn peers<'t>(&self, topology: &'t Topology, node: &Node) -> Vec<&'t Node> {
        let from = &self.packets.from;
        let is_peer = |other: &&Node| other.name != node.name && (from.is_empty() || from.contains(&other.name));
        topology.nodes.iter().filter(is_peer).collect()
    }

    /// The other ends: addresses, or whole networks.
    fn ends(&self, topology: &Topology, node: &Node) -> Vec<String> {
        let networks = self.networks(node);
        if self.packets.from.is_empty() {
            return networks.iter().map(|network| topology.subnets.of(*network).to_string()).collect();
        }
        let peers = self.peers(topology, node);
        let addresses = peers.iter().flat_map(|peer| networks.iter().filter_map(|network| peer.addresses.get(network)));
        addresses.map(ToString::to_string).collect()
    }

    /// Where the node can try to connect to, to see whether packets arrive.
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
        for way in self.ways() {
            let chain = self.chain(*way);
            let _ = writeln!(script, "iptables -w -N {chain}");
            for end in self.ends(topology, node) {
                let _ = writeln!(script, "iptables -w -A {chain} {} {end} {}", way.end, self.rule);
            }
            let _ = writeln!(script, "iptables -w -I {} -j {chain}", way.hook);
        }
        let sockets: Vec<String> =
            self.sockets(topology, node).iter().map(|socket| format!("{}/{}", socket.ip(), socket.port())).collect();
        let sockets = sockets.join(" ");
        script.push_str("set +e\n");
        script.push_str(POKE);
        // The counters of the kernel are the proof; to connect makes packets where nobody sends any.
        let _ = writeln!(
            script,
            "caught() {{ iptables -w -vxnL | awk '/^Chain steadfast-{}-/ {{ on = 1; next }} /^Chain/ {{ on = 0 }} on {{ n += $1 }} END {{ print n + 0 }}'; }}",
            self.kind
        );
        if self.is_total {
            let _ = write!(
                script,
                "for socket in {sockets}; do\n  if poke $socket; then echo \"$socket can still be reached\"; exit 1; fi\n  echo \"$socket cannot be reached\"\ndone\n"
            );
        }
        let _ = write!(
            script,
            "for i in $(seq {PATIENCE}); do\n  n=$(caught); [ \"$n\" -gt 0 ] && break\n  for socket in {sockets}; do poke $socket; done\n  sleep 0.1\ndone\n\
             if [ \"$n\" -gt 0 ]; then echo \"the kernel has caught $n packets\"; else echo \"the kernel has caught no packet\"; exit 1; fi\n"
        );
        script
    }

    fn undo(&self) -> String {
        let mut script = String::new();
        for way in [IN, OUT] {
            let chain = self.chain(way);
            let _ = writeln!(
                script,
                "iptables -w -D {} -j {chain} 2>/dev/null; iptables -w -F {chain} 2>/dev/null; iptables -w -X {chain} 2>/dev/null",
                way.hook
            );
        }
        let _ = write!(
            script,
            "if iptables -w -S | grep -q steadfast-{}-; then echo \"a rule is still there\"; exit 1; fi\necho \"no rule is left\"\n",
            self.kind
        );
        script
    }

    /// Makes them, and sees that they catch packets.
    pub async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        run(site, &self.script(site.cluster.topology(), site.node), &format!("the {} of {}", self.kind, site.node.name))
            .await
    }

    /// Takes them back.
    pub async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        run(site, &self.undo(), &format!("healing the {} of {}", self.kind, site.node.name)).await
    }
}

/// Tries to connect to an address and port.
const POKE: &str = "poke() { timeout 0.3 bash -c \": < /dev/tcp/$1\" 2>/dev/null; }\n";

/// A queue in front of what a node sends.
pub struct Queue<'a> {
    /// Whose.
    pub kind: FaultKind,
    /// On these networks; none: on all.
    pub networks: &'a [Network],
    /// What `tc` takes after `root`.
    pub discipline: String,
    /// What the script does for each network to see an effect: it finds `$dev`, and `$peer`, an address there.
    pub proof: String,
}

impl Queue<'_> {
    fn addresses(&self, node: &Node) -> Vec<(Network, Ipv4Addr)> {
        let is_wanted = |network: &Network| self.networks.is_empty() || self.networks.contains(network);
        node.addresses.iter().filter(|(network, _)| is_wanted(network)).map(|(one, other)| (*one, *other)).collect()
    }

    fn script(&self, topology: &Topology, node: &Node) -> String {
        let mut script = format!("{DEVICE}{POKE}");
        for (network, address) in self.addresses(node) {
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
        for (_, address) in self.addresses(node) {
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
        run(site, &self.script(site.cluster.topology(), site.node), &format!("the {} of {}", self.kind, site.node.name))
            .await
    }

    /// Takes it away.
    pub async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        run(site, &self.undo(site.node), &format!("healing the {} of {}", self.kind, site.node.name)).await
    }
}

/// The interface with an address.
const DEVICE: &str = "device() { ip -o -4 addr show to $1/32 | { read -r _ name _; echo $name; }; }\n";

async fn run<C: Cluster>(site: &Site<'_, C>, script: &str, doing: &str) -> Result<Verified, ClusterError> {
    let (succeeded, printed) = site.cluster.run_beside(&site.node.name, script).await?;
    let seen: Vec<String> = printed.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if succeeded {
        return Ok(Verified { unix_ns: None, seen });
    }
    let reason = seen.last().cloned().unwrap_or_else(|| "the helper beside the node failed without a word".to_owned());
    Err(ClusterError::new(doing, reason))
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;
    use crate::fault::{heal, inject};
    use crate::history::Fault;

    /// What is run beside app-2 to inject a fault and to heal it, and what came of it.
    async fn scripts_of(fault: &Fault, printed: &str) -> (String, String, Verified) {
        let mut cluster = FakeCluster::of("tomcat-delta");
        cluster.printed = printed.to_owned();
        let injected = at_app_2(&cluster, async |site| {
            let injected = inject(fault, &site).await.unwrap();
            heal(fault, &site).await.unwrap();
            injected
        })
        .await;
        let mut scripts: Vec<String> =
            cluster.scripts.lock().unwrap().iter().map(|(_, script)| script.clone()).collect();
        let healing = scripts.pop().unwrap();
        (scripts.pop().unwrap(), healing, injected)
    }

    #[tokio::test]
    async fn a_partition_is_rules_for_the_other_ends_and_the_kernels_own_count_of_what_they_caught() {
        let packets =
            Packets { from: vec!["app-1".into()], networks: vec![Network::Cluster], direction: Direction::Both };
        let (script, healing, verified) = scripts_of(&Fault::Partition(packets), "seen\n").await;
        assert_eq!(verified.seen, ["seen"]);
        insta::assert_snapshot!(script);
        insta::assert_snapshot!(healing);
    }

    #[tokio::test]
    async fn loss_without_another_end_is_of_whole_networks_in_one_direction() {
        let packets = Packets { direction: Direction::In, ..Packets::default() };
        let (script, _, _) = scripts_of(&Fault::Loss { packets, share: 0.25 }, "").await;
        let rules: Vec<&str> = script.lines().filter(|line| line.starts_with("iptables -w")).collect();
        insta::assert_snapshot!(rules.join("\n"), @r"
        iptables -w -N steadfast-loss-in
        iptables -w -A steadfast-loss-in -s 10.77.0.0/17 -m statistic --mode random --probability 0.25 -j DROP
        iptables -w -A steadfast-loss-in -s 10.77.128.0/24 -m statistic --mode random --probability 0.25 -j DROP
        iptables -w -I INPUT -j steadfast-loss-in
        ");
    }

    #[tokio::test]
    async fn a_rate_is_a_queue_on_each_network() {
        let networks = vec![Network::Cluster];
        let (script, healing, _) = scripts_of(&Fault::Rate { networks, bytes_per_second: 100_000 }, "").await;
        insta::assert_snapshot!(script);
        insta::assert_snapshot!(healing);
    }
}
