//! Chooses the node that gets a request, from the nodes that are up and the client. Does no I/O.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use crate::reference::config::{Balance, Sticky};

/// The balancing rule.
pub struct Choice {
    balance: Balance,
    sticky: Sticky,
    turn: Cell<usize>,
}

impl Choice {
    /// A rule that gives the first turn to the first node.
    pub const fn new(balance: Balance, sticky: Sticky) -> Self {
        Self { balance, sticky, turn: Cell::new(0) }
    }

    /// Whether clients get a cookie that names their node.
    pub fn sticks_by_cookie(&self) -> bool {
        self.sticky == Sticky::Cookie
    }

    /// Chooses from the names of the nodes that are up; `None` if there are none. `cookie` names the node that served
    /// the client before.
    pub fn choose<'a>(&self, up: &[&'a str], client: IpAddr, cookie: Option<&str>) -> Option<&'a str> {
        let met = up.iter().find(|name| self.sticks_by_cookie() && cookie == Some(**name));
        if let Some(met) = met {
            return Some(met);
        }
        match self.balance {
            Balance::RoundRobin => {
                let turn = self.turn.replace(self.turn.get().wrapping_add(1));
                up.get(turn.checked_rem(up.len())?).copied()
            }
            // As HAProxy's `balance source`: when a node goes down, most clients move to another one.
            Balance::Source => {
                let count = up.len() as u64;
                up.get(usize::try_from(hash(client).checked_rem(count)?).ok()?).copied()
            }
            // The node with the highest weight for this client (rendezvous hashing, Thaler and Ravishankar 1998): when
            // a node goes down, only its own clients move.
            Balance::Consistent => up.iter().copied().max_by_key(|name| hash((client, name))),
        }
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use super::*;

    const UP: [&str; 3] = ["app-1", "app-2", "app-3"];

    fn clients() -> impl Iterator<Item = IpAddr> {
        (0..600u32).map(|number| Ipv4Addr::from_bits(0x7f4d_1001 + number * 256).into())
    }

    fn by_client(balance: Balance, up: &[&'static str]) -> BTreeMap<IpAddr, &'static str> {
        let choice = Choice::new(balance, Sticky::None);
        clients().map(|client| (client, choice.choose(up, client, None).unwrap())).collect()
    }

    fn share(of: &BTreeMap<IpAddr, &str>, node: &str) -> usize {
        of.values().filter(|name| **name == node).count()
    }

    #[test]
    fn by_turns_every_node_gets_the_same() {
        let shares = by_client(Balance::RoundRobin, &UP);
        assert!(UP.iter().all(|node| share(&shares, node) == 200));
    }

    #[test]
    fn by_address_each_node_gets_about_a_third_and_a_client_always_the_same() {
        for balance in [Balance::Source, Balance::Consistent] {
            let shares = by_client(balance, &UP);
            assert!(UP.iter().all(|node| (150..250).contains(&share(&shares, node))), "{balance:?}");
            assert_eq!(shares, by_client(balance, &UP));
        }
    }

    #[test]
    fn consistent_hashing_moves_only_the_clients_of_the_node_that_goes() {
        let (before, after) = (by_client(Balance::Consistent, &UP), by_client(Balance::Consistent, &UP[..2]));
        assert!(before.iter().filter(|(_, node)| **node != "app-3").all(|(client, node)| after[client] == *node));
        let (before, after) = (by_client(Balance::Source, &UP), by_client(Balance::Source, &UP[..2]));
        let moved = before.iter().filter(|(client, node)| **node != "app-3" && after[client] != **node).count();
        assert!(moved > 100, "without it most others move too: {moved}");
    }

    #[test]
    fn a_cookie_leads_back_to_its_node_while_that_is_up() {
        let choice = Choice::new(Balance::RoundRobin, Sticky::Cookie);
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert!((0..9).all(|_| choice.choose(&UP, client, Some("app-3")) == Some("app-3")));
        assert_ne!(choice.choose(&UP[..2], client, Some("app-3")), Some("app-3"));
        assert!(choice.choose(&UP, client, Some("app-9")).is_some());
        let other = Choice::new(Balance::RoundRobin, Sticky::None);
        assert_eq!(other.choose(&UP, client, Some("app-3")), Some("app-1"), "only if it sticks");
    }

    #[test]
    fn without_a_node_there_is_no_choice() {
        for balance in [Balance::RoundRobin, Balance::Source, Balance::Consistent] {
            assert_eq!(by_nobody(balance), None);
        }
    }

    fn by_nobody(balance: Balance) -> Option<&'static str> {
        Choice::new(balance, Sticky::None).choose(&[], IpAddr::V4(Ipv4Addr::LOCALHOST), None)
    }
}
