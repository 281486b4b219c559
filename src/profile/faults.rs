//! What a profile wants to be done to nodes: which faults, to which nodes, when, how often. The plan
//! settles it.

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::files::TableLines;
use crate::values::{Share, Time};

/// Faults, as a profile asks for them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultSpec {
    /// One of these is drawn each time.
    pub faults: Vec<Fault>,
    /// Done to these targets only; none: to all.
    pub targets: Vec<String>,
    /// The nodes.
    pub nodes: Vec<NodeChoice>,
    /// When for the first time, from the end of the warm-up.
    pub at: Time,
    /// How long after the injection it is undone.
    pub heal_after: Time,
    /// After how long again; once, if never.
    pub every: Option<Time>,
    /// Each time is put off by up to so much, drawn.
    pub scatter: Time,
    /// Where it stands in the profile's file.
    #[serde(skip)]
    pub lines: TableLines,
}

impl FaultSpec {
    /// What it is called in messages.
    #[must_use]
    pub fn name(&self) -> String {
        let kinds: Vec<&str> = self.faults.iter().map(|fault| fault.kind().name).collect();
        kinds.join(" or ")
    }

    /// Makes all of its times so many times as long.
    pub fn scale(&mut self, times: Share) {
        for time in [&mut self.at, &mut self.heal_after, &mut self.scatter].into_iter().chain(&mut self.every) {
            *time = time.times(times);
        }
    }

    /// Whether it is done to this target.
    #[must_use]
    pub fn is_for(&self, target: &str) -> bool {
        self.targets.is_empty() || self.targets.iter().any(|name| name == target)
    }
}

/// Which node a fault hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum NodeChoice {
    /// One app node, drawn with the plan's seed.
    Random,
    /// Each app node, at the same time.
    All,
    /// The app node that has moved the most bytes on the front network until then.
    Busiest,
    /// The app node that holds the most sessions as their primary at that time.
    PrimaryOfMostSessions,
    /// One that is not there yet.
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
