//! The rules of a whole trial: which guarantees are judged, which anomalies count under another guarantee, and how many
//! operations a pass needs.

use std::ops::Range;

use super::Guarantee;
use crate::history::Timeline;

/// The rules of one trial.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Operations that must have been able to break a guarantee; after a fault, only those after the last fault count.
    pub min_examined: u64,
    /// From the first fault until the last one was healed.
    pub faults_ns: Option<Range<u64>>,
    /// Whether updates of lost sessions count under `session-survives` only.
    pub leaves_lost_sessions: bool,
    /// Whether lost updates count under `no-lost-update` only.
    pub leaves_lost_updates: bool,
    /// Whether operations of other sessions count under `owned` only.
    pub leaves_foreign_operations: bool,
}

impl Rules {
    /// An anomaly counts under the guarantee that names its cause, but only if that guarantee is judged.
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
