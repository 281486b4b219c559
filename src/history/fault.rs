//! What can be done to a node. How it is done is the matter of `fault`; what became of it stands in a
//! [`super::FaultRecord`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::secrets;
use crate::topology::Network;

/// How long a node that is asked to end has for it, where nothing else is said, in milliseconds.
pub const USUAL_GRACE_MS: u64 = 10_000;

/// What can be done, without how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL, and later a start.
    Kill,
    /// SIGKILL of the process alone, while its host lives on and refuses connections at once; and later a start.
    KillProcess,
    /// SIGTERM and time to end, and later a start.
    Stop,
    /// SIGTERM and time to end, and a start at once.
    Restart,
    /// Every app node in turn: stopped, started, ready, next.
    RollingRestart,
    /// Standing still, and later going on.
    Pause,
    /// Packets between nodes are dropped.
    Partition,
    /// A share of the packets is dropped.
    Loss,
    /// Connections are reset.
    Reject,
    /// No more than so many bytes a second.
    Rate,
    /// Packets are late.
    Delay,
    /// Packets overtake each other.
    Reorder,
    /// Packets have a wrong bit.
    Corrupt,
    /// Less of a core.
    Cpu,
    /// Killed for want of memory.
    Memory,
    /// Killed, and back with an empty disk.
    Clear,
    /// A node more.
    Join,
    /// A node less, for good.
    Leave,
    /// A command of the user's.
    Command,
}

/// What a fault takes of the runtime and the kernel.
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
    /// Standing still without an end.
    Freezer,
    /// A shell in the node.
    Shell,
    /// A disk of the node's own.
    Disk,
    /// Commands on the driver's machine.
    Commands,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Kill,
        Self::KillProcess,
        Self::Stop,
        Self::Restart,
        Self::RollingRestart,
        Self::Pause,
        Self::Partition,
        Self::Loss,
        Self::Reject,
        Self::Rate,
        Self::Delay,
        Self::Reorder,
        Self::Corrupt,
        Self::Cpu,
        Self::Memory,
        Self::Clear,
        Self::Join,
        Self::Leave,
        Self::Command,
    ];

    /// As profiles write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillProcess => "kill-process",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::RollingRestart => "rolling-restart",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::Loss => "loss",
            Self::Reject => "reject",
            Self::Rate => "rate",
            Self::Delay => "delay",
            Self::Reorder => "reorder",
            Self::Corrupt => "corrupt",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Clear => "clear",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Command => "command",
        }
    }

    /// What it is, in one line.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Kill => "ends the node's process with SIGKILL; heals by starting the node again",
            Self::KillProcess => {
                "ends the node's process with SIGKILL while its host lives on and refuses connections; heals by starting it again"
            }
            Self::Stop => "asks the node's process to end, as a deployment does; heals by starting the node again",
            Self::Restart => "asks the node's process to end and starts it again at once",
            Self::RollingRestart => "stops and starts every app node, one after the other has become ready",
            Self::Pause => {
                "stops the node's process: connections stay open and nothing answers; heals by letting it go on"
            }
            Self::Partition => "drops packets between the node and others; heals by letting them through",
            Self::Loss => "drops a share of the packets between the node and others",
            Self::Reject => "resets connections between the node and others",
            Self::Rate => "limits how many bytes a second the node can send",
            Self::Delay => "delays what the node sends, with or without jitter",
            Self::Reorder => "lets a share of what the node sends overtake the rest",
            Self::Corrupt => "flips a bit in a share of the packets that the node sends",
            Self::Cpu => "limits the node to a part of a core",
            Self::Memory => "fills the node's memory until the kernel kills it; heals by starting the node again",
            Self::Clear => "ends the node with SIGKILL and makes it anew, with an empty disk",
            Self::Join => "starts an app node more, and tells the balancer of it when it is ready",
            Self::Leave => "takes an app node from the balancer, lets it end what it has begun, and stops it for good",
            Self::Command => "runs a command of your own, and another one to heal",
        }
    }

    /// What it takes.
    #[must_use]
    pub const fn needs(self) -> &'static [Ability] {
        match self {
            Self::Kill
            | Self::KillProcess
            | Self::Stop
            | Self::Restart
            | Self::RollingRestart
            | Self::Join
            | Self::Leave => &[Ability::Signals],
            Self::Pause => &[Ability::Freezer],
            Self::Partition | Self::Loss | Self::Reject => &[Ability::PacketFilter],
            Self::Rate => &[Ability::RateLimit],
            Self::Delay | Self::Reorder | Self::Corrupt => &[Ability::Netem],
            Self::Cpu => &[Ability::CpuLimit],
            Self::Memory => &[Ability::Shell, Ability::MemoryLimit],
            Self::Clear => &[Ability::Disk],
            Self::Command => &[Ability::Commands],
        }
    }

    /// Whether it is over as soon as it has been done, so that no profile says when.
    #[must_use]
    pub const fn heals_at_once(self) -> bool {
        matches!(self, Self::Restart | Self::RollingRestart | Self::Join | Self::Leave)
    }

    /// Whether two of them cannot be done to one node at the same time. Whatever ends or stops a node excludes all
    /// else, and a network has one rule of each kind.
    #[must_use]
    pub fn excludes(self, other: Self) -> bool {
        let needs = |kind: Self, any_of: &[Ability]| kind.needs().iter().any(|ability| any_of.contains(ability));
        let lets_it_run =
            |kind: Self| needs(kind, &[Ability::PacketFilter, Ability::RateLimit, Ability::Netem, Ability::CpuLimit]);
        let shapes = |kind: Self| needs(kind, &[Ability::RateLimit, Ability::Netem]);
        if self == Self::Command || other == Self::Command {
            return false;
        }
        // A network interface has one queue.
        self == other || !lets_it_run(self) || !lets_it_run(other) || (shapes(self) && shapes(other))
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Ability {
    /// Whether it is about the network of a node.
    #[must_use]
    pub const fn is_of_the_network(self) -> bool {
        matches!(self, Self::PacketFilter | Self::RateLimit | Self::Netem)
    }

    /// What it is, in words that go after "it takes".
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Signals => "signals",
            Self::PacketFilter => "packet filters (iptables) in the nodes' network namespaces",
            Self::RateLimit => "rate limits (tc tbf) in the nodes' network namespaces",
            Self::Netem => "netem in the kernel",
            Self::CpuLimit => "limits of processor time that can be changed while a node runs",
            Self::MemoryLimit => "limits of memory",
            Self::Freezer => "nodes that can be made to stand still",
            Self::Shell => "a shell in the node",
            Self::Disk => "nodes with disks of their own",
            Self::Commands => "commands on this machine",
        }
    }
}

/// Which packets of a node a fault is about, by the direction in which they go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Those that come and those that go.
    #[default]
    Both,
    /// Those that come to the node.
    In,
    /// Those that the node sends.
    Out,
}

/// Which packets of a node a fault is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packets {
    /// Those from and to these nodes; none: from and to everybody.
    pub from: Vec<String>,
    /// On these networks; none: on all in which the node stands.
    pub networks: Vec<Network>,
    /// In this direction.
    pub direction: Direction,
}

/// A fault with how much of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// See [`FaultKind::Kill`], and so on.
    Kill,
    /// See there.
    KillProcess,
    /// With so many milliseconds to end.
    Stop {
        /// Then it is killed.
        grace_ms: u64,
    },
    /// With so many milliseconds to end.
    Restart {
        /// Then it is killed.
        grace_ms: u64,
    },
    /// With so many milliseconds to end, each.
    RollingRestart {
        /// Then it is killed.
        grace_ms: u64,
    },
    /// Standing still.
    Pause,
    /// Of these packets none arrives.
    Partition(Packets),
    /// Of these packets a share does not arrive.
    Loss {
        /// Which packets.
        packets: Packets,
        /// Of 1.
        share: f64,
    },
    /// Connections with these packets are reset.
    Reject(Packets),
    /// What the node sends.
    Rate {
        /// On these networks; none: on all.
        networks: Vec<Network>,
        /// At most so much.
        bytes_per_second: u64,
    },
    /// What the node sends.
    Delay {
        /// On these networks; none: on all.
        networks: Vec<Network>,
        /// So late.
        delay_ms: u64,
        /// More or less so much.
        jitter_ms: u64,
    },
    /// What the node sends.
    Reorder {
        /// On these networks; none: on all.
        networks: Vec<Network>,
        /// Of 1.
        share: f64,
    },
    /// What the node sends.
    Corrupt {
        /// On these networks; none: on all.
        networks: Vec<Network>,
        /// Of 1.
        share: f64,
    },
    /// So much of a core.
    Cpu {
        /// Of 1.
        cores: f64,
    },
    /// Out of memory.
    Memory,
    /// With an empty disk.
    Clear,
    /// A node more.
    Join,
    /// With so many milliseconds to end.
    Leave {
        /// Then it is killed.
        grace_ms: u64,
    },
    /// Programs with their arguments. They find the node's name in `NODE`, and its addresses in `ADDRESS_FRONT` and so on.
    Command {
        /// What is run to inject; it must exit with 0. Told without secrets.
        #[serde(serialize_with = "secrets::serialize")]
        inject: Vec<String>,
        /// What is run to heal; it must exit with 0. Told without secrets.
        #[serde(serialize_with = "secrets::serialize")]
        heal: Vec<String>,
    },
}

impl Fault {
    /// Which one it is.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::Kill => FaultKind::Kill,
            Self::KillProcess => FaultKind::KillProcess,
            Self::Stop { .. } => FaultKind::Stop,
            Self::Restart { .. } => FaultKind::Restart,
            Self::RollingRestart { .. } => FaultKind::RollingRestart,
            Self::Pause => FaultKind::Pause,
            Self::Partition(_) => FaultKind::Partition,
            Self::Loss { .. } => FaultKind::Loss,
            Self::Reject(_) => FaultKind::Reject,
            Self::Rate { .. } => FaultKind::Rate,
            Self::Delay { .. } => FaultKind::Delay,
            Self::Reorder { .. } => FaultKind::Reorder,
            Self::Corrupt { .. } => FaultKind::Corrupt,
            Self::Cpu { .. } => FaultKind::Cpu,
            Self::Memory => FaultKind::Memory,
            Self::Clear => FaultKind::Clear,
            Self::Join => FaultKind::Join,
            Self::Leave { .. } => FaultKind::Leave,
            Self::Command { .. } => FaultKind::Command,
        }
    }

    /// How much of it, in words; empty where the kind says it all.
    #[must_use]
    pub fn detail(&self) -> String {
        let percent = |share: f64| format!("{} %", share * 100.0);
        match self {
            Self::Kill | Self::KillProcess | Self::Pause | Self::Memory | Self::Clear | Self::Join => String::new(),
            Self::Stop { grace_ms }
            | Self::Restart { grace_ms }
            | Self::RollingRestart { grace_ms }
            | Self::Leave { grace_ms } => {
                format!("{} s to end", *grace_ms as f64 / 1000.0)
            }
            Self::Partition(packets) | Self::Reject(packets) => packets.describe(),
            Self::Loss { packets, share } => format!("{} {}", percent(*share), packets.describe()),
            Self::Rate { networks, bytes_per_second } => {
                format!("{bytes_per_second} bytes a second{}", on(networks))
            }
            Self::Delay { networks, delay_ms, jitter_ms: 0 } => format!("{delay_ms} ms{}", on(networks)),
            Self::Delay { networks, delay_ms, jitter_ms } => {
                format!("{delay_ms} ms, {jitter_ms} more or less{}", on(networks))
            }
            Self::Reorder { networks, share } | Self::Corrupt { networks, share } => {
                format!("{}{}", percent(*share), on(networks))
            }
            Self::Cpu { cores } => format!("{cores} of a core"),
            Self::Command { inject, .. } => secrets::masked(inject).join(" "),
        }
    }
}

impl Packets {
    fn describe(&self) -> String {
        let whom = if self.from.is_empty() { "everybody".to_owned() } else { self.from.join(", ") };
        let way = match self.direction {
            Direction::Both => "from and to",
            Direction::In => "from",
            Direction::Out => "to",
        };
        format!("{way} {whom}{}", on(&self.networks))
    }
}

fn on(networks: &[Network]) -> String {
    if networks.is_empty() {
        return String::new();
    }
    let names: Vec<String> = networks.iter().map(ToString::to_string).collect();
    format!(" on {}", names.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_node_excludes_all_else_and_what_shapes_its_network_other_shapes() {
        use FaultKind::{Command, Cpu, Delay, Kill, Loss, Partition, Pause, Rate};
        assert!(Kill.excludes(Pause) && Kill.excludes(Partition) && Pause.excludes(Cpu) && Kill.excludes(Kill));
        assert!(Rate.excludes(Delay) && Loss.excludes(Loss));
        assert!(!Partition.excludes(Loss) && !Partition.excludes(Cpu) && !Rate.excludes(Loss));
        assert!(!Command.excludes(Kill) && !Kill.excludes(Command));
        for one in FaultKind::ALL {
            for other in FaultKind::ALL {
                assert_eq!(one.excludes(other), other.excludes(one), "{one} {other}");
            }
        }
    }

    #[test]
    fn every_kind_is_written_as_its_word() {
        for kind in FaultKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
    }

    #[test]
    fn a_fault_says_how_much_of_it() {
        let packets =
            Packets { from: vec!["store".into()], networks: vec![Network::Store], direction: Direction::Both };
        assert_eq!(Fault::Partition(packets.clone()).detail(), "from and to store on store");
        assert_eq!(Fault::Loss { packets, share: 0.2 }.detail(), "20 % from and to store on store");
        assert_eq!(Fault::Partition(Packets::default()).detail(), "from and to everybody");
        assert_eq!(Fault::Rate { networks: Vec::new(), bytes_per_second: 1000 }.detail(), "1000 bytes a second");
        assert_eq!(Fault::Stop { grace_ms: 1500 }.detail(), "1.5 s to end");
    }
}
