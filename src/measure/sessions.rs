//! What became of sessions and operations.

use serde::{Deserialize, Serialize};

use super::OperationCounts;
use crate::check;
use crate::history::{History, Life, Outcome, Phase};

/// What became of the sessions. A user whose session is lost makes a new one, which counts as another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
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

/// Counts sessions.
#[must_use]
pub fn count(history: &History) -> SessionCounts {
    let lives = Life::all(history);
    let created = lives.iter().filter(|life| life.creation().is_some()).count() as u64;
    let lost = || lives.iter().filter(|life| life.loss().is_some());
    let forgotten = lives.iter().filter(|life| life.was_forgotten()).count() as u64;
    let Some(injected) = history.first_injection_ns() else {
        let lost = lost().count() as u64;
        return SessionCounts {
            created,
            alive_at_fault: None,
            lost,
            forgotten,
            lost_before_fault: lost,
            lost_ratio: None,
        };
    };
    let alive = lives.iter().filter(|life| life.is_alive_at(injected));
    let (alive, then_lost) =
        alive.fold((0u64, 0u64), |(alive, lost), life| (alive + 1, lost + u64::from(life.loss().is_some())));
    let before = lost().filter(|life| life.loss().is_some_and(|loss| loss.times.completed_ns <= injected));
    SessionCounts {
        created,
        alive_at_fault: Some(alive),
        lost: lost().count() as u64,
        forgotten,
        lost_before_fault: before.count() as u64,
        lost_ratio: (alive > 0).then(|| then_lost as f64 / alive as f64),
    }
}

/// Counts how operations ended after the warm-up, the final read left out.
#[must_use]
pub fn count_operations(history: &History) -> OperationCounts {
    let mut counts = OperationCounts {
        acknowledged_writes_lost: check::acknowledged_writes_lost(&Life::all(history)),
        ..OperationCounts::default()
    };
    for operation in &history.operations {
        if matches!(history.phase_at(operation.times.scheduled_ns), Phase::WarmUp | Phase::Final) {
            continue;
        }
        match operation.outcome {
            Outcome::Ok(_) => counts.ok += 1,
            Outcome::Fail(_) => counts.fail += 1,
            Outcome::Indeterminate(_) => counts.indeterminate += 1,
        }
    }
    counts
}
