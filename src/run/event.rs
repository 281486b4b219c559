//! What a run tells while it works. Whoever shows it (a line on a terminal, a log) decides how.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agent::protocol::Summary;

/// A part of a trial that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Making networks and containers.
    Create,
    /// Starting nodes until they are ready.
    Start,
    /// The traffic, faults included.
    Load,
    /// Healing, settling and the final read.
    Settle,
    /// Fetching the history, logs and figures; judging.
    Collect,
    /// Removing everything.
    Remove,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "creating",
            Self::Start => "starting",
            Self::Load => "load",
            Self::Settle => "settling",
            Self::Collect => "collecting",
            Self::Remove => "removing",
        })
    }
}

/// What a run tells.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// The trial's number.
    pub trial: usize,
    /// Its target.
    pub target: &'a str,
    /// What happened.
    pub what: TrialEvent<'a>,
}

/// What happens in a trial.
#[derive(Clone, Debug)]
pub enum TrialEvent<'a> {
    /// A stage begins.
    Stage(Stage),
    /// About a second of traffic has passed.
    Traffic {
        /// What happened in it.
        summary: Summary,
        /// How long the load will go on in all.
        length: Duration,
    },
    /// Something happened to a node.
    Fault(&'a str),
}
