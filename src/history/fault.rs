//! What can be done to a node, and what became of it: each step with its time, so that the checker can
//! tell a fault that landed from one that was only attempted. How it is done is the matter of `fault`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What can be done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL, and later a start.
    Kill,
    /// SIGTERM and time to end, and later a start.
    Stop,
    /// Standing still, and later going on.
    Pause,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kill, Self::Stop, Self::Pause];

    /// What it is, in one line.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Kill => "ends the node's process with SIGKILL; heals by starting the node again",
            Self::Stop => "asks the node's process to end, as a deployment does; heals by starting the node again",
            Self::Pause => {
                "stops the node's process: connections stay open and nothing answers; heals by letting it go on"
            }
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Pause => "pause",
        })
    }
}

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
    /// To whom.
    pub node: String,
    /// When it was ordered: from then on anything may be its effect.
    pub ordered_ns: Option<u64>,
    /// When it took effect: the runtime's own time where it tells one, which is a little after the fact.
    pub injected_ns: Option<u64>,
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
    pub fn planned(kind: FaultKind, node: &str) -> Self {
        Self {
            kind,
            node: node.to_owned(),
            ordered_ns: None,
            injected_ns: None,
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

    /// Whether it was seen to take effect and seen to be undone.
    #[must_use]
    pub fn landed_and_healed(&self) -> bool {
        self.injected_ns.is_some() && self.healed_ns.is_some() && self.error.is_none()
    }
}
