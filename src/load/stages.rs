//! Schedules one after the other: a ramp up, a plateau, a spike, a ramp down.

use serde::{Deserialize, Serialize};

use super::{Piece, Schedule, scaled, seconds};

/// A schedule with a length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// The schedule.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// Its length, in nanoseconds.
    pub length_ns: u64,
}

/// A sequence of stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stages {
    /// In the order of time.
    pub stages: Vec<Stage>,
}

impl Stages {
    /// All pieces of all stages.
    #[must_use]
    pub fn pieces(&self) -> Vec<(Piece, u64)> {
        self.stages.iter().flat_map(|stage| stage.schedule.pieces(stage.length_ns)).collect()
    }

    /// Length of all stages together, in nanoseconds.
    #[must_use]
    pub fn length_ns(&self) -> u64 {
        self.stages.iter().map(|stage| stage.length_ns).sum()
    }

    /// The rate at the start of the first stage, in operations per second.
    #[must_use]
    pub fn first_rate(&self) -> f64 {
        self.stages.first().map_or(0.0, |stage| stage.schedule.first_rate())
    }

    /// The same stages with their rates multiplied by `factor`.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        self.each(|stage| Stage { schedule: stage.schedule.times(factor), length_ns: stage.length_ns })
    }

    /// The same stages with their durations multiplied by `times`, at the same rates.
    #[must_use]
    pub fn in_time(&self, times: f64) -> Self {
        self.each(|stage| Stage { schedule: stage.schedule.in_time(times), length_ns: scaled(stage.length_ns, times) })
    }

    /// A description for plans and reports.
    #[must_use]
    pub fn describe(&self) -> String {
        let words = |stage: &Stage| format!("{} for {}", stage.schedule.describe(), seconds(stage.length_ns));
        self.stages.iter().map(words).collect::<Vec<_>>().join(", then ")
    }

    fn each(&self, change: impl Fn(&Stage) -> Stage) -> Self {
        Self { stages: self.stages.iter().map(change).collect() }
    }
}
