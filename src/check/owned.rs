//! `owned`: a reply shows another owner, or an operation of another session, which is a leak.

use super::Examination;
use super::subject::Subject;
use super::violation::{Violation, node};
use crate::history::{SessionHistory, State, Tail};

pub(super) fn examine(subject: &Subject, examination: &mut Examination) {
    let history = subject.history;
    let owner = history.owner();
    let own = subject.outcome.identity().filter(|identity| identity.owner == owner);
    let mut checked_tail: Option<&Tail> = None;
    for operation in &history.operations {
        let Some(state) = operation.state() else { continue };
        examination.examined(subject, operation.times.completed_ns);
        let tail = state.order.as_ref().map(|order| &order.tail);
        // The state shares its tail with an earlier one, which held only this session's operations.
        let is_known = checked_tail.is_some_and(|known| tail.is_some_and(|tail| Tail::ptr_eq(known, tail)));
        // A session without an owner is a fresh one: the user's session is lost, but no other user's was shown.
        let is_own = own.is_some_and(|own| state.identity.is(own))
            || state.identity.owner == owner
            || state.identity.owner.is_empty();
        if is_own && (is_known || !shows_foreign_operation(history, state)) {
            checked_tail = tail;
        } else {
            examination.violated(subject, operation, || {
                let foreign = foreign_part(history, &owner, state);
                Violation::new(subject, &[operation], &format!("{} answered with {foreign}", node(operation)))
            });
        }
    }
}

fn shows_foreign_operation(history: &SessionHistory, state: &State) -> bool {
    let is_foreign = |order: &crate::history::Order| {
        order.tail.iter().any(|op| (op.session, op.life) != (history.session, history.number))
    };
    state.order.as_ref().is_some_and(is_foreign)
}

fn foreign_part(history: &SessionHistory, owner: &str, state: &State) -> String {
    if state.identity.owner != owner {
        return format!("the session of {}", state.identity.owner);
    }
    let mut shown = state.order.iter().flat_map(|order| order.tail.iter());
    let foreign = shown.find(|op| (op.session, op.life) != (history.session, history.number));
    foreign.map_or(String::new(), |op| format!("operation {op} of another session"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};

    #[test]
    fn a_reply_with_another_owner_is_a_leak() {
        let history = history(|builder| builder.create().write().foreign_owner());
        let finding = finding(&history, Guarantee::Owned);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        assert!(finding.examples[0].text.contains("answered with the session of s9"), "{}", finding.examples[0].text);
    }

    #[test]
    fn a_reply_with_an_operation_of_another_session_is_a_leak() {
        for foreign in ["9.1.1", "1.2.1"] {
            let history = history(|builder| builder.create().lost_reply_write(false).read_of(&[foreign]).final_read());
            assert_eq!(finding(&history, Guarantee::Owned).verdict, Verdict::Violated, "{foreign}");
        }
    }
}
