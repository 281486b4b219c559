//! Memory, CPU time and traffic of nodes, sampled during a trial. The counters are the kernel's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::topology::Network;

/// Bytes that passed an interface, counted by the kernel since the interface was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes that the node received.
    pub received_bytes: u64,
    /// Bytes that the node sent.
    pub sent_bytes: u64,
}

/// Memory, CPU time and traffic of one node at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSample {
    /// The node's name; the agent's is `agent`.
    pub node: String,
    /// The instant by the runtime's clock, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// How many times the node has been started; counters restart each time.
    pub starts: u32,
    /// Memory that only this node uses, without file caches; `None` if the runtime does not report it.
    pub resident_bytes: Option<u64>,
    /// CPU time since the start; `None` if the runtime does not report it.
    pub cpu_ns: Option<u64>,
    /// Counters by network since the start.
    pub networks: BTreeMap<Network, Traffic>,
}

/// Bytes that one node has sent to another one on a different host, counted since the sender's network was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSample {
    /// The node that sent them.
    pub from: String,
    /// The node that they went to.
    pub to: String,
    /// The instant by the runtime's clock, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// The bytes, with the headers of Ethernet and without those that an overlay adds.
    pub sent_bytes: u64,
}
