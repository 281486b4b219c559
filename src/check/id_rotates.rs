//! `id-rotates`: the id from before the log-in, or from before a later change of the id, still leads to the session. Somebody who
//! knows that id, because they gave it to the visitor, would be logged in as the user (session fixation).

use super::Examination;
use super::subject::Subject;
use super::violation::{Violation, node, seconds};
use crate::history::{Operation, OperationKind};

pub(super) fn examine(subject: &Subject, examination: &mut Examination) {
    let Some((creation, session)) = subject.outcome.creation else { return };
    let reads = subject.history.operations.iter().filter(|operation| operation.kind == OperationKind::OldIdRead);
    for operation in reads.filter(|operation| operation.is_ok() || operation.session_was_unknown()) {
        examination.examined(subject, operation.times.completed_ns);
        let Some(state) = operation.state().filter(|state| subject.history.is_shown_by(state, Some(session))) else {
            continue;
        };
        examination.violated(subject, operation, || {
            let as_whom = if state.identity.owner.is_empty() { "as it was before" } else { "logged in" };
            let before = |change: &&Operation| change.times.completed_ns <= operation.began_ns();
            let changes = subject.outcome.id_changes.iter().copied().filter(before);
            let change = changes.max_by_key(|change| change.times.completed_ns).unwrap_or(creation);
            let (what, at) = (change.kind.word(), seconds(change.times.completed_ns));
            let text = format!(
                "the {what} at {at} gave it a new id; {} still showed it {as_whom} by the old id",
                node(operation)
            );
            Violation::of(subject, operation, &[change, operation], &text)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};

    #[test]
    fn an_old_id_that_still_shows_the_session_is_a_violation() {
        let history = history(|builder| builder.visit().log_in().old_id_read(Some("s1")).write().final_read());
        let finding = finding(&history, Guarantee::IdRotates);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: the log-in at 1.50 s gave it a new id; app-1 still showed it logged in by the old id at 2.50 s");
    }

    #[test]
    fn an_old_id_that_shows_the_visitors_session_again_is_a_violation_too() {
        let history = history(|builder| builder.visit().log_in().old_id_read(Some("")).write().final_read());
        let finding = finding(&history, Guarantee::IdRotates);
        assert_eq!(finding.verdict, Verdict::Violated);
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: the log-in at 1.50 s gave it a new id; app-1 still showed it as it was before by the old id at 2.50 s");
    }

    #[test]
    fn an_old_id_that_is_unknown_passes_and_breaks_nothing_else() {
        let history = history(|builder| builder.visit().log_in().old_id_read(None).write().final_read());
        assert_eq!(finding(&history, Guarantee::IdRotates).verdict, Verdict::Pass);
        assert_eq!(finding(&history, Guarantee::SessionSurvives).verdict, Verdict::Pass);
    }

    #[test]
    fn the_id_may_change_once_more_and_a_violation_names_which_change_it_was() {
        let history = history(|builder| builder.create().write().new_id().old_id_read(Some("s1")).final_read());
        let finding = finding(&history, Guarantee::IdRotates);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: the new-id at 2.50 s gave it a new id; app-1 still showed it logged in by the old id at 3.50 s");
    }

    #[test]
    fn a_session_whose_new_id_got_lost_with_its_reply_may_be_unknown_from_then_on() {
        let lost = history(|builder| builder.create().write().new_id_without_reply().unknown().unknown());
        assert_eq!(finding(&lost, Guarantee::SessionSurvives).violations, 0, "nobody can tell");
        let before = history(|builder| builder.create().write().unknown().new_id_without_reply().unknown());
        assert_eq!(finding(&before, Guarantee::SessionSurvives).verdict, Verdict::Violated);
        let back = history(|builder| builder.create().write().new_id_without_reply().unknown().read());
        assert_ne!(finding(&back, Guarantee::LogoutIsFinal).verdict, Verdict::Violated, "it was no log-out");
    }

    #[test]
    fn without_a_log_in_of_a_visitor_the_verdict_is_unknown() {
        let history = history(|builder| builder.create().write().final_read());
        assert_eq!(finding(&history, Guarantee::IdRotates).verdict, Verdict::Unknown);
    }
}
