//! The faults that a profile asks for: which faults, on which nodes, when, how often. The plan chooses the exact nodes
//! and times.

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::files::TableLines;
use crate::values::{Share, Time};

/// One `[[faults]]` table of a profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultSpec {
    /// The faults of which one is drawn each time.
    pub faults: Vec<Fault>,
    /// Only these targets get the fault; empty: all targets.
    pub targets: Vec<String>,
    /// The nodes that are hit each time.
    pub nodes: Vec<NodeChoice>,
    /// The time of the first injection, from the end of the warm-up.
    pub at: Time,
    /// The time from the injection to the healing.
    pub heal_after: Time,
    /// The interval between injections; `None`: the fault is injected once.
    pub every: Option<Time>,
    /// The maximum random delay that is added to each injection.
    pub scatter: Time,
    /// The lines of the table in the profile's file.
    #[serde(skip)]
    pub lines: TableLines,
}

impl FaultSpec {
    /// The name for messages: the names of its faults, joined with "or".
    #[must_use]
    pub fn name(&self) -> String {
        let kinds: Vec<&str> = self.faults.iter().map(|fault| fault.kind().name).collect();
        kinds.join(" or ")
    }

    /// Multiplies all of its times by `times`.
    pub fn scale(&mut self, times: Share) {
        for time in [&mut self.at, &mut self.heal_after, &mut self.scatter].into_iter().chain(&mut self.every) {
            *time = time.times(times);
        }
    }

    /// Whether this target gets the fault.
    #[must_use]
    pub fn is_for(&self, target: &str) -> bool {
        self.targets.is_empty() || self.targets.iter().any(|name| name == target)
    }
}

/// The node that a fault hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum NodeChoice {
    /// One app node, drawn with the plan's seed.
    Random,
    /// Each app node, at the same time.
    All,
    /// The app node that has moved the most bytes on the front network so far.
    Busiest,
    /// The app node that is the primary of the most sessions at that time.
    PrimaryOfMostSessions,
    /// A new app node.
    New,
    /// The node of this name.
    Named(String),
}

impl From<String> for NodeChoice {
    fn from(text: String) -> Self {
        match text.as_str() {
            "random" => Self::Random,
            "all" => Self::All,
            "busiest" => Self::Busiest,
            "new" => Self::New,
            "primary-of-most-sessions" => Self::PrimaryOfMostSessions,
            _ => Self::Named(text),
        }
    }
}

impl From<NodeChoice> for String {
    fn from(choice: NodeChoice) -> Self {
        match choice {
            NodeChoice::Random => "random".to_owned(),
            NodeChoice::All => "all".to_owned(),
            NodeChoice::Busiest => "busiest".to_owned(),
            NodeChoice::New => "new".to_owned(),
            NodeChoice::PrimaryOfMostSessions => "primary-of-most-sessions".to_owned(),
            NodeChoice::Named(name) => name,
        }
    }
}
