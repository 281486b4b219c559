//! `session-survives`: the app does not know a session that was created and not logged out, or answers with another
//! one. Counted once per session, even if the session is known again later, because an app that does not know a session
//! has logged its user out.

use super::Examination;
use super::Guarantee;
use super::expires_in_time;
use super::subject::Subject;
use super::violation::{Violation, node, seconds};
use crate::history::{Operation, OperationKind, earliest};

pub(super) fn examine(subject: &Subject, examination: &mut Examination) {
    let Some((creation, _)) = subject.outcome.creation else { return };
    let later = subject.history.operations.iter().filter(|operation| {
        let is_evidence = operation.kind.has_its_cookies() && !operation.kind.begins_the_session();
        is_evidence
            && !matches!(operation.kind, OperationKind::NodeRead | OperationKind::SettleRead)
            && (operation.is_ok() || operation.session_was_unknown())
    });
    for operation in later {
        examination.examined(subject, operation.times.completed_ns);
    }
    let counts_elsewhere = subject.rules.judges(Guarantee::LoginSticks) && creation.kind == OperationKind::LogIn;
    let log_in_lost = subject.outcome.log_in_lost.filter(|_| !counts_elsewhere);
    let expired_early = subject.outcome.expired_early.filter(|_| expires_in_time::ended_early(subject).is_none());
    if let Some(operation) =
        [log_in_lost, expired_early].into_iter().fold(subject.outcome.first_sign_of_loss(), earliest)
    {
        examination.violated(subject, operation, || describe(subject, operation));
    }
}

fn describe(subject: &Subject, operation: &Operation) -> Violation {
    let before = subject.replies.iter().filter(|reply| reply.operation.times.completed_ns <= operation.began_ns());
    let before = before.max_by_key(|reply| reply.operation.times.completed_ns);
    let was = before.map_or(String::new(), |reply| {
        let at = seconds(reply.operation.times.completed_ns);
        format!("it was at version {} on {} at {at}; ", reply.state.version, node(reply.operation))
    });
    if operation.kind == OperationKind::NodeRead {
        let seen: Vec<&Operation> = before.map(|reply| reply.operation).into_iter().chain([operation]).collect();
        return Violation::new(subject, &seen, &format!("{was}no node holds it in the end"));
    }
    let became = match (operation.session_was_unknown(), subject.outcome.loss) {
        (false, _) => "answered with a new one in its place",
        (true, Some(_)) => "did not know it",
        (true, None) => "did not know it for a while",
    };
    let seen: Vec<&Operation> = before.map(|reply| reply.operation).into_iter().chain([operation]).collect();
    Violation::new(subject, &seen, &format!("{was}{} {became}", node(operation)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HistoryBuilder, finding, finding_with, history};
    use super::super::{Guarantee, Verdict};
    use crate::history::{FaultRecord, SessionHistory, SessionOutcome, Timeline};

    #[test]
    fn a_session_that_becomes_unknown_is_one_violation_with_its_story() {
        let history = history(|builder| builder.on("app-2").create().write().on("app-1").unknown().unknown());
        let mut kill = FaultRecord::planned("kill", "app-2");
        kill.injected_ns = Some(2_300_000_000);
        let timeline = Timeline { faults: vec![kill], ..Timeline::default() };
        let finding = finding_with(&history, &timeline, Guarantee::SessionSurvives);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: it was at version 1 on app-2 at 1.50 s; app-1 did not know it at 2.50 s, 0.20 s after the kill of app-2");
        insta::assert_json_snapshot!(finding.examples[0]);
    }

    #[test]
    fn a_session_that_is_unknown_once_is_a_violation_although_it_is_not_lost() {
        let history = history(|builder| builder.create().write().unknown().read().final_read());
        let finding = finding(&history, Guarantee::SessionSurvives);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        assert!(finding.examples[0].text.contains("did not know it for a while"), "{}", finding.examples[0].text);
        assert!(SessionOutcome::of(&SessionHistory::all(history)[0]).loss.is_none());
    }

    #[test]
    fn a_session_that_comes_back_as_a_new_one_did_not_survive() {
        let history = history(|builder| builder.create().write().reborn());
        assert_eq!(finding(&history, Guarantee::SessionSurvives).verdict, Verdict::Violated);
    }

    #[test]
    fn a_session_whose_creation_was_never_acknowledged_nor_seen_cannot_be_lost() {
        let history = history(|builder| builder.create_without_reply().unknown());
        let finding = finding(&history, Guarantee::SessionSurvives);
        assert_eq!((finding.verdict, finding.examined), (Verdict::Unknown, 0));
    }

    #[test]
    fn a_session_whose_creation_lost_its_reply_exists_from_when_it_was_seen() {
        let history = history(|builder| builder.create_without_reply().unknown().write().unknown());
        assert_eq!(finding(&history, Guarantee::SessionSurvives).violations, 1);
        let history =
            super::super::testing::history(|builder| builder.create_without_reply().unknown().write().final_read());
        assert_eq!(finding(&history, Guarantee::SessionSurvives).verdict, Verdict::Pass);
    }

    #[test]
    fn a_logged_out_session_may_be_unknown_from_when_the_log_out_was_sent() {
        for acknowledged in [true, false] {
            let history = history(|builder| builder.create().write().log_out(acknowledged).unknown());
            assert_eq!(finding(&history, Guarantee::SessionSurvives).verdict, Verdict::Pass, "{acknowledged}");
        }
        let refused = history(|builder| builder.create().write().refused_log_out().unknown());
        assert_eq!(finding(&refused, Guarantee::SessionSurvives).verdict, Verdict::Violated);
        let before = history(|builder| builder.create().write().unknown().log_out(true));
        assert_eq!(finding(&before, Guarantee::SessionSurvives).verdict, Verdict::Violated);
    }

    #[test]
    fn a_session_that_could_be_logged_out_was_only_unknown_for_a_while() {
        let history = history(|builder| builder.create().write().unknown().log_out(true).unknown());
        assert_eq!(finding(&history, Guarantee::SessionSurvives).violations, 1);
        assert!(SessionOutcome::of(&SessionHistory::all(history)[0]).was_forgotten());
    }

    #[test]
    fn a_session_that_another_node_still_holds_is_not_gone_for_good() {
        let history = history(|builder| builder.create().write().unknown().on("app-2").node_read_of(&["1.1.1"]));
        assert_eq!(finding(&history, Guarantee::SessionSurvives).violations, 1);
        assert!(SessionOutcome::of(&SessionHistory::all(history)[0]).was_forgotten());
    }

    #[test]
    fn a_node_that_is_asked_past_the_balancer_need_not_know_the_session() {
        let history = history(|builder| builder.create().write().final_read().on("app-2").node_does_not_know());
        assert_eq!(finding(&history, Guarantee::SessionSurvives).verdict, Verdict::Pass);
    }

    #[test]
    fn a_session_that_no_node_holds_in_the_end_is_lost_although_the_final_read_showed_it() {
        let finding_after = |last: fn(HistoryBuilder) -> HistoryBuilder| {
            let history = history(|builder| {
                last(builder.create().write().final_read().on("app-1").node_does_not_know().on("app-2"))
            });
            finding(&history, Guarantee::SessionSurvives)
        };
        let nowhere = finding_after(HistoryBuilder::node_does_not_know);
        assert_eq!(nowhere.violations, 1);
        insta::assert_snapshot!(nowhere.examples[0].text, @"session 1: it was at version 1 on app-1 at 2.50 s; no node holds it in the end at 3.50 s");
        assert_eq!(finding_after(|builder| builder.node_read_of(&["1.1.1"])).verdict, Verdict::Pass);
        assert_eq!(finding_after(HistoryBuilder::node_does_not_answer).verdict, Verdict::Pass, "it may hold it");
    }

    #[test]
    fn a_foreign_session_after_two_unknown_replies_does_not_bring_it_back() {
        let history = history(|builder| builder.create().write().unknown().unknown().foreign_owner());
        assert!(SessionOutcome::of(&SessionHistory::all(history)[0]).loss.is_some());
    }

    #[test]
    fn a_fresh_session_that_nobody_owns_is_a_lost_session_and_no_leak() {
        let history = history(|builder| builder.create().write().anonymous());
        assert_eq!(finding(&history, Guarantee::SessionSurvives).violations, 1);
        assert_eq!(finding(&history, Guarantee::Owned).verdict, Verdict::Pass);
        assert!(SessionOutcome::of(&SessionHistory::all(history)[0]).loss.is_some());
    }

    #[test]
    fn a_log_out_that_may_have_been_sent_twice_may_find_the_session_ended() {
        let resent = history(|builder| builder.create().write().ambiguous_log_out().unknown());
        assert_eq!(finding(&resent, Guarantee::SessionSurvives).verdict, Verdict::Pass);
        let undone = history(|builder| builder.create().write().ambiguous_log_out().unknown().read());
        assert_eq!(finding(&undone, Guarantee::LogoutIsFinal).verdict, Verdict::Violated);
    }

    #[test]
    fn errors_of_the_network_are_no_loss() {
        let history = history(|builder| builder.create().write().lost_reply_read().read().final_read());
        assert_eq!(finding(&history, Guarantee::SessionSurvives).verdict, Verdict::Pass);
    }
}
