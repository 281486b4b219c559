//! The addresses of nodes and clients. They are fixed, because an engine gives a dead node's address to the next one
//! while a balancer still uses it for the old one.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::Serialize;

use super::{Network, Tier};

/// An IPv4 range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Subnet {
    /// The first address.
    pub base: Ipv4Addr,
    /// The number of fixed leading bits.
    pub prefix: u8,
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl Subnet {
    /// Whether the two ranges have an address in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let shared = self.prefix.min(other.prefix);
        let mask = u32::MAX.checked_shl(32 - u32::from(shared)).unwrap_or(0);
        u32::from(self.base) & mask == u32::from(other.base) & mask
    }
}

impl FromStr for Subnet {
    type Err = String;

    /// Parses `10.77.0.0/16`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (base, prefix) = text.split_once('/').ok_or("there is no `/`")?;
        let base = base.parse().map_err(|_| format!("`{base}` is no IPv4 address"))?;
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32);
        Ok(Self { base, prefix: prefix.ok_or("after the `/` come 0 to 32 bits")? })
    }
}

/// The range for the networks of clusters: one or more /16s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange(Subnet);

impl FromStr for AddressRange {
    type Err = String;

    /// Parses `10.77.0.0/16` or larger, such as `172.16.0.0/12`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{why}; a range is written as 10.77.0.0/16 or, larger, 172.16.0.0/12");
        let Subnet { base, prefix } = text.parse().map_err(|why: String| wrong(&why))?;
        if !(8..=16).contains(&prefix) {
            return Err(wrong("a cluster needs a /16, and a range has 8 to 16 leading bits"));
        }
        if u32::from(base) & (u32::MAX >> prefix) != 0 {
            return Err(wrong(&format!("{base} has bits set behind its first {prefix}")));
        }
        if base.is_loopback() || base.is_multicast() || base.octets()[0] == 0 {
            return Err(wrong("loopback and multicast addresses are no networks for containers"));
        }
        Ok(Self(Subnet { base, prefix }))
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The address ranges of one cluster: a /16, divided among its networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subnets {
    /// For containers in their own networks.
    Private {
        /// The first two bytes of all its addresses.
        first_bytes: [u8; 2],
    },
    /// 127.x: for processes on a machine whose loopback is the whole of 127.0.0.0/8.
    Loopback {
        /// The x.
        second_byte: u8,
    },
    /// 127.0.0.1 for all: for processes on a machine whose loopback has no other address. They differ by port.
    Localhost,
}

/// The first /24 of the front network for clients; nodes have those below.
const FIRST_CLIENT_BLOCK: u8 = 16;
/// The end of the front network's /24s: it is a /17.
const END_OF_CLIENT_BLOCKS: u8 = 128;

impl Subnets {
    /// How many client addresses the front network has: 250 in each /24 for clients.
    pub const CLIENT_ADDRESSES: u32 = (END_OF_CLIENT_BLOCKS - FIRST_CLIENT_BLOCK) as u32 * 250;

    /// Ranges for what is resolved and never started.
    pub const SAMPLE: Self = Self::Private { first_bytes: [10, 77] };

    /// The ranges to try in order until one is free: those of `chosen`, or 10.77 to 10.250.
    #[must_use]
    pub fn candidates(chosen: Option<AddressRange>) -> Vec<Self> {
        let Some(AddressRange(Subnet { base, prefix })) = chosen else {
            return (77..=250).map(|second| Self::Private { first_bytes: [10, second] }).collect();
        };
        let [first, second, ..] = base.octets();
        let start = u16::from_be_bytes([first, second]);
        let count = 1u16 << (16 - prefix);
        (0..count).map(|offset| Self::Private { first_bytes: (start + offset).to_be_bytes() }).collect()
    }

    /// The whole /16.
    #[must_use]
    pub fn whole(self) -> Subnet {
        let [first, second] = self.first_bytes();
        Subnet { base: Ipv4Addr::new(first, second, 0, 0), prefix: 16 }
    }

    /// The loopback ranges to try, in order.
    pub fn loopback_candidates() -> impl Iterator<Item = Self> {
        (77..=250).map(|second_byte| Self::Loopback { second_byte })
    }

    const fn first_bytes(self) -> [u8; 2] {
        match self {
            Self::Private { first_bytes } => first_bytes,
            Self::Loopback { second_byte } => [127, second_byte],
            Self::Localhost => [127, 0],
        }
    }

    /// The range of one network.
    #[must_use]
    pub fn of(self, network: Network) -> Subnet {
        let (third, prefix) = match network {
            Network::Front => (0, 17),
            Network::Cluster => (128, 24),
            Network::Store => (129, 24),
        };
        let [first, second] = self.first_bytes();
        Subnet { base: Ipv4Addr::new(first, second, third, 0), prefix }
    }

    /// The part of a network's range for whatever is neither a node nor a client.
    #[must_use]
    pub fn others(self, network: Network) -> Subnet {
        let [a, b, c, _] = self.of(network).base.octets();
        match network {
            Network::Front => Subnet { base: Ipv4Addr::new(a, b, FIRST_CLIENT_BLOCK / 2, 0), prefix: 24 },
            Network::Cluster | Network::Store => Subnet { base: Ipv4Addr::new(a, b, c, 128), prefix: 25 },
        }
    }

    /// The address of the tier's node with this number (from 1) in a network.
    #[must_use]
    pub fn node(self, network: Network, tier: Tier, number: u8) -> Ipv4Addr {
        if self == Self::Localhost {
            return Ipv4Addr::LOCALHOST;
        }
        let [a, b, c, _] = self.of(network).base.octets();
        // Behind 32 app nodes and those that join.
        let offset = match tier {
            Tier::Balancer => 2,
            Tier::App => 10,
            Tier::Store => 50,
        };
        Ipv4Addr::new(a, b, c, offset + number)
    }

    /// The own address of the agent with this number, from 0, in the front network.
    #[must_use]
    pub fn agent(self, number: usize) -> Ipv4Addr {
        let [first, second] = self.first_bytes();
        // Behind the nodes.
        let last = if number == 0 { 2 } else { 100_usize.saturating_add(number) };
        Ipv4Addr::new(first, second, 0, u8::try_from(last).unwrap_or(u8::MAX))
    }

    /// Which of several agents has a client's address, by its /24, so that a network finds each agent's clients.
    #[must_use]
    pub fn agent_of(client: Ipv4Addr, agents: usize) -> u32 {
        let block = usize::from(client.octets()[2].saturating_sub(FIRST_CLIENT_BLOCK));
        u32::try_from(block % agents.max(1)).unwrap_or(u32::MAX)
    }

    /// The ranges of the client addresses that an agent other than the first one has.
    pub fn of_clients_of(self, agent: usize, agents: usize) -> impl Iterator<Item = Subnet> {
        let [first, second] = self.first_bytes();
        let blocks = (FIRST_CLIENT_BLOCK..END_OF_CLIENT_BLOCKS).skip(agent).step_by(agents.max(1));
        blocks.map(move |third| Subnet { base: Ipv4Addr::new(first, second, third, 0), prefix: 24 })
    }

    /// The ranges of all client addresses, and of nothing else.
    #[must_use]
    pub fn of_clients(self) -> [Subnet; 3] {
        let [first, second] = self.first_bytes();
        // The /24s from 16 to 127, in as few ranges as that takes.
        [(16, 20), (32, 19), (64, 18)]
            .map(|(third, prefix)| Subnet { base: Ipv4Addr::new(first, second, third, 0), prefix })
    }

    /// Addresses for clients. Consecutive ones are in different /24s, because some balancers hash only the /24 (nginx's
    /// `ip_hash`). At most [`Self::CLIENT_ADDRESSES`]; none on [`Self::Localhost`].
    #[must_use]
    pub fn clients(self, count: u32) -> Vec<Ipv4Addr> {
        if self == Self::Localhost {
            return Vec::new();
        }
        let [first, second] = self.first_bytes();
        let blocks = u32::from(END_OF_CLIENT_BLOCKS - FIRST_CLIENT_BLOCK);
        let byte = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
        (0..count.min(Self::CLIENT_ADDRESSES))
            .map(|i| Ipv4Addr::new(first, second, FIRST_CLIENT_BLOCK + byte(i % blocks), byte(i / blocks + 1)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::topology::{BALANCER_NODES, STORE_NODES};

    #[test]
    fn no_two_nodes_or_clients_of_a_network_share_an_address() {
        let subnets = Subnets::candidates(None)[0];
        let mut seen: BTreeSet<Ipv4Addr> = (0..16).map(|number| subnets.agent(number)).collect();
        let (balancers, stores) = (*BALANCER_NODES.end(), *STORE_NODES.end());
        for (tier, count) in [(Tier::Balancer, balancers), (Tier::App, 32), (Tier::Store, stores)] {
            for number in 1..=count {
                assert!(seen.insert(subnets.node(Network::Front, tier, number)), "{tier}-{number}");
            }
        }
        for client in subnets.clients(Subnets::CLIENT_ADDRESSES + 1) {
            assert!(seen.insert(client), "{client}");
        }
        assert_eq!(seen.len(), 48 + usize::from(balancers + stores) + Subnets::CLIENT_ADDRESSES as usize);
    }

    #[test]
    fn the_ranges_of_clients_have_every_client_and_no_node() {
        let subnets = Subnets::candidates(None)[0];
        let is_there = |address: Ipv4Addr| {
            let address = Subnet { base: address, prefix: 32 };
            subnets.of_clients().into_iter().any(|range| range.overlaps(address))
        };
        assert!(subnets.clients(Subnets::CLIENT_ADDRESSES).into_iter().all(is_there));
        assert!(!is_there(subnets.agent(0)) && !is_there(subnets.node(Network::Front, Tier::App, 32)));
        assert!(!is_there(subnets.others(Network::Front).base));
    }

    #[test]
    fn each_client_is_in_the_ranges_of_one_agent_and_agents_have_about_as_many() {
        let subnets = Subnets::candidates(None)[0];
        let mut clients = [0; 3];
        for client in subnets.clients(1000) {
            let is_of = |agent: &usize| {
                let address = Subnet { base: client, prefix: 32 };
                subnets.of_clients_of(*agent, 3).any(|range| range.overlaps(address))
            };
            let of: Vec<usize> = (0..3).filter(is_of).collect();
            assert_eq!(of, [Subnets::agent_of(client, 3) as usize]);
            clients[of[0]] += 1;
        }
        assert_eq!(clients, [339, 331, 330]);
    }

    #[test]
    fn consecutive_clients_are_in_different_blocks_of_256() {
        let subnets = Subnets::candidates(None)[0];
        let blocks: BTreeSet<u8> = subnets.clients(112).iter().map(|client| client.octets()[2]).collect();
        assert_eq!(blocks.len(), 112);
    }

    #[test]
    fn a_chosen_range_is_divided_into_16s_and_an_invalid_one_says_why() {
        let shown = |text: &str| -> Vec<String> {
            let subnets = Subnets::candidates(Some(text.parse().unwrap()));
            subnets.iter().map(|subnets| subnets.whole().to_string()).collect()
        };
        assert_eq!(shown("172.30.0.0/15"), ["172.30.0.0/16", "172.31.0.0/16"]);
        assert_eq!(shown("10.0.0.0/8").len(), 256);
        let refused = |text: &str| text.parse::<AddressRange>().unwrap_err();
        assert!(refused("10.77.0.0/24").starts_with("a cluster needs a /16"), "{}", refused("10.77.0.0/24"));
        assert!(refused("10.77.1.0/16").starts_with("10.77.1.0 has bits set"), "{}", refused("10.77.1.0/16"));
        assert!(refused("10.77").starts_with("there is no `/`"));
        assert!(refused("127.0.0.0/8").starts_with("loopback"));
    }

    #[test]
    fn ranges_overlap_if_they_have_an_address_in_common() {
        let subnet = |base: [u8; 4], prefix| Subnet { base: base.into(), prefix };
        assert!(subnet([10, 0, 0, 0], 8).overlaps(subnet([10, 77, 0, 0], 16)));
        assert!(subnet([10, 77, 3, 9], 32).overlaps(subnet([10, 77, 0, 0], 16)));
        assert!(!subnet([10, 78, 0, 0], 16).overlaps(subnet([10, 77, 0, 0], 16)));
        assert!(subnet([0, 0, 0, 0], 0).overlaps(subnet([10, 77, 0, 0], 16)));
    }
}
