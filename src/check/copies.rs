//! Compares each node's copy, read from the node itself at the end, with the final read through the balancer. An old
//! copy breaks no guarantee, because only the balancer decides whether a user reads it. But it may be a stale read
//! after the next fault, so it is reported.

use serde::{Deserialize, Serialize};

use super::subject::Subject;
use super::violation::{Violation, node};
use crate::history::{OperationKind, State};

/// The most examples that are kept.
const MAX_VIOLATIONS: usize = 3;

/// How nodes' copies compare with the final read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// Sessions with a final read for which at least one node was asked.
    pub sessions: u64,
    /// Sessions with a copy that differs from the final read.
    pub disagreeing: u64,
    /// Copies that were read.
    pub copies: u64,
    /// Copies that lack the last operations of the final read.
    pub behind: u64,
    /// Copies that continue the final read.
    pub ahead: u64,
    /// Copies that differ in another way.
    pub apart: u64,
    /// Examples of the differences.
    pub stories: Vec<Violation>,
}

impl Copies {
    pub(super) fn compare(&mut self, subject: &Subject) {
        let mut reads =
            subject.history.operations.iter().filter(|read| read.kind == OperationKind::NodeRead && read.sent());
        if reads.next().is_none() {
            return;
        }
        let Some(last) = subject.last else { return };
        self.sessions += 1;
        let mut disagrees = false;
        for reply in subject.replies.iter().filter(|reply| reply.operation.kind == OperationKind::NodeRead) {
            self.copies += 1;
            let (shown, final_) = (reply.state, last.state);
            // The tails of the same state may be of different lengths.
            let digest = |state: &State| state.order.as_ref().map(|order| order.digest);
            if (shown.version, digest(shown)) == (final_.version, digest(final_)) {
                continue;
            }
            let is_prefix = reply.step.is_none_or(|step| subject.is_main(step));
            let (count, how) = match shown.version.cmp(&final_.version) {
                std::cmp::Ordering::Less if is_prefix => (&mut self.behind, "is behind with"),
                std::cmp::Ordering::Greater if goes_on(subject, reply.step) => (&mut self.ahead, "is ahead with"),
                _ => (&mut self.apart, "went apart with"),
            };
            *count += 1;
            disagrees = true;
            if self.stories.len() < MAX_VIOLATIONS {
                let text = format!(
                    "in the end {} answered version {}; past the balancer {} {how} version {}",
                    node(last.operation),
                    final_.version,
                    node(reply.operation),
                    shown.version
                );
                self.stories.push(Violation::new(subject, &[last.operation, reply.operation], &text));
            }
        }
        self.disagreeing += u64::from(disagrees);
    }
}

/// Whether a state continues from the end of the main order, or its order is unknown.
fn goes_on(subject: &Subject, step: Option<super::orders::OrderNode>) -> bool {
    step.is_none_or(|step| subject.branch(step).0 + 1 == subject.main.len())
}
