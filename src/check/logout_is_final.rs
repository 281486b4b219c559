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
    for operation in subject.history.operations.iter().filter(is_asked_for) {
        if operation.session_was_unknown() {
            examination.examined(subject, operation.times.completed_ns);
        } else if operation.state().is_some_and(|state| state.identity.owner == owner) {
            examination.examined(subject, operation.times.completed_ns);
            examination.violated(subject, operation, || describe(subject, operation, ended));
        }
    }
}

/// When the session was certainly logged out.
fn ended(subject: &Subject) -> Option<u64> {
    let log_out = subject.outcome.log_out?;
    let through = subject
        .history
        .operations
        .iter()
        .filter(|operation| operation.is_through_the_balancer() && operation.kind != OperationKind::SettleRead);
    let unknown =
        through.filter(|operation| operation.session_was_unknown() && operation.began_ns() >= log_out.sent_ns);
    let seen = unknown.map(|operation| operation.times.completed_ns).min();
    seen.into_iter().chain(log_out.acknowledged_ns).min()
}

fn describe(subject: &Subject, operation: &Operation, ended: u64) -> Violation {
    let text = format!("it was logged out at {}; {} still answered", seconds(ended), node(operation));
    let is_log_out = |other: &&Operation| other.times.completed_ns == ended;
    let seen: Vec<&Operation> = subject.history.operations.iter().filter(is_log_out).chain([operation]).collect();
    Violation::of(subject, operation, &seen, &text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};

    #[test]
    fn a_session_that_answers_after_its_log_out_is_a_violation() {
        let history = history(|builder| builder.create().write().log_out(true).read());
        let finding = finding(&history, Guarantee::LogoutIsFinal);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(finding.stories[0].text, @"session 1: it was logged out at 2.50 s; app-1 still answered at 3.50 s");
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
