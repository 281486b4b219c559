//! `expires-in-time`: a session that nobody used is gone before its time is over, or still there afterwards. A user pauses for less than
//! that time, reads, and pauses again: each request begins the time anew, a mere read too, and on every node.
//!
//! Where a fault took effect in the pause, a session that is gone was lost by that, and counts under `session-survives`.

use super::subject::Subject;
use super::violation::{Violation, node, seconds};
use super::{Examination, Guarantee};
use crate::history::{ErrorKind, Expiry, FaultRecord, Operation, OperationKind, Outcome};

pub(super) fn examine(subject: &Subject, examination: &mut Examination) {
    let (Some(expiry), Some((creation, session))) = (subject.history.expiry, subject.outcome.creation) else { return };
    let identity = &session.identity;
    if let Some(operation) = ended_early(subject) {
        examination.examined(subject, operation.times.completed_ns);
        examination
            .violated(subject, operation, || after_a_pause(subject, operation, expiry, "did not know it any more"));
    }
    // Until when a request may have used it, in nanoseconds; `None` once that cannot be said.
    let mut used_until_ns = Some(creation.times.completed_ns);
    for operation in &subject.history.operations {
        let is_shown = operation.state().is_some_and(|state| state.identity.is(identity));
        let is_over = operation.began_ns() >= creation.times.completed_ns
            && used_until_ns.is_some_and(|until_ns| operation.began_ns() > is_over_ns(until_ns, expiry));
        if is_over && operation.kind.has_its_cookies() && (is_shown || operation.session_was_unknown()) {
            examination.examined(subject, operation.times.completed_ns);
            if is_shown {
                examination.violated(subject, operation, || after_a_pause(subject, operation, expiry, "showed it"));
            }
        } else if is_shown && operation.kind == OperationKind::IdleRead {
            examination.examined(subject, operation.times.completed_ns);
        }
        used_until_ns = match &operation.outcome {
            Outcome::Fail(ErrorKind::UnknownSession) => used_until_ns,
            // The app may come to it at any time.
            Outcome::Indeterminate(_) => None,
            _ => used_until_ns.map(|until_ns: u64| until_ns.max(operation.times.completed_ns)),
        };
    }
}

/// The read after a pause that did not know the session although its time was not over, if that counts here.
pub(super) fn ended_early<'a>(subject: &Subject<'a>) -> Option<&'a Operation> {
    let operation = subject.outcome.expired_early.filter(|_| subject.rules.judges(Guarantee::ExpiresInTime))?;
    let from_ns = last_use(subject, operation)?.began_ns();
    let is_in_the_pause = |at_ns: u64| (from_ns..operation.times.completed_ns).contains(&at_ns);
    let mut faults = subject.timeline.faults.iter().filter_map(FaultRecord::effective_from_ns);
    (!faults.any(is_in_the_pause)).then_some(operation)
}

fn is_over_ns(used_until_ns: u64, Expiry { after_ns, tolerance_ns }: Expiry) -> u64 {
    used_until_ns.saturating_add(after_ns).saturating_add(tolerance_ns)
}

/// The last request before an operation that showed the session. One that decides nothing, because it waits for states to
/// settle, uses it all the same.
fn last_use<'a>(subject: &Subject<'a>, before: &Operation) -> Option<&'a Operation> {
    let identity = subject.outcome.identity()?;
    let shows_it = |operation: &&Operation| {
        operation.kind.has_its_cookies() && operation.state().is_some_and(|state| state.identity.is(identity))
    };
    let used = subject.history.operations.iter().filter(shows_it);
    used.filter(|operation| operation.began_ns() < before.began_ns()).max_by_key(|operation| operation.began_ns())
}

/// The violation by the request that ended a pause, with what its node did with the session.
fn after_a_pause(subject: &Subject, operation: &Operation, expiry: Expiry, did: &str) -> Violation {
    let last_use = last_use(subject, operation);
    let paused_ns = last_use.map(|last_use| operation.began_ns().saturating_sub(last_use.began_ns()));
    let text = format!(
        "sessions end after {}; {} {did} after a pause of {}",
        seconds(expiry.after_ns),
        node(operation),
        paused_ns.map_or(String::new(), seconds)
    );
    let seen: Vec<&Operation> = last_use.into_iter().chain([operation]).collect();
    Violation::of(subject, operation, &seen, &text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HistoryBuilder, finding_with, history};
    use super::super::{Finding, Guarantee, Verdict};
    use crate::history::{Expiry, FaultRecord, Timeline};

    /// Sessions end after 3 s, give or take half a second.
    fn timeline() -> Timeline {
        let expiry = Some(Expiry { after_ns: 3_000_000_000, tolerance_ns: 500_000_000 });
        Timeline { expiry, ..Timeline::default() }
    }

    fn found(build: fn(HistoryBuilder) -> HistoryBuilder, about: Guarantee) -> Finding {
        finding_with(&history(build), &timeline(), about)
    }

    #[test]
    fn a_session_that_is_there_before_its_time_and_gone_after_it_passes() {
        let build: fn(HistoryBuilder) -> HistoryBuilder =
            |builder| builder.create().write().pause(1).idle_read(true).pause(4).idle_read(false);
        let finding = found(build, Guarantee::ExpiresInTime);
        assert_eq!((finding.verdict, finding.examined), (Verdict::Pass, 2));
        assert_eq!(found(build, Guarantee::SessionSurvives).verdict, Verdict::Pass, "it has ended by itself");
        assert_eq!(found(build, Guarantee::LogoutIsFinal).verdict, Verdict::Unknown, "and by no log-out");
        assert_eq!(found(build, Guarantee::NoLostUpdate).verdict, Verdict::Pass);
    }

    #[test]
    fn a_session_that_is_gone_before_its_time_is_a_violation_of_this_alone() {
        let build: fn(HistoryBuilder) -> HistoryBuilder =
            |builder| builder.create().write().pause(1).idle_read(false).idle_read(false);
        let finding = found(build, Guarantee::ExpiresInTime);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: sessions end after 3.00 s; app-1 did not know it any more after a pause of 2.00 s at 3.50 s");
        assert_eq!(found(build, Guarantee::SessionSurvives).verdict, Verdict::Pass);
    }

    #[test]
    fn a_session_that_only_a_read_which_waits_for_states_to_settle_had_shown_is_gone_early_as_well() {
        let build: fn(HistoryBuilder) -> HistoryBuilder =
            |builder| builder.create_without_reply().settle_read().pause(1).idle_read(false);
        assert_eq!(found(build, Guarantee::ExpiresInTime).verdict, Verdict::Violated);
        assert_ne!(found(build, Guarantee::SessionSurvives).verdict, Verdict::Violated);
    }

    #[test]
    fn a_session_that_is_still_there_after_its_time_is_a_violation() {
        let finding =
            found(|builder| builder.create().write().pause(4).idle_read(true).final_read(), Guarantee::ExpiresInTime);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: sessions end after 3.00 s; app-1 showed it after a pause of 5.00 s at 6.50 s");
    }

    #[test]
    fn a_session_that_is_made_late_in_the_load_is_not_old() {
        let finding = found(|builder| builder.pause(60).create().write().final_read(), Guarantee::ExpiresInTime);
        assert_eq!((finding.verdict, finding.examined), (Verdict::Unknown, 0));
    }

    #[test]
    fn within_the_tolerance_nothing_is_judged() {
        let there = found(|builder| builder.create().pause(2).read().final_read(), Guarantee::ExpiresInTime);
        assert_eq!((there.verdict, there.examined), (Verdict::Unknown, 0));
        let gone = found(|builder| builder.create().write().pause(2).unknown(), Guarantee::SessionSurvives);
        assert_eq!(gone.verdict, Verdict::Pass, "it may have ended by itself");
    }

    #[test]
    fn a_session_that_a_fault_took_in_the_pause_counts_as_lost() {
        let build: fn(HistoryBuilder) -> HistoryBuilder =
            |builder| builder.create().write().pause(1).idle_read(false).idle_read(false);
        let at_ns = Some(2_000_000_000);
        let kill = FaultRecord {
            ordered_ns: at_ns,
            injected_ns: at_ns,
            healed_ns: at_ns,
            ..FaultRecord::planned("kill", "app-1")
        };
        let timeline = Timeline { faults: vec![kill], ..timeline() };
        let verdict = |about| finding_with(&history(build), &timeline, about).verdict;
        assert_eq!(verdict(Guarantee::SessionSurvives), Verdict::Violated);
        assert_ne!(verdict(Guarantee::ExpiresInTime), Verdict::Violated);
    }

    #[test]
    fn after_a_request_without_a_reply_nobody_can_say_when_the_time_is_over() {
        let finding = found(
            |builder| builder.create().write().lost_reply_read().pause(5).idle_read(true).final_read(),
            Guarantee::ExpiresInTime,
        );
        assert_ne!(finding.verdict, Verdict::Violated);
    }
}
