//! Events of a run. The subscriber (a progress line on a terminal, a log) decides how to show them.

use std::time::Duration;

use crate::cluster::docker::ImageEvent;
use crate::record::Stage;
use crate::traffic::Summary;

/// An event of a run.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A message for the user.
    Note(&'a str),
    /// A step in building an image.
    Image(&'a ImageEvent),
    /// Preparation is complete; the first trial is next.
    Ready,
    /// The last trial has ended.
    Done,
    /// An event of a trial.
    Trial {
        /// Its number.
        number: usize,
        /// Its target.
        target: &'a str,
        /// The event.
        what: TrialEvent<'a>,
    },
}

/// An event of a trial.
#[derive(Clone, Debug)]
pub enum TrialEvent<'a> {
    /// A stage begins.
    Stage(Stage),
    /// About a second of traffic has passed.
    Traffic {
        /// The figures of that second.
        summary: Summary,
        /// The planned length of the whole load, with the warm-up.
        length: Duration,
    },
    /// A message about a fault or a node.
    Fault(&'a str),
}
