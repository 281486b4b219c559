//! Steps that several faults share. A step knows a cluster and a node; it must not know faults.

pub mod administration;
pub mod drain;
pub mod ended;
pub mod host;
pub mod in_turn;
pub mod packet_rules;
pub mod script;
pub mod send_queue;

use crate::topology::Network;

/// The networks as the end of a description, such as " on front and cluster"; empty for all networks.
pub fn on_networks(networks: &[Network]) -> String {
    if networks.is_empty() {
        return String::new();
    }
    let names: Vec<String> = networks.iter().map(ToString::to_string).collect();
    format!(" on {}", names.join(" and "))
}
