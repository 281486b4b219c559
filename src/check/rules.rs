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
    /// By guarantee: whether it is judged.
    judged: [bool; Guarantee::ALL.len()],
}

impl Rules {
    /// The rules of a trial in which these guarantees are judged.
    pub(super) fn new(timeline: &Timeline, judged: &[Guarantee], min_examined: u64) -> Self {
        Self {
            min_examined: min_examined.max(1),
            faults_ns: timeline.faults_ns(),
            judged: Guarantee::ALL.map(|guarantee| judged.contains(&guarantee)),
        }
    }

    /// Whether a guarantee is judged. An anomaly counts under the guarantee that names its cause, but only if that is judged.
    pub(super) fn judges(&self, guarantee: Guarantee) -> bool {
        self.judged.get(guarantee as usize).copied().unwrap_or(false)
    }
}
