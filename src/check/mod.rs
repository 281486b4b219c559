//! The checker: lives in, verdict out. One file per guarantee. Pure: it knows no Docker, no HTTP, no
//! clock, so that an old history can be judged again. It holds one life at a time.
//!
//! A guarantee that no operation could have broken is *unknown*, not *pass*; so is everything when a
//! fault was not seen to land or the final read is missing.

mod applied_once;
mod copies;
mod counter;
mod examination;
mod freshness;
mod guarantee;
mod logout_is_final;
mod monotonic_reads;
mod no_lost_update;
mod no_phantom;
mod one_history;
#[cfg(test)]
mod oracle;
mod orders;
mod owned;
mod read_your_writes;
mod session_survives;
mod story;
mod subject;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::history::{Fate, Life, Operation, OperationKind, Timeline};
use examination::{Doubt, Examination};
use subject::{Evidence, Subject, Workspace};

pub use copies::Copies;
pub use examination::Finding;
pub use guarantee::Guarantee;
pub use story::{Evidence as StoryEvidence, Story};

/// What was decided. The worst wins, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
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

/// What was decided about a trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The worst of its guarantees, and of the reasons below.
    pub verdict: Verdict,
    /// Why the trial as a whole proves nothing.
    pub reasons: Vec<String>,
    /// Whether the app showed only how many operations a session holds, so that what could be checked is
    /// weaker, and some guarantees are left out.
    pub by_counter_only: bool,
    /// Each guarantee that was asked for.
    pub guarantees: BTreeMap<Guarantee, Finding>,
    /// What nodes hold in the end.
    pub copies: Copies,
}

impl Judgement {
    /// A trial about which nothing can be said.
    #[must_use]
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unknown, reasons: vec![reason.into()], ..Self::default() }
    }

    /// The same judgement with a further reason why nothing can be said: a violation stays one.
    #[must_use]
    pub fn but(mut self, reason: impl Into<String>) -> Self {
        self.reasons.push(reason.into());
        self.verdict = self.verdict.max(Verdict::Unknown);
        self
    }
}

/// What the checker tells of a life for the measurements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// When those of them were acknowledged that are gone, with their session or from it.
    pub lost_at_ns: Vec<u64>,
}

/// Judges one life after the other.
pub struct Checker<'a> {
    timeline: &'a Timeline,
    examinations: BTreeMap<Guarantee, Examination>,
    copies: Copies,
    has_final_read: bool,
    evidence: Option<Evidence>,
    workspace: Workspace,
}

impl<'a> Checker<'a> {
    /// Will decide `guarantees`.
    #[must_use]
    pub fn new(timeline: &'a Timeline, guarantees: &[Guarantee]) -> Self {
        Self {
            timeline,
            examinations: guarantees.iter().map(|guarantee| (*guarantee, Examination::default())).collect(),
            copies: Copies::default(),
            has_final_read: false,
            evidence: None,
            workspace: Workspace::default(),
        }
    }

    /// Examines a life, of which `fate` tells what became of it.
    pub fn examine(&mut self, life: &Life, fate: &Fate) -> Losses {
        let is_final_read = |operation: &Operation| operation.kind == OperationKind::FinalRead;
        self.has_final_read = self.has_final_read || life.operations.iter().rev().any(is_final_read);
        if life.is_part {
            self.examinations.values_mut().for_each(|examination| examination.doubt(Doubt::TooLong));
            return Losses::default();
        }
        let subject = Subject::new(life, fate, self.timeline, &mut self.workspace);
        for (guarantee, examination) in &mut self.examinations {
            guarantee.examine(&subject, examination);
        }
        self.copies.compare(&subject);
        if !subject.replies.is_empty() {
            let weaker = |known: Evidence| if known == Evidence::Order { known } else { subject.evidence };
            self.evidence = Some(self.evidence.map_or(subject.evidence, weaker));
        }
        let acknowledged = subject.acknowledged_writes().count() as u64;
        let losses = Losses { acknowledged, lost_at_ns: no_lost_update::lost_at_ns(&subject) };
        self.workspace = subject.into_workspace();
        losses
    }

    /// Decides.
    #[must_use]
    pub fn finish(self) -> Judgement {
        let by_counter_only = self.evidence == Some(Evidence::Counter);
        let can_be_judged = |guarantee: &Guarantee| !by_counter_only || !counter::BEYOND.contains(guarantee);
        let examinations = self.examinations.into_iter().filter(|(guarantee, _)| can_be_judged(guarantee));
        let guarantees: BTreeMap<_, _> =
            examinations.map(|(guarantee, examination)| (guarantee, examination.decide())).collect();
        let verdict = guarantees.values().map(|finding| finding.verdict).max().unwrap_or_default();
        let judgement = Judgement { verdict, reasons: Vec::new(), by_counter_only, guarantees, copies: self.copies };
        doubts(self.timeline, self.has_final_read).into_iter().fold(judgement, Judgement::but)
    }
}

/// Judges some lives.
#[must_use]
pub fn judge(lives: impl IntoIterator<Item = Life>, timeline: &Timeline, guarantees: &[Guarantee]) -> Judgement {
    let mut checker = Checker::new(timeline, guarantees);
    for life in lives {
        checker.examine(&life, &Fate::of(&life));
    }
    checker.finish()
}

fn doubts(timeline: &Timeline, has_final_read: bool) -> Vec<String> {
    let mut doubts = Vec::new();
    for fault in &timeline.faults {
        if !fault.landed_and_healed() {
            let why = fault.error.as_deref().unwrap_or("it was not seen to take effect and to be undone");
            doubts.push(format!("the {} of {} proves nothing: {why}", fault.kind, fault.node));
        }
    }
    if !has_final_read {
        doubts.push("there was no final read".to_owned());
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::testing::{Story as Told, history};
    use super::*;
    use crate::history::{Fault, FaultRecord, Operation};

    fn judged(operations: Vec<Operation>, timeline: &Timeline) -> Judgement {
        judge(Life::all(operations), timeline, &Guarantee::ALL)
    }

    fn healthy(story: Told) -> Told {
        story.create().write().read().write().final_read()
    }

    /// The same with a second session, which is logged out.
    fn healthy_history() -> Vec<Operation> {
        let mut operations = history(healthy);
        operations.extend(testing::history_of(2, |story| story.create().write().read().log_out(true).unknown()));
        operations
    }

    #[test]
    fn healthy_sessions_pass_every_guarantee() {
        let judgement = judged(healthy_history(), &Timeline::default());
        assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
        assert_eq!(judgement.guarantees.len(), 9);
    }

    #[test]
    fn an_empty_history_is_unknown_and_never_passes() {
        let judgement = judged(Vec::new(), &Timeline::default());
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert!(judgement.guarantees.values().all(|finding| finding.verdict == Verdict::Unknown));
    }

    #[test]
    fn without_a_final_read_nothing_passes() {
        let operations = history(|story| story.create().write().read().log_out(true).unknown());
        let judgement = judged(operations, &Timeline::default());
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert_eq!(judgement.reasons, ["there was no final read"]);
    }

    #[test]
    fn a_fault_that_was_not_seen_to_land_makes_a_pass_unknown_and_leaves_a_violation() {
        let timeline = Timeline { faults: vec![FaultRecord::planned(&Fault::Kill, "app-1")], ..Timeline::default() };
        assert_eq!(judged(healthy_history(), &timeline).verdict, Verdict::Unknown);
        let lost = history(|story| healthy(story).unknown());
        assert_eq!(judged(lost, &timeline).verdict, Verdict::Violated);
    }

    #[test]
    fn a_session_that_is_too_long_to_be_held_is_unknown_and_never_passes() {
        let mut lives = Life::all(healthy_history());
        lives[0].is_part = true;
        let judgement = judge(lives, &Timeline::default(), &Guarantee::ALL);
        assert_eq!(judgement.verdict, Verdict::Unknown);
        let reason = judgement.guarantees[&Guarantee::NoLostUpdate].reason.as_deref();
        assert_eq!(reason, Some("1 session with more than 1048576 operations"));
    }

    #[test]
    fn what_is_not_asked_for_is_not_decided() {
        let judgement = judge(Life::all(history(healthy)), &Timeline::default(), &[Guarantee::Owned]);
        assert_eq!(judgement.guarantees.keys().copied().collect::<Vec<_>>(), [Guarantee::Owned]);
        assert_eq!(judgement.verdict, Verdict::Pass);
    }

    #[test]
    fn stories_are_limited_and_chosen_to_differ_and_the_count_is_exact() {
        let history = history(|story| {
            let story = (0..20).fold(story.create().write().write(), |story, _| story.stale_read(1));
            story.on("app-2").stale_read(1).on("app-1").final_read()
        });
        let finding = testing::finding(&history, Guarantee::ReadYourWrites);
        assert_eq!((finding.violations, finding.stories.len()), (21, 5));
        assert!(finding.stories[1].text.contains("app-2 answered"), "{}", finding.stories[1].text);
    }

    #[test]
    fn copies_that_are_behind_are_told_and_break_nothing() {
        let operations = history(|story| {
            let story = healthy(story).on("app-1").node_read_of(&["1.1.1", "1.1.3"]);
            story.on("app-2").node_read_of(&["1.1.1"]).on("app-3").node_does_not_know()
        });
        let judgement = judge(Life::all(operations), &Timeline::default(), &[Guarantee::OneHistory]);
        assert_eq!(judgement.verdict, Verdict::Pass);
        let Copies { sessions, disagreeing, copies, behind, .. } = judgement.copies;
        assert_eq!((sessions, disagreeing, copies, behind), (1, 1, 2, 1));
        insta::assert_snapshot!(judgement.copies.stories[0].text, @"session 1: in the end app-1 answered version 2; past the balancer app-2 is behind with version 1 at 6.50 s");
    }
}
