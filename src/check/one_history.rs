//! `one-history`: two replies are not prefixes of one order, which is a split brain. Replies that differ only by a lost
//! acknowledged update count under `no-lost-update`. Nodes' copies that diverged at the end always count, because they
//! will not be reconciled any more.

use std::collections::{HashMap, HashSet};

use super::orders::OrderNode;
use super::subject::{JudgedBy, Reply, Subject};
use super::violation::{Violation, node, seconds};
use super::{Examination, InconclusiveReason};
use crate::history::{OperationId, OperationKind};

pub(super) fn examine(subject: &Subject, examination: &mut Examination) {
    if subject.evidence == JudgedBy::Counter {
        return;
    }
    if subject.replies.len() > 1 {
        for reply in &subject.replies {
            examination.examined(subject, reply.operation.times.completed_ns);
        }
    }
    for _ in subject.replies.iter().filter(|reply| reply.step.is_none()) {
        examination.inconclusive(InconclusiveReason::NotPlaced);
    }
    if !subject.orders.is_forked() {
        return;
    }
    let on_one_line = on_one_line(subject);
    for reply in &subject.replies {
        let Some(step) = reply.step else { continue };
        let is_apart = !on_one_line.contains(&step) || is_apart_in_the_end(subject, reply, step);
        if is_apart {
            examination.violated(subject, reply.operation, || describe(subject, reply, step));
        }
    }
}

/// The steps that are prefixes of one order when lost updates are left out: the main order, and its continuation.
fn on_one_line(subject: &Subject) -> HashSet<OrderNode> {
    // Builds the tree again without the lost updates; `place` maps each step to its node there.
    let orders = &subject.orders;
    let mut place: HashMap<OrderNode, u32> = HashMap::from([(OrderNode::EMPTY, 0)]);
    let mut children: HashMap<(u32, OperationId), u32> = HashMap::new();
    let mut parents: Vec<u32> = vec![0];
    for step in orders.steps() {
        let (Some(op), Some(parent)) = (orders.op(step), place.get(&orders.parent(step)).copied()) else { continue };
        let here = if subject.is_excused(op) {
            parent
        } else {
            *children.entry((parent, op)).or_insert_with(|| {
                parents.push(parent);
                u32::try_from(parents.len() - 1).unwrap_or(u32::MAX)
            })
        };
        place.insert(step, here);
    }
    let mut line: HashSet<u32> = subject.main.iter().filter_map(|step| place.get(step)).copied().collect();
    let mut end = subject.main.last().and_then(|step| place.get(step)).copied().unwrap_or(0);
    for (child, parent) in (0..).zip(&parents).skip(1) {
        if *parent == end && !line.contains(&child) {
            line.insert(child);
            end = child;
        }
    }
    place.into_iter().filter(|(_, here)| line.contains(here)).map(|(step, _)| step).collect()
}

/// Whether a node's copy at the end is neither a prefix of the final state nor a continuation of it.
fn is_apart_in_the_end(subject: &Subject, reply: &Reply, step: OrderNode) -> bool {
    if reply.operation.kind != OperationKind::NodeRead || subject.is_main(step) {
        return false;
    }
    let Some(end) = subject.last.and_then(|last| last.step) else { return false };
    let (joint, _) = subject.branch(step);
    joint < subject.orders.version(end)
}

fn describe(subject: &Subject, reply: &Reply, step: OrderNode) -> Violation {
    let (joint, beside) = subject.branch(step);
    let mine = beside.iter().find(|op| !subject.is_excused(**op)).or(beside.first());
    let theirs = subject.main.get(joint + 1).and_then(|step| subject.orders.op(*step));
    let other = subject
        .replies
        .iter()
        .find(|other| other.step.is_some_and(|other| subject.is_main(other) && subject.orders.version(other) > joint));
    let text = match (mine, theirs, other) {
        (Some(mine), Some(theirs), Some(other)) => format!(
            "after version {joint} there are two histories: {} went on with {theirs} at {}, {} with {mine}",
            node(other.operation),
            seconds(other.operation.times.completed_ns),
            node(reply.operation),
        ),
        _ => format!("{} answered version {} of another history", node(reply.operation), reply.state.version),
    };
    let seen: Vec<_> = other.map(|other| other.operation).into_iter().chain([reply.operation]).collect();
    Violation::of(subject, reply.operation, &seen, &text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};

    #[test]
    fn two_orders_of_the_same_operations_are_two_histories() {
        let history = history(|builder| {
            builder.create().write().write().on("app-2").read_of(&["1.1.2", "1.1.1"]).on("app-1").final_read()
        });
        let finding = finding(&history, Guarantee::OneHistory);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: after version 0 there are two histories: app-1 went on with 1.1.1 at 1.50 s, app-2 with 1.1.1 at 3.50 s");
    }

    #[test]
    fn a_lost_update_alone_is_no_second_history() {
        let history = history(|builder| builder.create().write().write().write_on(1).write().final_read());
        assert_eq!(finding(&history, Guarantee::OneHistory).verdict, Verdict::Pass);
    }

    #[test]
    fn an_unacknowledged_update_that_was_seen_and_replaced_is_a_second_history() {
        let history = history(|builder| {
            let builder = builder.create().lost_reply_write(false).lost_reply_write(false);
            builder.read_of(&["1.1.1"]).read_of(&["1.1.2"]).final_read_of(&["1.1.2"])
        });
        assert_eq!(finding(&history, Guarantee::OneHistory).violations, 1);
    }

    #[test]
    fn copies_that_diverged_are_two_histories_even_if_the_difference_is_a_lost_update() {
        let history = history(|builder| {
            let builder = builder.create().write().write_on(0).final_read_of(&["1.1.2"]);
            builder.on("app-2").node_read_of(&["1.1.1"])
        });
        assert_eq!(finding(&history, Guarantee::NoLostUpdate).violations, 1);
        assert_eq!(finding(&history, Guarantee::OneHistory).violations, 1);
    }

    #[test]
    fn a_copy_that_is_only_behind_is_no_second_history() {
        let history =
            history(|builder| builder.create().write().write().final_read().on("app-2").node_read_of(&["1.1.1"]));
        assert_eq!(finding(&history, Guarantee::OneHistory).verdict, Verdict::Pass);
    }
}
