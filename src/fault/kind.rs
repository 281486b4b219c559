//! The facts of a fault that do not depend on its parameters: its name, what it needs, and which faults it excludes.
//! Each fault's own file defines them; the list of all faults is in `mod.rs`.

use std::fmt;

use crate::cluster::Ability;
use crate::topology::{Action, Tier};

/// The facts of one fault. A file states those that differ from [`FaultKind::new`].
#[derive(Clone, Copy, Debug)]
pub struct FaultKind {
    /// The name in profiles.
    pub name: &'static str,
    /// Its effect and its healing, in one line.
    pub description: &'static str,
    /// The required abilities of the runtime and the kernel.
    pub needs: &'static [Ability],
    /// The commands that do it to a node of a system that runs already; `None`: no command can.
    pub commands: Option<&'static [Action]>,
    /// The part of its node that it claims.
    pub claims: Claim,
    /// The tiers whose nodes it can be injected into.
    pub tiers: &'static [Tier],
    /// How its node is chosen.
    pub nodes: Nodes,
    /// The sessions that it can affect.
    pub hurts: Hurts,
    /// Whether it heals without `heal_after`: it is healed as soon as it has been injected.
    pub heals_by_itself: bool,
    /// Whether it removes its node for good.
    pub removes_node: bool,
    /// Whether the node's sandbox must keep running when the node's process ends.
    pub keeps_sandbox: bool,
}

/// The part of its node that a fault claims. Two faults that claim the same part exclude each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The whole node, for example because the fault ends or pauses it.
    WholeNode,
    /// One part: the node keeps running, and other faults can claim other parts.
    Part(&'static str),
    /// Nothing: the fault can be combined with every other fault.
    Nothing,
}

/// The send queue of a node; a network interface has only one.
pub const SEND_QUEUE: Claim = Claim::Part("send queue");

/// How the node of a fault is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// By the profile.
    Chosen,
    /// Every app node, one after the other.
    EachAppInTurn,
    /// A new app node.
    New,
}

/// The sessions that a fault can affect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hurts {
    /// On an app node: the sessions of that node. On a store or a balancer: all sessions.
    TheNode,
    /// All sessions, on every node.
    Everybody,
}

impl FaultKind {
    /// The most common facts: the profile sets the node and the time of healing, and the fault claims the whole node.
    #[must_use]
    pub const fn new(name: &'static str, description: &'static str, needs: &'static [Ability]) -> Self {
        Self {
            name,
            description,
            needs,
            commands: None,
            claims: Claim::WholeNode,
            tiers: &[Tier::App, Tier::Balancer, Tier::Store],
            nodes: Nodes::Chosen,
            hurts: Hurts::TheNode,
            heals_by_itself: false,
            removes_node: false,
            keeps_sandbox: false,
        }
    }

    /// The fault of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().copied().find(|kind| kind.name == name)
    }

    /// The names of all faults, in the order of the list.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::ALL.iter().map(|kind| kind.name).collect()
    }

    /// Whether the two cannot be injected into one node at the same time.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        match (self.claims, other.claims) {
            (Claim::Nothing, _) | (_, Claim::Nothing) => false,
            (Claim::WholeNode, _) | (_, Claim::WholeNode) => true,
            (Claim::Part(one), Claim::Part(other)) => one == other,
        }
    }

    /// Whether it runs commands from the profile on this machine.
    #[must_use]
    pub fn runs_commands(&self) -> bool {
        self.needs.contains(&Ability::Commands)
    }

    /// Whether it adds an app node.
    #[must_use]
    pub fn adds_node(&self) -> bool {
        self.nodes == Nodes::New
    }
}

/// Faults are equal if their names are.
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
    fn faults_that_claim_the_same_part_of_a_node_exclude_each_other() {
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
