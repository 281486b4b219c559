//! What nodes hold in the end, past the balancer, against what the final read through it showed. A copy that
//! is behind breaks no guarantee by itself: whether a user ever meets it is up to the balancer. But it is the
//! next fault's stale read, so it is told.

use serde::{Deserialize, Serialize};

use super::subject::Subject;
use super::violation::{Violation, node};
use crate::history::OperationKind;

/// The stories kept.
const MAX_VIOLATIONS: usize = 3;

/// How nodes' copies compare with the final read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// Sessions of which at least one node was asked.
    pub sessions: u64,
    /// Sessions of which nodes do not hold the same.
    pub disagreeing: u64,
    /// Copies that were read.
    pub copies: u64,
    /// Copies that hold less than the final read showed.
    pub behind: u64,
    /// Copies that hold more.
    pub ahead: u64,
    /// Copies that hold something else.
    pub apart: u64,
    /// Some of them, told.
    pub stories: Vec<Violation>,
}

impl Copies {
    pub(super) fn compare(&mut self, subject: &Subject) {
        let mut reads =
            subject.life.operations.iter().filter(|read| read.kind == OperationKind::NodeRead && read.sent());
        if reads.next().is_none() {
            return;
        }
        let Some(last) = subject.last else { return };
        self.sessions += 1;
        let mut disagrees = false;
        for reply in subject.replies.iter().filter(|reply| reply.operation.kind == OperationKind::NodeRead) {
            self.copies += 1;
            let (shown, final_) = (reply.state, last.state);
            if (shown.version, &shown.order) == (final_.version, &final_.order) {
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

/// Whether a state goes on from the end of the main order.
fn goes_on(subject: &Subject, step: Option<super::orders::OrderNode>) -> bool {
    step.is_none_or(|step| subject.branch(step).0 + 1 == subject.main.len())
}
