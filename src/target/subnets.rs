//! Who has which address. Addresses are pinned, because an engine hands the address of a dead node
//! to the next one, while a balancer still believes in the old owner.

use std::fmt;
use std::net::Ipv4Addr;

use serde::Serialize;

use super::{Network, Tier};

/// An IPv4 range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Subnet {
    /// The first address.
    pub base: Ipv4Addr,
    /// How many leading bits are fixed.
    pub prefix: u8,
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

/// The address ranges of one cluster: a /16, divided among its networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subnets {
    /// 10.x: for containers in their own networks.
    Private {
        /// The x.
        second_byte: u8,
    },
    /// 127.x: for processes on a machine whose loopback is the whole of 127.0.0.0/8.
    Loopback {
        /// The x.
        second_byte: u8,
    },
    /// 127.0.0.1 for all: for processes on a machine whose loopback has nothing else. Ports tell them apart.
    Localhost,
}

/// The /24s of the front network below this are the nodes'; the clients have those from here on.
const FIRST_CLIENT_BLOCK: u8 = 16;
/// The front network is a /17: its /24s end before this.
const END_OF_CLIENT_BLOCKS: u8 = 128;

impl Subnets {
    /// How many client addresses the front network holds: 250 in each of its /24s for clients.
    pub const CLIENT_ADDRESSES: u32 = (END_OF_CLIENT_BLOCKS - FIRST_CLIENT_BLOCK) as u32 * 250;

    /// The ranges to try, one after the other, until the engine has one free.
    pub fn candidates() -> impl Iterator<Item = Self> {
        (77..=250).map(|second_byte| Self::Private { second_byte })
    }

    /// The same on the loopback.
    pub fn loopback_candidates() -> impl Iterator<Item = Self> {
        (77..=250).map(|second_byte| Self::Loopback { second_byte })
    }

    const fn first_bytes(self) -> [u8; 2] {
        match self {
            Self::Private { second_byte } => [10, second_byte],
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

    /// The address of the tier's node with this number (from 1) in a network.
    #[must_use]
    pub fn node(self, network: Network, tier: Tier, number: u8) -> Ipv4Addr {
        if self == Self::Localhost {
            return Ipv4Addr::LOCALHOST;
        }
        let [a, b, c, _] = self.of(network).base.octets();
        let offset = match tier {
            Tier::Balancer => 2,
            Tier::Store => 6,
            Tier::App => 10,
        };
        Ipv4Addr::new(a, b, c, offset + number)
    }

    /// The agent's own address in the front network.
    #[must_use]
    pub fn agent(self) -> Ipv4Addr {
        let [first, second] = self.first_bytes();
        Ipv4Addr::new(first, second, 0, 2)
    }

    /// Addresses for clients, each next one in another /24, because balancers look at /24s (nginx's
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

    #[test]
    fn no_two_nodes_or_clients_of_a_network_share_an_address() {
        let subnets = Subnets::candidates().next().unwrap();
        let mut seen = BTreeSet::from([subnets.agent()]);
        for (tier, count) in [(Tier::Balancer, 2), (Tier::App, 32), (Tier::Store, 3)] {
            for number in 1..=count {
                assert!(seen.insert(subnets.node(Network::Front, tier, number)), "{tier}-{number}");
            }
        }
        for client in subnets.clients(Subnets::CLIENT_ADDRESSES + 1) {
            assert!(seen.insert(client), "{client}");
        }
        assert_eq!(seen.len(), 38 + Subnets::CLIENT_ADDRESSES as usize);
    }

    #[test]
    fn neighbouring_clients_stand_in_different_blocks_of_256() {
        let subnets = Subnets::candidates().next().unwrap();
        let blocks: BTreeSet<u8> = subnets.clients(112).iter().map(|client| client.octets()[2]).collect();
        assert_eq!(blocks.len(), 112);
    }
}
