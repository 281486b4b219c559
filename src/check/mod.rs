//! The checker: lives in, verdict out. One file per guarantee. Pure: it knows no Docker, no HTTP, no
//! clock, so that an old history can be judged again. It holds one life at a time.
//!
//! A guarantee that no operation could have broken is *unknown*, not *pass*; so is everything when a
//! fault was not seen to land or the final read is missing.

mod applied_once;
mod copies;
mod counter;
mod examination;
mod exposure;
mod freshness;
mod guarantee;
mod kept;
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
mod rules;
mod session_survives;
mod subject;
#[cfg(test)]
pub(crate) mod testing;
mod violation;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::history::{Answer, ErrorKind, Operation, OperationKind, Outcome, SessionHistory, SessionOutcome, Timeline};
use examination::{Doubt, Examination};
use exposure::Exposures;
use rules::Rules;
use subject::{JudgedBy, Subject, Workspace};

pub use copies::Copies;
pub use examination::{Exercise, Finding};
pub use guarantee::Guarantee;
pub use violation::{Violation, ViolationEvidence};

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
    /// Why the trial as a whole is inconclusive.
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
    pub fn inconclusive(mut self, reason: impl Into<String>) -> Self {
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
    /// Those of them that are gone, with their session or from it.
    pub lost: Vec<LostWrite>,
}

/// An acknowledged write that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostWrite {
    /// When it was acknowledged.
    pub acknowledged_ns: u64,
    /// By which node, if that is known.
    pub by: Option<Arc<Answer>>,
}

/// Judges one life after the other.
pub struct Checker<'a> {
    timeline: &'a Timeline,
    examinations: BTreeMap<Guarantee, Examination>,
    copies: Copies,
    rules: Rules,
    exposures: Exposures,
    off_contract: OffContract,
    has_final_read: bool,
    evidence: Option<JudgedBy>,
    workspace: Workspace,
}

impl<'a> Checker<'a> {
    /// Will decide `guarantees`, each of which takes so many operations that could have broken it to pass.
    #[must_use]
    pub fn new(timeline: &'a Timeline, guarantees: &[Guarantee], min_examined: u64) -> Self {
        Self {
            timeline,
            examinations: guarantees.iter().map(|guarantee| (*guarantee, Examination::default())).collect(),
            copies: Copies::default(),
            rules: Rules::new(timeline, guarantees, min_examined),
            exposures: Exposures::of(timeline),
            off_contract: OffContract::default(),
            has_final_read: false,
            evidence: None,
            workspace: Workspace::default(),
        }
    }

    /// Examines a life, of which `fate` tells what became of it.
    pub fn examine(&mut self, life: &SessionHistory, fate: &SessionOutcome) -> Losses {
        let is_final_read = |operation: &Operation| operation.kind == OperationKind::FinalRead;
        self.has_final_read = self.has_final_read || life.operations.iter().rev().any(is_final_read);
        self.exposures.add(life, fate);
        self.off_contract.add(life);
        if life.is_part {
            self.examinations.values_mut().for_each(|examination| examination.doubt(Doubt::TooLong));
            return Losses::default();
        }
        let subject = Subject::new(life, fate, (self.timeline, &self.rules), &mut self.workspace);
        for (guarantee, examination) in &mut self.examinations {
            guarantee.examine(&subject, examination);
        }
        self.copies.compare(&subject);
        if !subject.replies.is_empty() {
            let weaker = |known: JudgedBy| if known == JudgedBy::Order { known } else { subject.evidence };
            self.evidence = Some(self.evidence.map_or(subject.evidence, weaker));
        }
        let acknowledged = subject.acknowledged_writes().count() as u64;
        let losses = Losses { acknowledged, lost: no_lost_update::lost_writes(&subject) };
        self.workspace = subject.into_workspace();
        losses
    }

    /// Decides.
    #[must_use]
    pub fn finish(self) -> Judgement {
        let by_counter_only = self.evidence == Some(JudgedBy::Counter);
        let can_be_judged = |guarantee: &Guarantee| !by_counter_only || !counter::BEYOND.contains(guarantee);
        let examinations = self.examinations.into_iter().filter(|(guarantee, _)| can_be_judged(guarantee));
        let guarantees: BTreeMap<_, _> =
            examinations.map(|(guarantee, examination)| (guarantee, examination.decide(&self.rules))).collect();
        let verdict = guarantees.values().map(|finding| finding.verdict).max().unwrap_or_default();
        let judgement = Judgement { verdict, reasons: Vec::new(), by_counter_only, guarantees, copies: self.copies };
        let inconclusive_reasons = inconclusive_reasons(self.timeline, self.has_final_read).into_iter();
        let inconclusive_reasons = inconclusive_reasons
            .chain(self.exposures.inconclusive(self.timeline))
            .chain(self.off_contract.inconclusive());
        inconclusive_reasons.fold(judgement, Judgement::inconclusive)
    }
}

/// Judges some lives.
#[must_use]
pub fn judge(
    lives: impl IntoIterator<Item = SessionHistory>,
    timeline: &Timeline,
    guarantees: &[Guarantee],
) -> Judgement {
    let mut checker = Checker::new(timeline, guarantees, 1);
    for life in lives {
        checker.examine(&life, &SessionOutcome::of(&life));
    }
    checker.finish()
}

/// Replies that the contract does not have.
#[derive(Default)]
struct OffContract {
    count: u64,
    first: Option<String>,
}

impl OffContract {
    fn add(&mut self, life: &SessionHistory) {
        let is_off = |operation: &&Operation| operation.outcome == Outcome::Indeterminate(ErrorKind::OffContract);
        for operation in life.operations.iter().filter(is_off) {
            self.count += 1;
            self.first.get_or_insert_with(|| {
                let status = operation.status.map_or(String::new(), |status| format!(", status {status}"));
                format!("the {} {} from {}{status}", operation.kind.word(), operation.id, violation::node(operation))
            });
        }
    }

    fn inconclusive(self) -> Option<String> {
        let replies = if self.count == 1 { "reply is" } else { "replies are" };
        Some(format!("{} {replies} not the contract's, such as that to {}", self.count, self.first?))
    }
}

fn inconclusive_reasons(timeline: &Timeline, has_final_read: bool) -> Vec<String> {
    let mut inconclusive_reasons = Vec::new();
    for fault in &timeline.faults {
        if !fault.landed_and_healed() {
            let why = fault.error.as_deref().unwrap_or("it was not seen to take effect and to be undone");
            inconclusive_reasons.push(format!("the {} of {} is inconclusive: {why}", fault.kind, fault.node));
        }
    }
    if !has_final_read {
        inconclusive_reasons.push("there was no final read".to_owned());
    }
    inconclusive_reasons
}

#[cfg(test)]
mod tests {
    use super::testing::{HistoryBuilder, history};
    use super::*;
    use crate::history::{FaultRecord, Operation};

    fn judged(operations: Vec<Operation>, timeline: &Timeline) -> Judgement {
        judge(SessionHistory::all(operations), timeline, &Guarantee::ALL)
    }

    fn healthy(story: HistoryBuilder) -> HistoryBuilder {
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
        let timeline = Timeline { faults: vec![FaultRecord::planned("kill", "app-1")], ..Timeline::default() };
        assert_eq!(judged(healthy_history(), &timeline).verdict, Verdict::Unknown);
        let lost = history(|story| healthy(story).unknown());
        assert_eq!(judged(lost, &timeline).verdict, Verdict::Violated);
    }

    #[test]
    fn a_session_that_is_too_long_to_be_held_is_unknown_and_never_passes() {
        let mut lives = SessionHistory::all(healthy_history());
        lives[0].is_part = true;
        let judgement = judge(lives, &Timeline::default(), &Guarantee::ALL);
        assert_eq!(judgement.verdict, Verdict::Unknown);
        let reason = judgement.guarantees[&Guarantee::NoLostUpdate].reason.as_deref();
        assert_eq!(reason, Some("1 session with more than 1048576 operations"));
    }

    #[test]
    fn a_reply_that_the_contract_does_not_have_keeps_a_trial_from_passing() {
        let mut operations = healthy_history();
        operations[2].outcome = Outcome::Indeterminate(ErrorKind::OffContract);
        operations[2].status = Some(401);
        let judgement = judged(operations, &Timeline::default());
        assert_eq!(judgement.verdict, Verdict::Unknown);
        insta::assert_snapshot!(judgement.reasons[0], @"1 reply is not the contract's, such as that to the read 1.1.2 from app-1, status 401");
    }

    #[test]
    fn one_examined_operation_is_no_pass_where_more_are_asked_for() {
        let operations = healthy_history();
        let judged = |min_examined| {
            let timeline = Timeline::default();
            let mut checker = Checker::new(&timeline, &[Guarantee::LogoutIsFinal], min_examined);
            for life in SessionHistory::all(operations.clone()) {
                checker.examine(&life, &SessionOutcome::of(&life));
            }
            checker.finish().guarantees[&Guarantee::LogoutIsFinal].clone()
        };
        assert_eq!(judged(1).verdict, Verdict::Pass);
        assert_eq!(judged(2).reason.as_deref(), Some("only 1 operation could have broken it, fewer than 2"));
    }

    #[test]
    fn a_guarantee_that_was_exercised_before_the_fault_alone_does_not_pass() {
        let kill = FaultRecord {
            ordered_ns: Some(3_900_000_000),
            injected_ns: Some(3_900_000_000),
            healed_ns: Some(6_000_000_000),
            ..FaultRecord::planned("kill", "app-1")
        };
        let timeline = Timeline { faults: vec![kill], ..Timeline::default() };
        let finding = |tell: fn(HistoryBuilder) -> HistoryBuilder| {
            let judgement = judge(SessionHistory::all(history(tell)), &timeline, &[Guarantee::Owned]);
            judgement.guarantees[&Guarantee::Owned].clone()
        };
        let before = finding(|story| story.create().write().read().read().lost_reply_read());
        assert_eq!(before.exercise, Exercise { before: 4, during: 0, after: 0 });
        assert_eq!(before.reason.as_deref(), Some("no operation could have broken it after the faults"));
        let after = finding(|story| story.create().write().read().read().read().read().read());
        assert_eq!(after.exercise, Exercise { before: 4, during: 2, after: 1 });
        assert_eq!(after.verdict, Verdict::Pass);
    }

    #[test]
    fn an_anomaly_is_left_to_another_guarantee_only_where_that_is_judged() {
        let judged = |tell: fn(HistoryBuilder) -> HistoryBuilder, guarantees: &[Guarantee], about: Guarantee| {
            judge(SessionHistory::all(history(tell)), &Timeline::default(), guarantees).guarantees[&about].violations
        };
        let lost_update: fn(HistoryBuilder) -> HistoryBuilder =
            |story| story.create().write().write().write_on(1).final_read();
        for about in [Guarantee::ReadYourWrites, Guarantee::OneHistory] {
            assert_eq!(judged(lost_update, &[about, Guarantee::NoLostUpdate], about), 0, "{about}");
            assert!(judged(lost_update, &[about], about) > 0, "{about}");
        }
        let lost_session: fn(HistoryBuilder) -> HistoryBuilder = |story| story.create().write().unknown().unknown();
        let about = Guarantee::NoLostUpdate;
        assert_eq!(judged(lost_session, &[about, Guarantee::SessionSurvives], about), 0);
        assert_eq!(judged(lost_session, &[about], about), 1);
        let foreign: fn(HistoryBuilder) -> HistoryBuilder =
            |story| story.create().lost_reply_write(false).read_of(&["9.1.1"]).final_read_of(&["9.1.1"]);
        let about = Guarantee::NoPhantom;
        assert_eq!(judged(foreign, &[about, Guarantee::Owned], about), 0);
        assert_eq!(judged(foreign, &[about], about), 1);
    }

    #[test]
    fn counters_and_orders_in_one_trial_are_told_per_session() {
        let mut operations = healthy_history();
        operations.extend(testing::history_of(3, |story| story.counter_only().create().write().final_read()));
        let judgement = judged(operations, &Timeline::default());
        assert!(!judgement.by_counter_only);
        let finding = &judgement.guarantees[&Guarantee::OneHistory];
        assert_eq!(finding.reason.as_deref(), Some("1 session showed only how many operations it holds"));
    }

    #[test]
    fn what_is_not_asked_for_is_not_decided() {
        let judgement = judge(SessionHistory::all(history(healthy)), &Timeline::default(), &[Guarantee::Owned]);
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
        let judgement = judge(SessionHistory::all(operations), &Timeline::default(), &[Guarantee::OneHistory]);
        assert_eq!(judgement.verdict, Verdict::Pass);
        let Copies { sessions, disagreeing, copies, behind, .. } = judgement.copies;
        assert_eq!((sessions, disagreeing, copies, behind), (1, 1, 2, 1));
        insta::assert_snapshot!(judgement.copies.stories[0].text, @"session 1: in the end app-1 answered version 2; past the balancer app-2 is behind with version 1 at 6.50 s");
    }
}
