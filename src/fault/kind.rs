//! What is true of a fault whatever its parameters are: its name, what it needs, what it cannot be combined with. Each
//! fault's own file fills this in; the list of all faults is in `mod.rs`.

use std::fmt;

use crate::cluster::Ability;
use crate::topology::Tier;

/// The facts of one fault. A file states those that differ from [`FaultKind::new`].
#[derive(Clone, Copy, Debug)]
pub struct FaultKind {
    /// As profiles write it.
    pub name: &'static str,
    /// What it does and how it heals, in one line.
    pub description: &'static str,
    /// What the runtime and the kernel must be able to do.
    pub needs: &'static [Ability],
    /// What it takes of its node for itself.
    pub claims: Claim,
    /// The tiers to whose nodes it can be done.
    pub tiers: &'static [Tier],
    /// How its node is chosen.
    pub nodes: Nodes,
    /// Whose sessions it can hurt.
    pub hurts: Hurts,
    /// Whether it is over as soon as it has been done, so that no profile says when it heals.
    pub heals_by_itself: bool,
    /// Whether its node is gone for good afterwards.
    pub removes_node: bool,
    /// Whether the node's host must live on when its process ends.
    pub keeps_host: bool,
}

/// What a fault takes of its node: two faults that take the same cannot be done at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// All of the node, as whatever ends or stops it.
    WholeNode,
    /// One part of it: the node runs on, and other parts are free.
    Part(&'static str),
    /// Nothing that is known here.
    Nothing,
}

/// The queue in front of what a node sends: a network interface has one.
pub const SEND_QUEUE: Claim = Claim::Part("send queue");

/// How the node of a fault is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// By the profile.
    Chosen,
    /// Every app node, one after the other.
    EachAppInTurn,
    /// An app node that is not there before.
    New,
}

/// Whose sessions a fault can hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hurts {
    /// Of an app node: those of that node. Of a store or a balancer: everybody's.
    TheNode,
    /// Everybody's, wherever it is done.
    Everybody,
}

impl FaultKind {
    /// The most common facts: a fault of a chosen node, which has it for itself, and heals when the profile says.
    #[must_use]
    pub const fn new(name: &'static str, description: &'static str, needs: &'static [Ability]) -> Self {
        Self {
            name,
            description,
            needs,
            claims: Claim::WholeNode,
            tiers: &[Tier::App, Tier::Balancer, Tier::Store],
            nodes: Nodes::Chosen,
            hurts: Hurts::TheNode,
            heals_by_itself: false,
            removes_node: false,
            keeps_host: false,
        }
    }

    /// The fault of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().copied().find(|kind| kind.name == name)
    }

    /// The names of all of them, in the order of the list.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::ALL.iter().map(|kind| kind.name).collect()
    }

    /// Whether the two cannot be done to one node at the same time.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        match (self.claims, other.claims) {
            (Claim::Nothing, _) | (_, Claim::Nothing) => false,
            (Claim::WholeNode, _) | (_, Claim::WholeNode) => true,
            (Claim::Part(one), Claim::Part(other)) => one == other,
        }
    }

    /// Whether it runs commands of the profile's on this machine.
    #[must_use]
    pub fn runs_commands(&self) -> bool {
        self.needs.contains(&Ability::Commands)
    }

    /// Whether it is one of an app node that comes later.
    #[must_use]
    pub fn adds_node(&self) -> bool {
        self.nodes == Nodes::New
    }
}

/// A fault is known by its name.
impl PartialEq for FaultKind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for FaultKind {}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excludes(one: &str, other: &str) -> bool {
        FaultKind::find(one).unwrap().excludes(FaultKind::find(other).unwrap())
    }

    #[test]
    fn what_ends_a_node_excludes_all_else_and_what_shapes_its_network_other_shapes() {
        for (one, other) in [
            ("kill", "pause"),
            ("kill", "partition"),
            ("pause", "cpu"),
            ("kill", "kill"),
            ("rate", "delay"),
            ("loss", "loss"),
        ] {
            assert!(excludes(one, other), "{one} {other}");
        }
        for (one, other) in
            [("partition", "loss"), ("partition", "cpu"), ("rate", "loss"), ("command", "kill"), ("command", "command")]
        {
            assert!(!excludes(one, other), "{one} {other}");
        }
        for one in FaultKind::ALL {
            for other in FaultKind::ALL {
                assert_eq!(one.excludes(other), other.excludes(one), "{one} {other}");
            }
        }
    }

    #[test]
    fn every_fault_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = FaultKind::ALL.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), FaultKind::ALL.len());
    }
}
