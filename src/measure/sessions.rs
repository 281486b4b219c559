//! Counts the outcomes of sessions and operations, one session at a time.

use serde::{Deserialize, Serialize};

use super::OperationCounts;
use crate::history::{Operation, Outcome, Phase, SessionOutcome, Timeline};

/// What became of the sessions. A user whose session is lost or logged out makes a new one, which counts as
/// another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SessionCounts {
    /// Creations that were acknowledged.
    pub created: u64,
    /// There when the first fault took effect, as far as their users knew; none without a fault.
    pub alive_at_fault: Option<u64>,
    /// Gone for good: unknown to the last, or another one in their place.
    pub lost: u64,
    /// Unknown for a while, and known again later.
    pub forgotten: u64,
    /// Lost before the first fault took effect; all of `lost` without a fault.
    pub lost_before_fault: u64,
    /// Of those alive at the first fault, the share that was lost after it; none without a fault.
    pub lost_ratio: Option<f64>,
}

impl SessionCounts {
    /// Sessions that were alive at the first fault, if every lost session can be one of them: none was lost before the
    /// fault, and no more were lost than were alive. More are lost if users log in again and a second fault hits them.
    #[must_use]
    pub fn alive_of_all_lost(&self) -> Option<u64> {
        self.alive_at_fault.filter(|alive| self.lost_before_fault == 0 && self.lost <= *alive)
    }
}

/// Counts sessions.
#[derive(Default)]
pub struct SessionTally {
    counts: SessionCounts,
    alive: u64,
    alive_and_lost: u64,
}

impl SessionTally {
    pub fn add(&mut self, outcome: &SessionOutcome, timeline: &Timeline) {
        let is_lost = outcome.loss.is_some();
        self.counts.created += u64::from(outcome.creation.is_some());
        self.counts.lost += u64::from(is_lost);
        self.counts.forgotten += u64::from(outcome.was_forgotten());
        let Some(injected) = timeline.first_injection_ns() else {
            self.counts.lost_before_fault += u64::from(is_lost);
            return;
        };
        let is_before = outcome.loss.is_some_and(|loss| loss.times.completed_ns <= injected);
        self.counts.lost_before_fault += u64::from(is_before);
        if outcome.is_alive_at(injected) {
            self.alive += 1;
            self.alive_and_lost += u64::from(is_lost);
        }
    }

    pub fn finish(self, timeline: &Timeline) -> SessionCounts {
        if timeline.first_injection_ns().is_none() {
            return self.counts;
        }
        SessionCounts {
            alive_at_fault: Some(self.alive),
            lost_ratio: (self.alive > 0).then(|| self.alive_and_lost as f64 / self.alive as f64),
            ..self.counts
        }
    }
}

impl OperationCounts {
    /// Counts how an operation ended. Skips the warm-up and the final phase.
    pub(super) fn add(&mut self, operation: &Operation, phase: Phase, ended_well: bool) {
        if matches!(phase, Phase::WarmUp | Phase::Final) {
            return;
        }
        match operation.outcome {
            _ if ended_well => self.ok += 1,
            Outcome::Indeterminate(_) => self.indeterminate += 1,
            Outcome::Ok(_) | Outcome::Done | Outcome::Fail(_) => self.fail += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{HistoryBuilder, history};
    use crate::history::ErrorKind;

    #[test]
    fn operations_are_counted_by_how_they_ended_but_for_the_warm_up_and_the_final_reads() {
        let of = |outcome| Operation { outcome, ..history(HistoryBuilder::create)[0].clone() };
        let (broken, refused) =
            (of(Outcome::Indeterminate(ErrorKind::Timeout)), of(Outcome::Fail(ErrorKind::UnknownSession)));
        let mut counts = OperationCounts::default();
        for phase in [Phase::WarmUp, Phase::Steady, Phase::Final] {
            counts.add(&refused, phase, true);
            counts.add(&refused, phase, false);
            counts.add(&broken, phase, false);
            counts.add(&broken, phase, false);
        }
        assert_eq!((counts.ok, counts.fail, counts.indeterminate), (1, 1, 2));
    }
}
