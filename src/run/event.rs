//! What a run tells while it works. A subscriber (a line on a terminal, a log) decides how it is shown.

use std::time::Duration;

use crate::cluster::docker::ImageEvent;
use crate::record::Stage;
use crate::traffic::Summary;

/// What a run tells.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// Something that the user should know.
    Note(&'a str),
    /// Something happened to an image that is built.
    Image(&'a ImageEvent),
    /// Everything is there, and the first trial is next.
    Ready,
    /// The last trial has ended.
    Done,
    /// Something happened in a trial.
    Trial {
        /// Its number.
        number: usize,
        /// Its target.
        target: &'a str,
        /// What happened.
        what: TrialEvent<'a>,
    },
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
