//! `no-phantom`: a reply shows an operation that certainly failed, was never sent, or is not a write. Operations of
//! other sessions count under `owned`.

use std::collections::BTreeSet;

use super::subject::{JudgedBy, Subject};
use super::violation::{Violation, node};
use super::{Examination, Guarantee, InconclusiveReason};
use crate::history::{Operation, OperationId, OperationKind};

pub(super) fn examine(subject: &Subject, examination: &mut Examination) {
    if subject.evidence == JudgedBy::Counter {
        return;
    }
    let mut phantoms: BTreeSet<OperationId> = BTreeSet::new();
    examination.examined_states(subject);
    for op in subject.orders.steps().filter_map(|step| subject.orders.op(step)) {
        if is_phantom(subject, op) {
            phantoms.insert(op);
        }
    }
    for reply in subject.replies.iter().filter(|reply| reply.step.is_none()) {
        examination.inconclusive(InconclusiveReason::NotPlaced);
        let shown = reply.state.order.iter().flat_map(|order| order.tail.iter());
        phantoms.extend(shown.filter(|op| is_phantom(subject, **op)));
    }
    for op in phantoms {
        let shows = |tail: &[OperationId]| tail.contains(&op);
        let reply =
            subject.replies.iter().find(|reply| reply.state.order.as_ref().is_some_and(|order| shows(&order.tail)));
        if let Some(reply) = reply {
            examination.violated(subject, reply.operation, || {
                let why = match subject.operation(op) {
                    None => "was never sent for this session",
                    Some(sent) if !can_show(sent) => "is not a write",
                    Some(_) => "certainly failed",
                };
                let text = format!("{} answered with operation {op}, which {why}", node(reply.operation));
                let seen: Vec<_> = subject.operation(op).into_iter().chain([reply.operation]).collect();
                Violation::of(subject, reply.operation, &seen, &text)
            });
        }
    }
}

fn is_phantom(subject: &Subject, op: OperationId) -> bool {
    if (op.session, op.life) != (subject.history.session, subject.history.number) {
        return !subject.rules.judges(Guarantee::Owned);
    }
    subject.operation(op).is_none_or(|sent| !can_show(sent) || sent.failed())
}

/// Whether a state may show it: a write, also one from before the log-in.
fn can_show(sent: &Operation) -> bool {
    sent.kind.is_write() || sent.kind == OperationKind::VisitorWrite
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};

    #[test]
    fn an_operation_that_failed_for_certain_must_not_show_up() {
        let history = history(|builder| builder.create().write().refused_write().final_read_of(&["1.1.1", "1.1.2"]));
        let finding = finding(&history, Guarantee::NoPhantom);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: app-1 answered with operation 1.1.2, which certainly failed at 3.50 s");
    }

    #[test]
    fn an_operation_that_was_never_sent_or_is_no_write_must_not_show_up() {
        for phantom in ["1.1.77", "1.1.2"] {
            let history = history(|builder| builder.create().write().read().final_read_of(&["1.1.1", phantom]));
            assert_eq!(finding(&history, Guarantee::NoPhantom).verdict, Verdict::Violated, "{phantom}");
        }
    }

    #[test]
    fn an_operation_that_was_never_sent_in_a_tail_whose_digest_is_right_is_a_phantom() {
        let history = history(|builder| builder.create().write().write().final_read_with_tail(&["1.1.1", "1.1.77"]));
        assert_eq!(finding(&history, Guarantee::NoPhantom).verdict, Verdict::Violated);
        for tail in [&["1.1.2", "1.1.1"][..], &[]] {
            let history =
                super::super::testing::history(|builder| builder.create().write().write().final_read_with_tail(tail));
            assert_eq!(finding(&history, Guarantee::NoLostUpdate).verdict, Verdict::Unknown, "{tail:?}");
        }
    }

    #[test]
    fn an_operation_whose_reply_was_lost_may_show_up_late() {
        let history =
            history(|builder| builder.create().lost_reply_write(false).write().final_read_of(&["1.1.2", "1.1.1"]));
        assert_eq!(finding(&history, Guarantee::NoPhantom).verdict, Verdict::Pass);
    }
}
