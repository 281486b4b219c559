//! What a run tells while it works. Whoever shows it (a line on a terminal, a log) decides how.

use std::time::Duration;

use crate::record::Stage;
use crate::traffic::Summary;

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
