//! The checker: takes session histories and returns a verdict. Each guarantee has its own file. It uses no Docker, HTTP
//! or clock, so that an old history can be judged again. It holds one session at a time.
//!
//! A guarantee that no operation could have broken is *unknown*, not *pass*. A trial cannot pass if a fault was not
//! seen to land or the final read is missing.

mod applied_once;
mod copies;
mod counter;
mod examination;
mod expires_in_time;
mod exposure;
mod freshness;
mod guarantee;
mod id_rotates;
mod judgeable;
mod kept;
mod login_sticks;
mod logout_is_final;
mod monotonic_reads;
mod no_adopted_id;
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
use examination::{Examination, InconclusiveReason};
use exposure::Exposures;
use rules::Rules;
use subject::{JudgedBy, Subject, Workspace};

pub use copies::Copies;
pub use examination::{Exercise, Finding};
pub use guarantee::Guarantee;
pub use judgeable::{judgeable, why_not};
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

/// The verdict on a trial, with its findings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The worst verdict of its guarantees; at least *unknown* if there are reasons.
    pub verdict: Verdict,
    /// Reasons why the trial as a whole is inconclusive.
    pub reasons: Vec<String>,
    /// Whether the app showed only the number of operations in a session. Then the checks are weaker, and some
    /// guarantees are left out.
    pub by_counter_only: bool,
    /// The finding on each requested guarantee.
    pub guarantees: BTreeMap<Guarantee, Finding>,
    /// The nodes' copies at the end.
    pub copies: Copies,
}

impl Judgement {
    /// The judgement of a trial that cannot be judged.
    #[must_use]
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unknown, reasons: vec![reason.into()], ..Self::default() }
    }

    /// Adds a reason why the trial is inconclusive; a violation stays a violation.
    #[must_use]
    pub fn inconclusive(mut self, reason: impl Into<String>) -> Self {
        self.reasons.push(reason.into());
        self.verdict = self.verdict.max(Verdict::Unknown);
        self
    }
}

/// The acknowledged and lost writes of one session, for the measurements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// The number of acknowledged writes.
    pub acknowledged: u64,
    /// Whether the final state is known, so that a write that is not among the lost ones is there.
    pub are_known: bool,
    /// Acknowledged writes that are lost, alone or with their session.
    pub lost: Vec<LostWrite>,
}

/// An acknowledged write that is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostWrite {
    /// When it was acknowledged, in nanoseconds.
    pub acknowledged_ns: u64,
    /// The node that acknowledged it, if known.
    pub by: Option<Arc<Answer>>,
}

/// Judges one session after the other.
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
    /// Prepares to judge `guarantees`; to pass, each needs `min_examined` operations that could have broken it.
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

    /// Examines one session, whose outcome is `outcome`.
    pub fn examine(&mut self, history: &SessionHistory, outcome: &SessionOutcome) -> Losses {
        let is_final_read = |operation: &Operation| operation.kind == OperationKind::FinalRead;
        self.has_final_read = self.has_final_read || history.operations.iter().rev().any(is_final_read);
        self.exposures.add(history, outcome);
        self.off_contract.add(history);
        if history.is_part {
            self.examinations
                .values_mut()
                .for_each(|examination| examination.inconclusive(InconclusiveReason::TooLong));
            return Losses::default();
        }
        let subject = Subject::new(history, outcome, (self.timeline, &self.rules), &mut self.workspace);
        for (guarantee, examination) in &mut self.examinations {
            guarantee.examine(&subject, examination);
        }
        self.copies.compare(&subject);
        if !subject.replies.is_empty() {
            let weaker = |known: JudgedBy| if known == JudgedBy::Order { known } else { subject.evidence };
            self.evidence = Some(self.evidence.map_or(subject.evidence, weaker));
        }
        let acknowledged = subject.acknowledged_writes().count() as u64;
        let are_known = subject.evidence == JudgedBy::Order && subject.settled_from.is_some();
        let losses = Losses { acknowledged, are_known, lost: no_lost_update::lost_writes(&subject) };
        self.workspace = subject.into_workspace();
        losses
    }

    /// Returns the judgement.
    #[must_use]
    pub fn finish(self) -> Judgement {
        let by_counter_only = self.evidence == Some(JudgedBy::Counter);
        let can_be_judged =
            |guarantee: &Guarantee| !by_counter_only || !counter::UNSUPPORTED_BY_COUNTER.contains(guarantee);
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

/// Judges sessions; a guarantee needs one operation to pass.
#[must_use]
pub fn judge(
    histories: impl IntoIterator<Item = SessionHistory>,
    timeline: &Timeline,
    guarantees: &[Guarantee],
) -> Judgement {
    let mut checker = Checker::new(timeline, guarantees, 1);
    for history in histories {
        let history = history.in_trial(timeline);
        checker.examine(&history, &SessionOutcome::of(&history));
    }
    checker.finish()
}

/// Replies that the contract does not define.
#[derive(Default)]
struct OffContract {
    count: u64,
    first: Option<String>,
}

impl OffContract {
    fn add(&mut self, history: &SessionHistory) {
        let is_off = |operation: &&Operation| operation.outcome == Outcome::Indeterminate(ErrorKind::OffContract);
        for operation in history.operations.iter().filter(is_off) {
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
    use crate::history::{Expiry, FaultRecord, Operation, OperationId};

    fn judged(operations: Vec<Operation>, timeline: &Timeline) -> Judgement {
        judge(SessionHistory::all(operations), timeline, &Guarantee::ALL)
    }

    fn healthy(builder: HistoryBuilder) -> HistoryBuilder {
        builder.create().write().read().write().final_read()
    }

    /// A healthy session, and a second one that is logged out.
    fn healthy_history() -> Vec<Operation> {
        let mut operations = history(healthy);
        operations.extend(testing::history_of(2, |builder| builder.create().write().read().log_out(true).unknown()));
        operations
    }

    #[test]
    fn a_verdict_is_told_as_it_stands_in_records() {
        for verdict in [Verdict::Pass, Verdict::Unknown, Verdict::Violated] {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.to_string());
            assert_eq!(format!("{verdict:>9}|"), format!("{:>9}|", verdict.to_string()), "it fills a column");
        }
    }

    #[test]
    fn healthy_sessions_pass_every_guarantee() {
        let mut operations = healthy_history();
        let visits = |builder: HistoryBuilder| builder.visit().visitor_write().log_in_meanwhile();
        operations.extend(testing::history_of(3, |builder| visits(builder).old_id_read(None).write().final_read()));
        operations.extend(testing::history_of(4, |builder| builder.create().made_up_read(None).write().final_read()));
        let idle =
            |builder: HistoryBuilder| builder.create().write().pause(1).idle_read(true).pause(9).idle_read(false);
        operations.extend(testing::history_of(5, idle));
        let expiry = Some(Expiry { after_ns: 9_000_000_000, tolerance_ns: 500_000_000 });
        let judgement = judged(operations, &Timeline { expiry, ..Timeline::default() });
        assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
        assert_eq!(judgement.guarantees.len(), Guarantee::ALL.len());
    }

    #[test]
    fn an_empty_history_is_unknown_and_never_passes() {
        let judgement = judged(Vec::new(), &Timeline::default());
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert!(judgement.guarantees.values().all(|finding| finding.verdict == Verdict::Unknown));
    }

    #[test]
    fn without_a_final_read_nothing_passes() {
        let operations = history(|builder| builder.create().write().read().log_out(true).unknown());
        let judgement = judged(operations, &Timeline::default());
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert_eq!(judgement.reasons, ["there was no final read"]);
    }

    #[test]
    fn a_fault_that_was_not_seen_to_land_makes_a_pass_unknown_and_leaves_a_violation() {
        let timeline = Timeline { faults: vec![FaultRecord::planned("kill", "app-1")], ..Timeline::default() };
        assert_eq!(judged(healthy_history(), &timeline).verdict, Verdict::Unknown);
        let lost = history(|builder| healthy(builder).unknown());
        assert_eq!(judged(lost, &timeline).verdict, Verdict::Violated);
    }

    #[test]
    fn a_session_that_is_too_long_to_be_held_is_unknown_and_never_passes() {
        let mut histories = SessionHistory::all(healthy_history());
        histories[0].is_part = true;
        let judgement = judge(histories, &Timeline::default(), &Guarantee::ALL);
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
    fn one_examined_operation_is_no_pass_if_more_are_required() {
        let operations = healthy_history();
        let judged = |min_examined| {
            let timeline = Timeline::default();
            let mut checker = Checker::new(&timeline, &[Guarantee::LogoutIsFinal], min_examined);
            for history in SessionHistory::all(operations.clone()) {
                checker.examine(&history, &SessionOutcome::of(&history));
            }
            checker.finish().guarantees[&Guarantee::LogoutIsFinal].clone()
        };
        assert_eq!(judged(1).verdict, Verdict::Pass);
        assert_eq!(judged(2).reason.as_deref(), Some("only 1 operation could have broken it, fewer than 2"));
    }

    #[test]
    fn a_guarantee_that_was_exercised_only_before_the_fault_does_not_pass() {
        let kill = FaultRecord {
            ordered_ns: Some(3_900_000_000),
            injected_ns: Some(3_900_000_000),
            healed_ns: Some(6_000_000_000),
            ..FaultRecord::planned("kill", "app-1")
        };
        let timeline = Timeline { faults: vec![kill], ..Timeline::default() };
        let finding = |build: fn(HistoryBuilder) -> HistoryBuilder| {
            let judgement = judge(SessionHistory::all(history(build)), &timeline, &[Guarantee::Owned]);
            judgement.guarantees[&Guarantee::Owned].clone()
        };
        let before = finding(|builder| builder.create().write().read().read().lost_reply_read());
        assert_eq!(before.exercise, Exercise { before: 4, during: 0, after: 0 });
        assert_eq!(before.reason.as_deref(), Some("no operation could have broken it after the faults"));
        let after = finding(|builder| builder.create().write().read().read().read().read().read());
        assert_eq!(after.exercise, Exercise { before: 4, during: 2, after: 1 });
        assert_eq!(after.verdict, Verdict::Pass);
    }

    #[test]
    fn an_anomaly_counts_under_another_guarantee_only_if_that_is_judged() {
        let judged = |build: fn(HistoryBuilder) -> HistoryBuilder, guarantees: &[Guarantee], about: Guarantee| {
            judge(SessionHistory::all(history(build)), &Timeline::default(), guarantees).guarantees[&about].violations
        };
        let lost_update: fn(HistoryBuilder) -> HistoryBuilder =
            |builder| builder.create().write().write().write_on(1).final_read();
        for about in [Guarantee::ReadYourWrites, Guarantee::OneHistory] {
            assert_eq!(judged(lost_update, &[about, Guarantee::NoLostUpdate], about), 0, "{about}");
            assert!(judged(lost_update, &[about], about) > 0, "{about}");
        }
        let lost_session: fn(HistoryBuilder) -> HistoryBuilder = |builder| builder.create().write().unknown().unknown();
        let about = Guarantee::NoLostUpdate;
        assert_eq!(judged(lost_session, &[about, Guarantee::SessionSurvives], about), 0);
        assert_eq!(judged(lost_session, &[about], about), 1);
        let foreign: fn(HistoryBuilder) -> HistoryBuilder =
            |builder| builder.create().lost_reply_write(false).read_of(&["9.1.1"]).final_read_of(&["9.1.1"]);
        let about = Guarantee::NoPhantom;
        assert_eq!(judged(foreign, &[about, Guarantee::Owned], about), 0);
        assert_eq!(judged(foreign, &[about], about), 1);
    }

    #[test]
    fn counters_and_orders_in_one_trial_are_reported_per_session() {
        let mut operations = healthy_history();
        operations.extend(testing::history_of(3, |builder| builder.counter_only().create().write().final_read()));
        let judgement = judged(operations, &Timeline::default());
        assert!(!judgement.by_counter_only);
        let finding = &judgement.guarantees[&Guarantee::OneHistory];
        assert_eq!(finding.reason.as_deref(), Some("1 session showed only how many operations it holds"));
    }

    #[test]
    fn a_guarantee_that_is_not_requested_is_not_decided() {
        let judgement = judge(SessionHistory::all(history(healthy)), &Timeline::default(), &[Guarantee::Owned]);
        assert_eq!(judgement.guarantees.keys().copied().collect::<Vec<_>>(), [Guarantee::Owned]);
        assert_eq!(judgement.verdict, Verdict::Pass);
    }

    #[test]
    fn example_violations_are_limited_and_differ_and_the_count_is_exact() {
        let history = history(|builder| {
            let builder = (0..20).fold(builder.create().write().write(), |builder, _| builder.stale_read(1));
            builder.on("app-2").stale_read(1).on("app-1").final_read()
        });
        let finding = testing::finding(&history, Guarantee::ReadYourWrites);
        assert_eq!((finding.violations, finding.examples.len()), (21, 5));
        assert!(finding.examples[1].text.contains("app-2 answered"), "{}", finding.examples[1].text);
    }

    #[test]
    fn copies_that_are_behind_are_reported_and_break_no_guarantee() {
        let operations = history(|builder| {
            let builder = healthy(builder).on("app-1").node_read_of(&["1.1.1", "1.1.3"]);
            builder.on("app-2").node_read_of(&["1.1.1"]).on("app-3").node_does_not_know()
        });
        let judgement = judge(SessionHistory::all(operations), &Timeline::default(), &[Guarantee::OneHistory]);
        assert_eq!(judgement.verdict, Verdict::Pass);
        let Copies { sessions, disagreeing, copies, behind, .. } = judgement.copies;
        assert_eq!((sessions, disagreeing, copies, behind), (1, 1, 2, 1));
        insta::assert_snapshot!(judgement.copies.examples[0].text, @"session 1: in the end app-1 answered version 2; past the balancer app-2 is behind with version 1 at 6.50 s");
    }

    #[test]
    fn states_of_one_version_are_placed_by_the_longest_tail_whichever_reply_came_first() {
        let mut history = history(|builder| (0..12).fold(builder.create(), |builder, _| builder.write()).read().read());
        let ids: Vec<OperationId> = history
            .iter()
            .filter(|operation| operation.kind == OperationKind::Write)
            .map(|operation| operation.id)
            .collect();
        for operation in history.iter_mut().filter(|operation| operation.kind == OperationKind::Write) {
            operation.outcome = Outcome::Done;
        }
        // Two reads at the same instant: the second one's reply came first, and has everything since the log-in.
        if let Some(Outcome::Ok(state)) = history.last_mut().map(|read| &mut read.outcome) {
            state.order.as_mut().unwrap().tail = ids.into();
        }
        let finding = testing::finding(&history, Guarantee::OneHistory);
        assert_eq!((finding.verdict, finding.reason), (Verdict::Pass, None));
    }
}
