//! Conducts a plan: one trial after the other, each on a fresh cluster, saved as soon as it is measured.

mod conduct;
mod event;
mod faults;
mod sampler;
mod trial;

use std::time::Duration;

use tokio::sync::watch;

use crate::check::{Judgement, Verdict};
use crate::cluster::ClusterError;
use crate::measure::Measurements;
use crate::record::RecordError;

pub use conduct::bring_up;
pub use event::{Event, Stage, TrialEvent};
pub use trial::{Setting, run_trial};

/// Whether the user wants the run to end. The value is the signal's number.
pub type Interrupt = watch::Receiver<Option<i32>>;

/// A run that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The engine, an image, a node that does not start.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The disk.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// What came out of a trial.
#[derive(Clone, Debug)]
pub struct TrialResult {
    /// Its number in the plan.
    pub number: usize,
    /// Its target's name.
    pub target: String,
    /// What was decided.
    pub judgement: Judgement,
    /// Its figures; none where there is nothing to measure.
    pub measurements: Option<Measurements>,
    /// Why its figures must not be believed.
    pub invalid: Option<String>,
    /// Which nodes were hit by which fault.
    pub faults: Vec<String>,
    /// Where the time went.
    pub stages: Vec<(Stage, Duration)>,
    /// Whether the user ended it early.
    pub interrupted: bool,
}

impl TrialResult {
    /// Whether it gives a verdict at all.
    #[must_use]
    pub fn is_conclusive(&self) -> bool {
        self.invalid.is_none() && !self.interrupted && self.judgement.verdict != Verdict::Unknown
    }
}
