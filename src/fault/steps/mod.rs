//! Steps that several faults share. Each knows a cluster and a node, and no fault.

pub mod drain;
pub mod ended;
pub mod packet_rules;
pub mod script;
pub mod send_queue;

use crate::topology::Network;

/// Networks in words that go after what is done on them; empty for all.
pub fn on_networks(networks: &[Network]) -> String {
    if networks.is_empty() {
        return String::new();
    }
    let names: Vec<String> = networks.iter().map(ToString::to_string).collect();
    format!(" on {}", names.join(" and "))
}
