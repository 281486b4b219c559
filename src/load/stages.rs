//! Schedules one after the other: a ramp up, a plateau, a spike, a ramp down.

use serde::{Deserialize, Serialize};

use super::{Piece, Schedule};

/// A schedule for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// What.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// How long, in nanoseconds.
    pub length_ns: u64,
}

/// Some stages.
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

    /// How long all stages take, in nanoseconds.
    #[must_use]
    pub fn length_ns(&self) -> u64 {
        self.stages.iter().map(|stage| stage.length_ns).sum()
    }
}
