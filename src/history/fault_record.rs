//! What became of a fault: each step with its time, so that the checker can tell a fault that landed from one that was
//! only attempted.

use serde::{Deserialize, Serialize};

use super::{Fault, FaultKind};
use crate::topology::Tier;

/// One step of a fault's life, verified or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When, in nanoseconds from the start of the load.
    pub at_ns: u64,
    /// What was seen, in words.
    pub seen: String,
}

/// A fault with what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// What was done.
    pub kind: FaultKind,
    /// How much of it, in words; empty where the kind says it all.
    #[serde(default)]
    pub detail: String,
    /// To whom.
    pub node: String,
    /// In which tier that is; none where it is no single node, and in records of before.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// When it was ordered: from then on anything may be its effect.
    pub ordered_ns: Option<u64>,
    /// When it took effect: the runtime's own time where it tells one, which is a little after the fact.
    pub injected_ns: Option<u64>,
    /// When the balancer held the node for dead, where it tells.
    #[serde(default)]
    pub marked_down_ns: Option<u64>,
    /// When the balancer took it in again after the heal, where it tells.
    #[serde(default)]
    pub marked_up_ns: Option<u64>,
    /// When its heal was ordered.
    #[serde(default)]
    pub heal_ordered_ns: Option<u64>,
    /// When it was verified to be undone.
    pub healed_ns: Option<u64>,
    /// What was seen, in the order of time.
    pub steps: Vec<Step>,
    /// Why it could not be injected, verified or healed.
    pub error: Option<String>,
}

impl FaultRecord {
    /// A fault of which nothing has happened yet.
    #[must_use]
    pub fn planned(fault: &Fault, node: &str) -> Self {
        Self {
            kind: fault.kind(),
            detail: fault.detail(),
            node: node.to_owned(),
            tier: None,
            ordered_ns: None,
            injected_ns: None,
            marked_down_ns: None,
            marked_up_ns: None,
            heal_ordered_ns: None,
            healed_ns: None,
            steps: Vec::new(),
            error: None,
        }
    }

    /// From when on what happens may be its effect; none where it did not land.
    #[must_use]
    pub fn effective_from_ns(&self) -> Option<u64> {
        self.injected_ns.map(|injected| self.ordered_ns.unwrap_or(injected).min(injected))
    }

    /// Whether it can hurt the sessions of its node alone: faults of stores and balancers, and those that concern several
    /// nodes, can hurt everybody's.
    #[must_use]
    pub fn hurts_one_node(&self) -> bool {
        let is_of_several = matches!(self.kind, FaultKind::RollingRestart | FaultKind::Join | FaultKind::Command);
        self.tier == Some(Tier::App) && !is_of_several
    }

    /// Whether it was seen to take effect and seen to be undone.
    #[must_use]
    pub fn landed_and_healed(&self) -> bool {
        self.injected_ns.is_some() && self.healed_ns.is_some() && self.error.is_none()
    }
}
