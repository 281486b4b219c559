//! What crosses between hosts: each node's sandbox counts the packets that it sends to nodes on other hosts, by their address.
//! Nodes on the same host are not counted, and neither are clients, whose agents count for themselves.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::hosts::Placement;
use crate::topology::{Network, Node};

/// The chain of the packet filter that counts.
const CHAIN: &str = "steadfast-links";
/// The counters begin at the IP header; those of interfaces count this too.
const ETHERNET_BYTES: u64 = 14;

/// The script that starts counting in a node's network. Where the kernel cannot, there is nothing to read later.
pub fn counting(node: &Node, nodes: &[Node], placement: &Placement) -> String {
    let peers = peers(node, nodes, placement);
    let rules = peers.keys().map(|address| format!("iptables -w -A {CHAIN} -d {address} -j RETURN && "));
    let rules: String = rules.collect();
    // A chain through which nothing goes would count nothing, and that is no figure.
    let none = format!("{{ iptables -w -F {CHAIN}; iptables -w -X {CHAIN}; }} 2>/dev/null");
    format!("{{ iptables -w -N {CHAIN} && {rules}iptables -w -A OUTPUT -j {CHAIN}; }} || {none} || true\n")
}

/// The command that reads the counters.
pub fn reading() -> [String; 3] {
    ["iptables", "-w", "-vxnL"].map(str::to_owned)
}

/// Bytes that a node has sent to each other node, by its name.
///
/// # Errors
/// None: a line that is no counter is passed over.
pub fn read(printed: &str, node: &Node, nodes: &[Node], placement: &Placement) -> BTreeMap<String, u64> {
    let peers = peers(node, nodes, placement);
    let mut sent: BTreeMap<String, u64> = BTreeMap::new();
    let of_chain = printed.lines().skip_while(|line| !line.starts_with(&format!("Chain {CHAIN} "))).skip(1);
    for line in of_chain.take_while(|line| !line.starts_with("Chain ")) {
        // Packets, bytes, target, protocol, options, in, out, source, destination.
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |place: usize| words.get(place).and_then(|word| word.parse::<u64>().ok());
        let to = words.iter().rev().find_map(|word| word.parse::<Ipv4Addr>().ok());
        let (Some(packets), Some(bytes), Some(peer)) = (number(0), number(1), to.and_then(|to| peers.get(&to))) else {
            continue;
        };
        *sent.entry((*peer).to_owned()).or_default() += bytes + packets * ETHERNET_BYTES;
    }
    sent
}

/// The nodes on other hosts by their addresses in the networks of `node`.
fn peers<'a>(node: &Node, nodes: &'a [Node], placement: &Placement) -> BTreeMap<Ipv4Addr, &'a str> {
    let elsewhere = nodes.iter().filter(|other| placement.get(&other.name) != placement.get(&node.name));
    let shared = |network: &Network| node.addresses.contains_key(network);
    let addresses = elsewhere.flat_map(|other| {
        let shared = other.addresses.iter().filter(move |(network, _)| shared(network));
        shared.map(|(_, address)| (*address, other.name.as_str()))
    });
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Subnets, Target, Topology};

    /// Two app nodes on different hosts, the store beside the first one.
    fn placed() -> (Vec<Node>, Placement) {
        let target = Target::find("tomcat-redis").unwrap();
        let nodes = Topology::resolve(&target, 2u8, Subnets::SAMPLE).unwrap().nodes;
        let on = [("app-1", "a"), ("app-2", "b"), ("store", "a"), ("balancer", "b")];
        (nodes, on.map(|(node, host)| (node.to_owned(), host.to_owned())).into())
    }

    #[test]
    fn what_goes_to_nodes_of_other_hosts_is_counted_in_the_networks_that_both_have() {
        let (nodes, placement) = placed();
        let script = |name: &str| {
            let node = nodes.iter().find(|node| node.name == name).unwrap();
            counting(node, &nodes, &placement).replace(" && ", "\n")
        };
        insta::assert_snapshot!(script("app-1"), @r"
        { iptables -w -N steadfast-links
        iptables -w -A steadfast-links -d 10.77.0.3 -j RETURN
        iptables -w -A steadfast-links -d 10.77.0.12 -j RETURN
        iptables -w -A steadfast-links -d 10.77.129.12 -j RETURN
        iptables -w -A OUTPUT -j steadfast-links; } || { iptables -w -F steadfast-links; iptables -w -X steadfast-links; } 2>/dev/null || true
        ");
        insta::assert_snapshot!(script("store"), @r"
        { iptables -w -N steadfast-links
        iptables -w -A steadfast-links -d 10.77.129.12 -j RETURN
        iptables -w -A OUTPUT -j steadfast-links; } || { iptables -w -F steadfast-links; iptables -w -X steadfast-links; } 2>/dev/null || true
        ");
    }

    #[test]
    fn counters_are_read_with_the_header_that_interfaces_count_too() {
        let (nodes, placement) = placed();
        let printed = "Chain OUTPUT (policy ACCEPT 0 packets, 0 bytes)\n\
            \x20   pkts      bytes target     prot opt in     out     source               destination         \n\
            \x20     15     1400 steadfast-links  all  --  *      *       0.0.0.0/0            0.0.0.0/0           \n\n\
            Chain steadfast-links (1 references)\n\
            \x20   pkts      bytes target     prot opt in     out     source               destination         \n\
            \x20      9      900 RETURN     0    --  *      *       0.0.0.0/0            10.77.0.3           \n\
            \x20      6      500 RETURN     all  --  *      *       0.0.0.0/0            10.77.0.12          \n\n\
            Chain steadfast-loss-in (1 references)\n\
            \x20      1      100 DROP       all  --  *      *       0.0.0.0/0            10.77.0.3           \n";
        let read = read(printed, &nodes[1], &nodes, &placement);
        assert_eq!(nodes[1].name, "app-1");
        assert_eq!(read, [("app-2".to_owned(), 584), ("balancer".to_owned(), 1026)].into());
    }
}
