//! `applied-once`: a session contains one operation id twice. An operation whose reply was lost may have been applied,
//! also if it was resent, but at most once.

use std::collections::BTreeSet;

use super::orders::OrderNode;
use super::subject::{JudgedBy, Reply, Subject};
use super::violation::{Violation, node};
use super::{Examination, InconclusiveReason};
use crate::history::OperationId;

pub(super) fn examine(subject: &Subject, examination: &mut Examination) {
    if subject.evidence == JudgedBy::Counter {
        return;
    }
    let mut twice: BTreeSet<OperationId> = BTreeSet::new();
    examination.examined_states(subject);
    for step in subject.orders.steps() {
        if let Some(op) = subject.orders.op(step)
            && stands_before(subject, step, op)
        {
            twice.insert(op);
        }
    }
    for reply in subject.replies.iter().filter(|reply| reply.step.is_none()) {
        examination.inconclusive(InconclusiveReason::NotPlaced);
        twice.extend(repeated_in_tail(reply));
    }
    for op in twice {
        if let Some(reply) = shown(subject, op) {
            examination.violated(subject, reply.operation, || describe(subject, reply, op));
        }
    }
}

/// Whether `op`, the operation of `step`, also comes earlier in that step's order.
fn stands_before(subject: &Subject, step: OrderNode, op: OperationId) -> bool {
    let mut at = step;
    while !subject.is_main(at) {
        at = subject.orders.parent(at);
        if !subject.is_main(at) && subject.orders.op(at) == Some(op) {
            return true;
        }
    }
    // How many operations of the main order come before `step`.
    let shared = if at == step { subject.orders.version(at) - 1 } else { subject.orders.version(at) };
    subject.position(op).is_some_and(|first| first <= shared)
}

fn repeated_in_tail<'a>(reply: &'a Reply) -> impl Iterator<Item = OperationId> + 'a {
    let tail = reply.state.order.as_ref().map(|order| &order.tail[..]).unwrap_or_default();
    tail.iter().enumerate().filter(|(index, op)| tail[..*index].contains(op)).map(|(_, op)| *op)
}

/// The first reply with `op` twice in its tail, or else the last one with it in its tail.
fn shown<'a>(subject: &Subject<'a>, op: OperationId) -> Option<Reply<'a>> {
    let times = |reply: &Reply| {
        reply.state.order.as_ref().map_or(0, |order| order.tail.iter().filter(|shown| **shown == op).count())
    };
    let found = subject.replies.iter().find(|reply| times(reply) > 1);
    found.or_else(|| subject.replies.iter().rfind(|reply| times(reply) > 0)).copied()
}

fn describe(subject: &Subject, reply: Reply, op: OperationId) -> Violation {
    let text = format!(
        "{} answered version {}, which contains operation {op} twice",
        node(reply.operation),
        reply.state.version
    );
    let sent = subject.operation(op);
    let seen: Vec<_> = sent.into_iter().chain([reply.operation]).collect();
    Violation::of(subject, reply.operation, &seen, &text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};

    #[test]
    fn an_operation_that_was_applied_twice_is_one_violation() {
        let history = history(|builder| {
            let builder = builder.create().write().lost_reply_write(false);
            builder.read_of(&["1.1.1", "1.1.2", "1.1.2"]).final_read_of(&["1.1.1", "1.1.2", "1.1.2"])
        });
        let finding = finding(&history, Guarantee::AppliedOnce);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: app-1 answered version 3, which contains operation 1.1.2 twice at 3.50 s");
    }

    #[test]
    fn an_operation_that_was_applied_again_after_many_others_is_a_violation() {
        let long: Vec<String> = (1..=12).map(|number| format!("1.1.{number}")).collect();
        let again: Vec<&str> = long.iter().map(String::as_str).chain(["1.1.1"]).collect();
        let history = history(|builder| {
            (0..12).fold(builder.create(), |builder, _| builder.write()).read_of(&again).final_read()
        });
        assert_eq!(finding(&history, Guarantee::AppliedOnce).violations, 1);
    }

    #[test]
    fn a_tail_that_shows_an_operation_twice_is_a_violation_even_with_the_right_digest() {
        let history = history(|builder| builder.create().write().write().final_read_with_tail(&["1.1.2", "1.1.2"]));
        assert_eq!(finding(&history, Guarantee::AppliedOnce).violations, 1);
    }

    #[test]
    fn the_same_operation_on_two_branches_is_no_violation() {
        let history = history(|builder| {
            let builder = builder.create().lost_reply_write(false).lost_reply_write(false);
            builder.read_of(&["1.1.1", "1.1.2"]).read_of(&["1.1.2", "1.1.1"]).final_read_of(&["1.1.1", "1.1.2"])
        });
        assert_eq!(finding(&history, Guarantee::AppliedOnce).verdict, Verdict::Pass);
    }
}
