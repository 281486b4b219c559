//! What became of a fault: each step with its time, so that the checker can tell a fault that landed from one that was
//! only attempted.

use serde::{Deserialize, Serialize};

use crate::topology::Tier;

/// The node of a fault that is done to every app node, one after the other.
pub const EVERY_APP_NODE: &str = "every app node";

/// Faults that can hurt everybody's sessions, of records that do not say so: those before `hurts_everybody` was written.
const HURT_EVERYBODY: [&str; 3] = ["rolling-restart", "join", "command"];

/// One step of a fault, verified or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultStep {
    /// When, in nanoseconds from the start of the load.
    pub at_ns: u64,
    /// What was seen, in words.
    pub seen: String,
}

/// A fault with what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// The fault's name, as profiles write it.
    pub kind: String,
    /// How much of it, in words; empty where the kind says it all.
    #[serde(default)]
    pub detail: String,
    /// Its parameters; null in records of before.
    #[serde(default)]
    pub parameters: serde_json::Value,
    /// Whether it can hurt the sessions of other app nodes than its own; none in records of before.
    #[serde(default)]
    pub hurts_everybody: Option<bool>,
    /// The node that it was done to, or [`EVERY_APP_NODE`].
    pub node: String,
    /// The node's tier; none where it is no single node, and in records of before.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// When it was ordered: from then on anything may be its effect.
    pub ordered_ns: Option<u64>,
    /// When it took effect: the runtime's own time where it tells one, which is a little after the fact.
    pub injected_ns: Option<u64>,
    /// When the balancer marked the node down, where it tells.
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
    pub steps: Vec<FaultStep>,
    /// Why it could not be injected, verified or healed.
    pub error: Option<String>,
}

impl FaultRecord {
    /// A fault of which nothing has happened yet.
    #[must_use]
    pub fn planned(kind: &str, node: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            detail: String::new(),
            parameters: serde_json::Value::Null,
            hurts_everybody: None,
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
        let hurts_everybody = self.hurts_everybody.unwrap_or_else(|| HURT_EVERYBODY.contains(&self.kind.as_str()));
        self.tier == Some(Tier::App) && !hurts_everybody
    }

    /// The one node that it was done to; none where it was every app node in turn.
    #[must_use]
    pub fn victim(&self) -> Option<&str> {
        (self.node != EVERY_APP_NODE).then_some(&self.node)
    }

    /// Whether it was seen to take effect and seen to be undone.
    #[must_use]
    pub fn landed_and_healed(&self) -> bool {
        self.injected_ns.is_some() && self.healed_ns.is_some() && self.error.is_none()
    }
}
