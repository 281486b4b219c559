//! A violation told in a sentence: session, operations, times, nodes, and the fault before it.

use serde::{Deserialize, Serialize};

use crate::history::{History, Operation};

/// One violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// The virtual user.
    pub session: u32,
    /// The operation whose reply shows it.
    pub operation: String,
    /// When that reply was complete, in nanoseconds from the start of the load.
    pub at_ns: u64,
    /// What happened, in a sentence.
    pub text: String,
}

impl Story {
    /// Tells of `operation`; `text` says what was wrong, and the fault before it is added.
    pub(super) fn new(operation: &Operation, history: &History, text: &str) -> Self {
        let at_ns = operation.times.completed_ns;
        let before = history.faults.iter().filter(|fault| fault.effective_from_ns().is_some_and(|from| from <= at_ns));
        let last = before.max_by_key(|fault| fault.effective_from_ns());
        let context = last.and_then(|fault| {
            let after = at_ns.saturating_sub(fault.effective_from_ns()?) as f64 / 1e9;
            Some(format!(", {after:.2} s after the {} of {}", fault.kind, fault.node))
        });
        Self {
            session: operation.id.session,
            operation: operation.id.to_string(),
            at_ns,
            text: format!(
                "session {}: {text} at {}{}",
                operation.id.session,
                seconds(at_ns),
                context.unwrap_or_default()
            ),
        }
    }
}

/// Who answered an operation, in words.
pub(super) fn node(operation: &Operation) -> &str {
    operation.answer.as_ref().map_or("an unknown node", |answer| answer.node.as_str())
}

/// An instant, in words.
pub(super) fn seconds(ns: u64) -> String {
    format!("{:.2} s", ns as f64 / 1e9)
}
