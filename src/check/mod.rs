//! The checker: history in, verdict out. One file per guarantee. Pure: it knows no Docker, no HTTP, no
//! clock, so that an old history can be judged again.
//!
//! A guarantee that no operation could have broken is *unknown*, not *pass*; so is everything when a
//! fault was not seen to land or the final read is missing.

mod chain;
mod freshness;
mod monotonic_reads;
mod no_lost_update;
mod owned;
mod read_your_writes;
mod session_survives;
mod story;
#[cfg(test)]
mod testing;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::history::{History, Life, OperationKind};

pub use no_lost_update::acknowledged_writes_lost;
pub use story::Story;

/// The stories kept of one guarantee; the count is always exact.
const MOST_STORIES: usize = 5;

/// One property that is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// A session that was created and not logged out is known, and is the same one.
    SessionSurvives,
    /// A reply shows its own session's owner and operations.
    Owned,
    /// A reply is not older than what was acknowledged before it was asked for.
    ReadYourWrites,
    /// A reply is not older than what was seen before it was asked for.
    MonotonicReads,
    /// An acknowledged operation is in the final state.
    NoLostUpdate,
}

impl Guarantee {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 5] =
        [Self::SessionSurvives, Self::Owned, Self::ReadYourWrites, Self::MonotonicReads, Self::NoLostUpdate];

    fn examine(self, lives: &[Life], history: &History) -> Finding {
        match self {
            Self::SessionSurvives => session_survives::examine(lives, history),
            Self::Owned => owned::examine(lives, history),
            Self::ReadYourWrites => read_your_writes::examine(lives, history),
            Self::MonotonicReads => monotonic_reads::examine(lives, history),
            Self::NoLostUpdate => no_lost_update::examine(lives, history),
        }
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SessionSurvives => "session-survives",
            Self::Owned => "owned",
            Self::ReadYourWrites => "read-your-writes",
            Self::MonotonicReads => "monotonic-reads",
            Self::NoLostUpdate => "no-lost-update",
        })
    }
}

/// What was decided. The worst wins, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It held, and it could have been broken.
    Pass,
    /// It cannot be said.
    #[default]
    Unknown,
    /// It was broken.
    Violated,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Unknown => "unknown",
            Self::Violated => "violated",
        })
    }
}

/// What was found of one guarantee.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was decided.
    pub verdict: Verdict,
    /// How many operations could have broken it.
    pub examined: u64,
    /// How often it was broken.
    pub violations: u64,
    /// Why it is unknown.
    pub reason: Option<String>,
    /// Some of the violations, told.
    pub stories: Vec<Story>,
}

impl Finding {
    /// Counts an operation that could have broken the guarantee.
    fn examined(&mut self) {
        self.examined += 1;
    }

    /// Counts operations that could have broken the guarantee.
    fn examined_many(&mut self, count: usize) {
        self.examined += count as u64;
    }

    /// Counts a violation; its story is made only if it will be kept.
    fn violated(&mut self, story: impl FnOnce() -> Story) {
        self.violations += 1;
        if self.stories.len() < MOST_STORIES {
            self.stories.push(story());
        }
    }

    /// Decides: violations first, then whatever keeps it from passing.
    fn decide(mut self, doubt: Option<String>) -> Self {
        let vacuous = (self.examined == 0).then(|| "no operation could have broken it".to_owned());
        self.reason = if self.violations > 0 { None } else { doubt.or(vacuous) };
        self.verdict = match (self.violations, &self.reason) {
            (1.., _) => Verdict::Violated,
            (0, Some(_)) => Verdict::Unknown,
            (0, None) => Verdict::Pass,
        };
        self
    }
}

/// What was decided about a trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The worst of its guarantees, and of the reasons below.
    pub verdict: Verdict,
    /// Why the trial as a whole proves nothing.
    pub reasons: Vec<String>,
    /// Each guarantee.
    pub guarantees: BTreeMap<Guarantee, Finding>,
}

impl Judgement {
    /// A trial about which nothing can be said.
    #[must_use]
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unknown, reasons: vec![reason.into()], guarantees: BTreeMap::new() }
    }

    /// The same judgement with a further reason why nothing can be said: a violation stays one.
    #[must_use]
    pub fn but(mut self, reason: impl Into<String>) -> Self {
        self.reasons.push(reason.into());
        self.verdict = self.verdict.max(Verdict::Unknown);
        self
    }
}

/// Judges a history.
#[must_use]
pub fn judge(history: &History) -> Judgement {
    let lives = Life::all(history);
    let guarantees: BTreeMap<_, _> =
        Guarantee::ALL.into_iter().map(|guarantee| (guarantee, guarantee.examine(&lives, history))).collect();
    let worst = guarantees.values().map(|finding| finding.verdict).max().unwrap_or_default();
    let judgement = Judgement { verdict: worst, reasons: Vec::new(), guarantees };
    doubts(history).into_iter().fold(judgement, Judgement::but)
}

fn doubts(history: &History) -> Vec<String> {
    let mut doubts = Vec::new();
    for fault in &history.faults {
        if !fault.landed_and_healed() {
            let why = fault.error.as_deref().unwrap_or("it was not seen to take effect and to be undone");
            doubts.push(format!("the {} of {} proves nothing: {why}", fault.kind, fault.node));
        }
    }
    if !history.operations.iter().any(|operation| operation.kind == OperationKind::FinalRead) {
        doubts.push("there was no final read".to_owned());
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::testing::{Story as Told, history};
    use super::*;
    use crate::history::{FaultKind, FaultRecord};

    #[test]
    fn a_healthy_session_passes_every_guarantee() {
        let judgement = judge(&history(|story| story.create().write().read().write().final_read()));
        assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
        assert!(judgement.guarantees.values().all(|finding| finding.verdict == Verdict::Pass));
    }

    #[test]
    fn an_empty_history_is_unknown_and_never_passes() {
        let judgement = judge(&History::default());
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert!(judgement.guarantees.values().all(|finding| finding.verdict == Verdict::Unknown));
    }

    #[test]
    fn without_a_final_read_nothing_passes() {
        let judgement = judge(&history(|story| story.create().write().read()));
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert!(judgement.reasons.contains(&"there was no final read".to_owned()));
    }

    #[test]
    fn a_fault_that_was_not_seen_to_land_makes_a_pass_unknown_and_leaves_a_violation() {
        let healthy = |story: Told| story.create().write().read().final_read();
        let mut history_ = history(healthy);
        history_.faults.push(FaultRecord::planned(FaultKind::Kill, "app-1"));
        assert_eq!(judge(&history_).verdict, Verdict::Unknown);
        let mut lost = history(|story| healthy(story).unknown());
        lost.faults.push(FaultRecord::planned(FaultKind::Kill, "app-1"));
        assert_eq!(judge(&lost).verdict, Verdict::Violated);
    }
}
