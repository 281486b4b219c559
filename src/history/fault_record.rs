//! Records each step of a fault with its time, so that the checker can distinguish a fault that landed from one that
//! was only attempted.

use serde::{Deserialize, Serialize};

use crate::topology::Tier;

/// The node of a fault that is applied to every app node in turn.
pub const EVERY_APP_NODE: &str = "every app node";

/// Faults that can hurt all sessions, for older records without `hurts_everybody`.
const HURT_EVERYBODY: [&str; 3] = ["rolling-restart", "join", "command"];

/// One step of a fault, verified or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultStep {
    /// When it was seen, in nanoseconds from the start of the load.
    pub at_ns: u64,
    /// A description of the observation.
    pub seen: String,
}

/// A fault with its observations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// The fault's name, as in profiles.
    pub kind: String,
    /// The extent of the fault, as text; empty if the kind says everything.
    #[serde(default)]
    pub detail: String,
    /// Its parameters; null in older records.
    #[serde(default)]
    pub parameters: serde_json::Value,
    /// Whether it can hurt the sessions of other app nodes than its own; `None` in older records.
    #[serde(default)]
    pub hurts_everybody: Option<bool>,
    /// The node that it was applied to, or [`EVERY_APP_NODE`].
    pub node: String,
    /// The node's tier; `None` if it is not a single node, and in older records.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// When it was ordered; from then on anything may be its effect.
    pub ordered_ns: Option<u64>,
    /// When it took effect: the runtime's own time if it reports one, which is slightly later than the effect.
    pub injected_ns: Option<u64>,
    /// When the balancer marked the node down, if it reports that.
    #[serde(default)]
    pub marked_down_ns: Option<u64>,
    /// When the balancer marked the node up after the heal, if it reports that.
    #[serde(default)]
    pub marked_up_ns: Option<u64>,
    /// When its heal was ordered.
    #[serde(default)]
    pub heal_ordered_ns: Option<u64>,
    /// When the heal was verified.
    pub healed_ns: Option<u64>,
    /// Observations, in the order of time.
    pub steps: Vec<FaultStep>,
    /// Why it could not be injected, verified or healed.
    pub error: Option<String>,
}

impl FaultRecord {
    /// A planned fault, of which nothing has happened yet.
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

    /// The instant from which events may be its effect; `None` if it did not land.
    #[must_use]
    pub fn effective_from_ns(&self) -> Option<u64> {
        self.injected_ns.map(|injected| self.ordered_ns.unwrap_or(injected).min(injected))
    }

    /// Whether it can hurt only the sessions of its own node. Faults of stores, of balancers and of several nodes can
    /// hurt all sessions.
    #[must_use]
    pub fn hurts_one_node(&self) -> bool {
        let hurts_everybody = self.hurts_everybody.unwrap_or_else(|| HURT_EVERYBODY.contains(&self.kind.as_str()));
        self.tier == Some(Tier::App) && !hurts_everybody
    }

    /// The single node that it was applied to; `None` if it was applied to every app node.
    #[must_use]
    pub fn victim(&self) -> Option<&str> {
        (self.node != EVERY_APP_NODE).then_some(&self.node)
    }

    /// Whether it was seen to take effect and to heal, without an error.
    #[must_use]
    pub fn landed_and_healed(&self) -> bool {
        self.injected_ns.is_some() && self.healed_ns.is_some() && self.error.is_none()
    }
}
