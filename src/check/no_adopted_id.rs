//! `no-adopted-id`: a session got the id that its user had made up. Whoever sends a user a link with an id would know the id
//! of the session (session fixation). Before the log-in it is the visitor's session that must not have it.

use super::Examination;
use super::subject::Subject;
use super::violation::{Violation, node};
use crate::history::{Operation, OperationKind, State};

pub(super) fn examine(subject: &Subject, examination: &mut Examination) {
    let operations = || subject.history.operations.iter();
    let creates = |operation: &&Operation| matches!(operation.kind, OperationKind::Visit | OperationKind::Create);
    let created = operations().filter(creates).find_map(|operation| Some((operation, operation.state()?)));
    let Some((creation, session)) = created else { return };
    let reads = operations().filter(|operation| operation.kind == OperationKind::MadeUpRead);
    for operation in reads.filter(|operation| operation.is_ok() || operation.session_was_unknown()) {
        examination.examined(subject, operation.times.completed_ns);
        let is_it = |state: &State| {
            let is_of_it = !state.identity.epoch.is_empty() && state.identity.epoch == session.identity.epoch;
            is_of_it || state.identity.owner == subject.history.owner()
        };
        if operation.state().is_some_and(is_it) {
            examination.violated(subject, operation, || {
                let text = format!(
                    "its user came with an id that the server never made; {} showed the session by that id",
                    node(operation)
                );
                Violation::of(subject, operation, &[creation, operation], &text)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};

    #[test]
    fn a_session_that_its_users_made_up_id_shows_is_a_violation() {
        let history = history(|builder| builder.create().made_up_read(Some("s1")).write().final_read());
        let finding = finding(&history, Guarantee::NoAdoptedId);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: its user came with an id that the server never made; app-1 showed the session by that id at 1.50 s");
    }

    #[test]
    fn so_is_a_visitors_session() {
        let history = history(|builder| builder.visit().made_up_read(Some("")).log_in().write().final_read());
        assert_eq!(finding(&history, Guarantee::NoAdoptedId).verdict, Verdict::Violated);
    }

    #[test]
    fn a_made_up_id_that_is_unknown_passes_and_breaks_nothing_else() {
        let history = history(|builder| builder.create().made_up_read(None).write().final_read());
        assert_eq!(finding(&history, Guarantee::NoAdoptedId).verdict, Verdict::Pass);
        assert_eq!(finding(&history, Guarantee::SessionSurvives).verdict, Verdict::Pass);
    }

    #[test]
    fn a_user_who_made_nothing_up_leaves_the_verdict_unknown() {
        let history = history(|builder| builder.create().write().final_read());
        assert_eq!(finding(&history, Guarantee::NoAdoptedId).verdict, Verdict::Unknown);
    }
}
