//! `logout-is-final`: a logged-out session still answers. It is logged out from the first reply that confirmed it or
//! did not know the session any more, because the confirmation may be lost.

use super::Examination;
use super::subject::Subject;
use super::violation::{Violation, node, seconds};
use crate::history::{Operation, OperationKind};

pub(super) fn examine(subject: &Subject, examination: &mut Examination) {
    let Some(ended) = ended(subject) else { return };
    let owner = subject.history.owner();
    let is_asked_for =
        |operation: &&Operation| operation.began_ns() >= ended && operation.kind != OperationKind::SettleRead;
    let overtakes = || subject.history.operations.iter().any(|other| is_in_flight(subject, other));
    let counts = !subject.timeline.log_outs_overtake || overtakes();
    for operation in subject.history.operations.iter().filter(is_asked_for) {
        if operation.session_was_unknown() {
            if counts {
                examination.examined(subject, operation.times.completed_ns);
            }
        } else if operation.state().is_some_and(|state| state.identity.owner == owner) {
            examination.examined(subject, operation.times.completed_ns);
            examination.violated(subject, operation, || describe(subject, operation, ended));
        }
    }
}

/// When the session was certainly logged out.
fn ended(subject: &Subject) -> Option<u64> {
    // What ends by itself is the matter of `expires-in-time`.
    let log_out = subject.outcome.log_out.filter(|_| !subject.outcome.is_no_log_out)?;
    let through = subject
        .history
        .operations
        .iter()
        .filter(|operation| operation.is_through_the_balancer() && operation.kind != OperationKind::SettleRead)
        .filter(|operation| operation.kind.has_its_cookies());
    let is_missed =
        |operation: &&Operation| operation.session_was_unknown() && !subject.outcome.has_the_old_id(operation);
    let unknown = through.filter(is_missed).filter(|operation| operation.began_ns() >= log_out.sent_ns);
    let seen = unknown.map(|operation| operation.times.completed_ns).min();
    seen.into_iter().chain(log_out.acknowledged_ns).min()
}

fn describe(subject: &Subject, operation: &Operation, ended: u64) -> Violation {
    let operations = || subject.history.operations.iter();
    let is_log_out = |other: &&Operation| other.times.completed_ns == ended;
    let in_flight = operations().find(|other| is_in_flight(subject, other));
    let how = in_flight.map_or(String::new(), |other| {
        let (kind, id) = (other.kind.word(), other.id);
        let shows_it = operation.state().and_then(|state| state.order.as_ref());
        let brought_back = other.kind.is_write() && shows_it.is_some_and(|order| order.tail.contains(&other.id));
        if brought_back {
            format!(" and came back by the {kind} {id}, which was in flight")
        } else {
            format!(" with the {kind} {id} in flight")
        }
    });
    let jar = if operation.kind == OperationKind::BrowserRead { " to the browser's own cookies" } else { "" };
    let text = format!("it was logged out at {}{how}; {} still answered{jar}", seconds(ended), node(operation));
    let seen: Vec<&Operation> = operations().filter(is_log_out).chain(in_flight).chain([operation]).collect();
    Violation::of(subject, operation, &seen, &text)
}

/// Whether a request of the session was sent before its log-out and answered after that was sent.
fn is_in_flight(subject: &Subject, other: &Operation) -> bool {
    let log_out_ns = subject.outcome.log_out.map_or(u64::MAX, |log_out| log_out.sent_ns);
    let is_request = other.kind != OperationKind::LogOut && other.kind.has_its_cookies() && other.sent();
    is_request && other.began_ns() < log_out_ns && other.times.completed_ns > log_out_ns
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HistoryBuilder, finding, finding_with, history};
    use super::super::{Guarantee, Verdict};
    use crate::history::Timeline;

    #[test]
    fn a_session_that_answers_after_its_log_out_is_a_violation() {
        let history = history(|builder| builder.create().write().log_out(true).read());
        let finding = finding(&history, Guarantee::LogoutIsFinal);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: it was logged out at 2.50 s; app-1 still answered at 3.50 s");
    }

    #[test]
    fn a_session_that_is_unknown_after_its_log_out_passes() {
        let history = history(|builder| builder.create().write().log_out(true).unknown());
        assert_eq!(finding(&history, Guarantee::LogoutIsFinal).verdict, Verdict::Pass);
    }

    #[test]
    fn a_log_out_without_a_reply_may_take_effect_or_not_but_not_be_undone() {
        let never = history(|builder| builder.create().write().log_out(false).read());
        assert_eq!(finding(&never, Guarantee::LogoutIsFinal).verdict, Verdict::Unknown, "nothing to see");
        let late = history(|builder| builder.create().write().log_out(false).read().unknown().unknown());
        assert_eq!(finding(&late, Guarantee::LogoutIsFinal).verdict, Verdict::Pass);
        let undone = history(|builder| builder.create().write().log_out(false).unknown().read());
        assert_eq!(finding(&undone, Guarantee::LogoutIsFinal).verdict, Verdict::Violated);
    }

    #[test]
    fn a_reply_to_a_request_sent_before_the_log_out_was_done_passes() {
        let history = history(|builder| builder.create().write().log_out(true).overlapping_read().unknown());
        assert_eq!(finding(&history, Guarantee::LogoutIsFinal).verdict, Verdict::Pass);
    }

    #[test]
    fn a_session_that_a_request_in_flight_brings_back_is_a_violation_that_names_the_request() {
        let history = history(|builder| builder.create().held_write().log_out(true).read());
        let written = finding(&history, Guarantee::LogoutIsFinal);
        assert_eq!((written.verdict, written.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(written.examples[0].text, @"session 1: it was logged out at 2.50 s and came back by the held-write 1.1.1, which was in flight; app-1 still answered at 3.50 s");
    }

    #[test]
    fn a_browser_that_a_late_reply_logs_in_again_is_a_violation_and_one_that_is_not_known_is_no_evidence_of_the_end() {
        let logged_in = history(|builder| builder.create().write().log_out(true).unknown().browser_read(Some("s1")));
        let found = finding(&logged_in, Guarantee::LogoutIsFinal);
        assert_eq!((found.verdict, found.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(found.examples[0].text, @"session 1: it was logged out at 2.50 s; app-1 still answered to the browser's own cookies at 4.50 s");
        let never = history(|builder| builder.create().write().log_out(false).browser_read(None).read());
        assert_eq!(finding(&never, Guarantee::LogoutIsFinal).verdict, Verdict::Unknown);
    }

    #[test]
    fn where_log_outs_are_to_overtake_requests_only_those_count_that_did() {
        let timeline = Timeline { log_outs_overtake: true, ..Timeline::default() };
        let verdict = |build: fn(HistoryBuilder) -> HistoryBuilder| {
            finding_with(&history(build), &timeline, Guarantee::LogoutIsFinal).verdict
        };
        assert_eq!(verdict(|builder| builder.create().held_write().log_out(true).unknown()), Verdict::Pass);
        assert_eq!(verdict(|builder| builder.create().write().log_out(true).unknown()), Verdict::Unknown);
        assert_eq!(verdict(|builder| builder.create().write().log_out(true).read()), Verdict::Violated);
    }

    #[test]
    fn a_node_that_still_holds_a_logged_out_session_is_a_violation() {
        let history = history(|builder| builder.create().write().log_out(true).on("app-2").node_read_of(&["1.1.1"]));
        assert_eq!(finding(&history, Guarantee::LogoutIsFinal).verdict, Verdict::Violated);
    }

    #[test]
    fn without_a_log_out_the_verdict_is_unknown() {
        let history = history(|builder| builder.create().write().final_read());
        assert_eq!(finding(&history, Guarantee::LogoutIsFinal).verdict, Verdict::Unknown);
    }
}
