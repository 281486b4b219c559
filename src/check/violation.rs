//! A violation, described in a sentence and shown by operations: session, times, nodes, and the fault before it.

use serde::{Deserialize, Serialize};

use super::subject::Subject;
use crate::history::{FaultRecord, Operation, Timeline};

/// An operation that shows a violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViolationEvidence {
    /// The operation's id.
    pub operation: String,
    /// The kind of operation.
    pub kind: String,
    /// When it was sent, in nanoseconds from the start of the load; `None` if it was not sent.
    pub sent_ns: Option<u64>,
    /// When its reply was complete.
    pub completed_ns: u64,
    /// The node that answered.
    pub node: Option<String>,
    /// The boot id of that node.
    pub boot: Option<String>,
    /// The version that the reply showed.
    pub version: Option<u64>,
}

/// One violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The virtual user.
    pub session: u32,
    /// Which of its sessions, counted from 1.
    pub life: u32,
    /// The id of the operation whose reply shows it.
    pub operation: String,
    /// When that reply was complete, in nanoseconds from the start of the load.
    pub at_ns: u64,
    /// A sentence that describes it.
    pub text: String,
    /// The fault before it, and the time since then.
    pub fault: Option<String>,
    /// The operations that show it, in the order in which they were sent.
    pub evidence: Vec<ViolationEvidence>,
}

/// Two violations are of one kind if the same node answered after the same fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    node: Option<String>,
    fault: Option<usize>,
}

impl Kind {
    pub(super) fn of(subject: &Subject, operation: &Operation) -> Self {
        Self {
            node: operation.answer.as_ref().map(|answer| answer.node.clone()),
            fault: fault_before(subject.timeline, operation.times.completed_ns).map(|(index, _)| index),
        }
    }
}

impl Violation {
    /// A violation that the last of `seen` shows.
    pub(super) fn new(subject: &Subject, seen: &[&Operation], text: &str) -> Self {
        match seen.last() {
            Some(operation) => Self::of(subject, operation, seen, text),
            None => unreachable!("a violation has at least one operation"),
        }
    }

    /// A violation that `operation` shows. `text` describes it; the time and the fault before it are added.
    pub(super) fn of(subject: &Subject, operation: &Operation, seen: &[&Operation], text: &str) -> Self {
        let at_ns = operation.times.completed_ns;
        let fault = fault_before(subject.timeline, at_ns).and_then(|(_, fault)| {
            let after = at_ns.saturating_sub(fault.effective_from_ns()?) as f64 / 1e9;
            Some(format!("{after:.2} s after the {} of {}", fault.kind, fault.node))
        });
        let context = fault.as_ref().map_or(String::new(), |fault| format!(", {fault}"));
        let mut evidence: Vec<&Operation> = seen.to_vec();
        evidence.sort_by_key(|operation| (operation.began_ns(), operation.id));
        evidence.dedup_by_key(|operation| operation.id);
        // These words are in records, and `check` holds them byte for byte.
        let user = match operation.id.life {
            1 => format!("session {}", operation.id.session),
            life => format!("session {} (the {} of its user)", operation.id.session, ordinal(life)),
        };
        Self {
            session: operation.id.session,
            life: operation.id.life,
            operation: operation.id.to_string(),
            at_ns,
            text: format!("{user}: {text} at {}{context}", seconds(at_ns)),
            fault,
            evidence: evidence.into_iter().map(ViolationEvidence::of).collect(),
        }
    }
}

impl ViolationEvidence {
    fn of(operation: &Operation) -> Self {
        let answer = operation.answer.as_ref();
        Self {
            operation: operation.id.to_string(),
            kind: operation.kind.word().to_owned(),
            sent_ns: operation.times.sent_ns,
            completed_ns: operation.times.completed_ns,
            node: answer.map(|answer| answer.node.clone()),
            boot: answer.map(|answer| answer.boot.clone()),
            version: operation.state().map(|state| state.version),
        }
    }
}

fn fault_before(timeline: &Timeline, at_ns: u64) -> Option<(usize, &FaultRecord)> {
    let before = timeline.faults.iter().enumerate();
    let before = before.filter(|(_, fault)| fault.effective_from_ns().is_some_and(|from| from <= at_ns));
    before.max_by_key(|(_, fault)| fault.effective_from_ns())
}

/// An ordinal number, such as `2nd`.
pub(super) fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (1, rest) if rest != 11 => "st",
        (2, rest) if rest != 12 => "nd",
        (3, rest) if rest != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// The name of the node that answered an operation.
pub(super) fn node(operation: &Operation) -> &str {
    operation.answer.as_ref().map_or("an unknown node", |answer| answer.node.as_str())
}

/// An instant in seconds, such as `2.50 s`.
pub(super) fn seconds(ns: u64) -> String {
    format!("{:.2} s", ns as f64 / 1e9)
}
