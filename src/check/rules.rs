//! What holds for a whole trial: what is judged, what one guarantee may leave to another, and how much it takes to pass.

use std::ops::Range;

use super::Guarantee;
use crate::history::Timeline;

/// The rules of one trial.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Operations that must have been able to break a guarantee, after the last fault where there was one.
    pub min_examined: u64,
    /// From the first fault to when the last one was healed.
    pub faults_ns: Option<Range<u64>>,
    /// Whether updates of lost sessions are left to `session-survives`.
    pub leaves_lost_sessions: bool,
    /// Whether lost updates are left to `no-lost-update`.
    pub leaves_lost_updates: bool,
    /// Whether operations of other sessions are left to `owned`.
    pub leaves_foreign_operations: bool,
}

impl Rules {
    /// An anomaly is left to another guarantee, which names its cause, only where that one is judged.
    pub(super) fn new(timeline: &Timeline, judged: &[Guarantee], min_examined: u64) -> Self {
        Self {
            min_examined: min_examined.max(1),
            faults_ns: timeline.faults_ns(),
            leaves_lost_sessions: judged.contains(&Guarantee::SessionSurvives),
            leaves_lost_updates: judged.contains(&Guarantee::NoLostUpdate),
            leaves_foreign_operations: judged.contains(&Guarantee::Owned),
        }
    }
}
