//! What nodes used and moved, sampled while a trial runs. Counters are the kernel's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::topology::Network;

/// Bytes that passed an interface, counted by the kernel since the interface exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Towards the node.
    pub received_bytes: u64,
    /// From the node.
    pub sent_bytes: u64,
}

/// What one node used and moved, at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSample {
    /// The node's name; the agent's is `agent`.
    pub node: String,
    /// By the runtime's clock, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// How often the node has been started: counters begin anew each time.
    pub starts: u32,
    /// Memory that only this node has, without file caches; none where the runtime does not tell.
    pub resident_bytes: Option<u64>,
    /// CPU time since the start; none where the runtime does not tell.
    pub cpu_ns: Option<u64>,
    /// Counters by network since the start.
    pub networks: BTreeMap<Network, Traffic>,
}
