//! Freshness, shared by two guarantees: a reply must contain everything that was known when its request was sent. The
//! guarantees differ in which replies make an operation known.
//!
//! Each operation has an instant from which it was known. A reply is stale if it lacks an operation that was known when
//! its request was sent. In the main order one comparison is enough: with the earliest such instant of all operations
//! after the reply's last one. Replies need not contain lost updates.

use super::orders::OrderNode;
use super::subject::{JudgedBy, Reply, Subject};
use super::{Examination, InconclusiveReason};
use crate::check::violation::{Violation, node, seconds};
use crate::history::{Operation, OperationId, OperationKind};

const NEVER: u64 = u64::MAX;

/// The difference between the two guarantees.
pub(super) struct Rule {
    /// Records what a reply made known.
    pub makes_known: fn(&mut Knowledge, &Subject, &Reply, OrderNode),
    /// Whether a reply made something known, for the text of a violation.
    pub is_known_by: fn(&Operation) -> bool,
    /// Whether a write without a state makes itself known by its reply.
    pub knows_by_reply: bool,
    /// The verb for this in the text, such as `showed`.
    pub verb: &'static str,
}

/// When operations became known, in nanoseconds.
#[derive(Default)]
pub(super) struct Knowledge {
    /// By place in the main order, from 1.
    at: Vec<u64>,
    /// By place: the whole order up to there became known.
    up_to: Vec<u64>,
    /// By place: the earliest of all places after it.
    after: Vec<u64>,
    /// Operations outside the main order, with their instants.
    beside: Vec<(OperationId, u64)>,
    beside_earliest: u64,
}

impl Knowledge {
    fn new(places: usize) -> Self {
        Self { at: vec![NEVER; places], up_to: vec![NEVER; places], beside_earliest: NEVER, ..Self::default() }
    }

    /// Records that one operation was known from `instant` on.
    pub(super) fn operation(&mut self, subject: &Subject, op: OperationId, instant: u64) {
        if subject.is_excused(op) {
            return;
        }
        match subject.position(op).and_then(|place| self.at.get_mut(place)) {
            Some(known) => *known = instant.min(*known),
            None => self.beside.push((op, instant)),
        }
    }

    /// Records that all operations of a step were known from `instant` on.
    pub(super) fn step(&mut self, subject: &Subject, step: OrderNode, instant: u64) {
        let mut at = step;
        while !subject.is_main(at) {
            if let Some(op) = subject.orders.op(at) {
                self.operation(subject, op, instant);
            }
            at = subject.orders.parent(at);
        }
        if let Some(known) = self.up_to.get_mut(subject.orders.version(at)) {
            *known = instant.min(*known);
        }
    }

    /// If an operation comes twice, its first place counts, because `applied-once` judges the repetition. An operation
    /// that is lost although the final read showed it is not required.
    fn settle(&mut self, subject: &Subject) {
        self.after = vec![NEVER; self.at.len()];
        let (mut whole, mut earliest) = (NEVER, NEVER);
        for place in (0..self.at.len()).rev() {
            self.after[place] = earliest;
            whole = whole.min(self.up_to[place]);
            let op = subject.main.get(place).and_then(|step| subject.orders.op(*step));
            let counts = op.is_some_and(|op| subject.position(op) == Some(place) && !subject.is_excused(op));
            self.at[place] = if counts { self.at[place].min(whole) } else { NEVER };
            earliest = earliest.min(self.at[place]);
        }
        self.beside_earliest = self.beside.iter().map(|(_, instant)| *instant).min().unwrap_or(NEVER);
    }

    /// The earliest instant from which any operation was known.
    fn earliest(&self) -> u64 {
        self.after.first().copied().unwrap_or(NEVER).min(self.beside_earliest)
    }

    /// The earliest instant from which an operation that the step lacks was known.
    fn lacking(&self, subject: &Subject, step: OrderNode) -> u64 {
        if subject.is_main(step) {
            let after = self.after.get(subject.orders.version(step)).copied();
            return after.unwrap_or(NEVER).min(self.beside_earliest);
        }
        let (joint, beside) = subject.branch(step);
        let last_shared = beside.iter().filter_map(|op| subject.position(*op)).max().unwrap_or(0).max(joint);
        let mut earliest = self.after.get(last_shared).copied().unwrap_or(NEVER);
        for place in joint + 1..=last_shared {
            let op = subject.main.get(place).and_then(|step| subject.orders.op(*step));
            if op.is_some_and(|op| beside.binary_search(&op).is_err()) {
                earliest = earliest.min(self.at.get(place).copied().unwrap_or(NEVER));
            }
        }
        let others = self.beside.iter().filter(|(op, _)| beside.binary_search(op).is_err());
        others.map(|(_, instant)| *instant).fold(earliest, u64::min)
    }
}

pub(super) fn examine(subject: &Subject, examination: &mut Examination, rule: &Rule) {
    if subject.evidence == JudgedBy::Counter {
        return;
    }
    let through = || subject.replies.iter().filter(|reply| reply.operation.kind != OperationKind::NodeRead);
    let mut knowledge = Knowledge::new(subject.main.len());
    for reply in through() {
        match reply.step {
            Some(step) => (rule.makes_known)(&mut knowledge, subject, reply, step),
            None => examination.inconclusive(InconclusiveReason::NotPlaced),
        }
    }
    if rule.knows_by_reply {
        for write in subject.acknowledged_writes().filter(|write| write.state().is_none()) {
            knowledge.operation(subject, write.id, write.times.completed_ns);
        }
    }
    knowledge.settle(subject);
    let first = knowledge.earliest();
    for reply in through() {
        let (Some(step), sent) = (reply.step, reply.operation.began_ns()) else { continue };
        if first > sent {
            continue;
        }
        examination.examined(subject, reply.operation.times.completed_ns);
        if knowledge.lacking(subject, step) <= sent {
            examination.violated(subject, reply.operation, || describe(subject, reply, rule));
        }
    }
}

/// Compares the newest known state with the state that was shown.
fn describe(subject: &Subject, reply: &Reply, rule: &Rule) -> Violation {
    let sent = reply.operation.began_ns();
    let known = subject.replies.iter().filter(|other| {
        (rule.is_known_by)(other.operation)
            && other.operation.times.completed_ns <= sent
            && !subject.is_excused(other.operation.id)
    });
    let newest = known.max_by_key(|other| (other.state.version, other.operation.times.completed_ns));
    let Some(newest) = newest else {
        return Violation::new(
            subject,
            &[reply.operation],
            &format!("{} answered an old version", node(reply.operation)),
        );
    };
    let shown = if reply.state.version < newest.state.version {
        format!("answered version {}", reply.state.version)
    } else {
        format!("answered a version {} without it", reply.state.version)
    };
    let text = format!(
        "{} {} version {} at {}; {} {shown}",
        node(newest.operation),
        rule.verb,
        newest.state.version,
        seconds(newest.operation.times.completed_ns),
        node(reply.operation),
    );
    Violation::new(subject, &[newest.operation, reply.operation], &text)
}
