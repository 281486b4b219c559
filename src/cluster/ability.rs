//! Abilities of the runtime and the kernel that faults need, so that unsupported faults are known before a trial.

use serde::{Deserialize, Serialize};

/// One ability that a runtime has or lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ability {
    /// Killing, stopping and starting processes.
    Signals,
    /// Packet filter rules in a node's own network namespace.
    PacketFilter,
    /// A rate limit in a node's own network namespace.
    RateLimit,
    /// Delayed, reordered and corrupted packets in a node's own network namespace, with the kernel's netem.
    Netem,
    /// A CPU limit that can be changed while a node runs.
    CpuLimit,
    /// A memory limit at which the kernel kills the process.
    MemoryLimit,
    /// Pausing a node for any length of time.
    Freezer,
    /// A shell in the node.
    Shell,
    /// A disk that only the node uses.
    Disk,
    /// Commands on the driver's machine.
    Commands,
    /// Hosts with names, each with nodes that share it.
    Hosts,
}

impl Ability {
    /// Whether it concerns a node's network.
    #[must_use]
    pub const fn is_of_the_network(self) -> bool {
        matches!(self, Self::PacketFilter | Self::RateLimit | Self::Netem)
    }

    /// Its description, to follow "it needs".
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Signals => "signals",
            Self::PacketFilter => "packet filters (iptables) in the nodes' network namespaces",
            Self::RateLimit => "rate limits (tc tbf) in the nodes' network namespaces",
            Self::Netem => "netem in the kernel",
            Self::CpuLimit => "limits of processor time that can be changed while a node runs",
            Self::MemoryLimit => "limits of memory",
            Self::Freezer => "nodes that can be paused",
            Self::Shell => "a shell in the node",
            Self::Disk => "nodes with disks of their own",
            Self::Commands => "commands on this machine",
            Self::Hosts => "several hosts (--hosts)",
        }
    }
}
