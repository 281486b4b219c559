//! What a fault may need of the runtime and the kernel, so that what cannot be done is known before a trial.

use serde::{Deserialize, Serialize};

/// One thing that a runtime can do to a node, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ability {
    /// Ending, stopping and starting processes.
    Signals,
    /// Rules for packets in a node's own network namespace.
    PacketFilter,
    /// A limited rate in a node's own network namespace.
    RateLimit,
    /// Late, reordered and damaged packets in a node's own network namespace: the kernel's netem.
    Netem,
    /// A limit of processor time that changes while a node runs.
    CpuLimit,
    /// A limit of memory at which the kernel kills.
    MemoryLimit,
    /// Pausing for as long as it takes.
    Freezer,
    /// A shell in the node.
    Shell,
    /// A disk of the node's own.
    Disk,
    /// Commands on the driver's machine.
    Commands,
}

impl Ability {
    /// Whether it is about the network of a node.
    #[must_use]
    pub const fn is_of_the_network(self) -> bool {
        matches!(self, Self::PacketFilter | Self::RateLimit | Self::Netem)
    }

    /// What it is, in words that go after "it needs".
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
        }
    }
}
