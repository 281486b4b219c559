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
    #[serde(rename = "stories")]
    pub examples: Vec<Violation>,
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
            if self.examples.len() < MAX_VIOLATIONS {
                let text = format!(
                    "in the end {} answered version {}; past the balancer {} {how} version {}",
                    node(last.operation),
                    final_.version,
                    node(reply.operation),
                    shown.version
                );
                self.examples.push(Violation::new(subject, &[last.operation, reply.operation], &text));
            }
        }
        self.disagreeing += u64::from(disagrees);
    }
}

/// Whether a state continues from the end of the main order, or its order is unknown.
fn goes_on(subject: &Subject, step: Option<super::orders::OrderNode>) -> bool {
    step.is_none_or(|step| subject.branch(step).0 + 1 == subject.main.len())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HistoryBuilder, history_of};
    use super::super::{Guarantee, judge};
    use super::*;
    use crate::history::{Operation, SessionHistory, Timeline};

    fn copies(operations: Vec<Operation>) -> Copies {
        judge(SessionHistory::all(operations), &Timeline::default(), &Guarantee::ALL).copies
    }

    /// A session with two writes and a final read, and what nodes show of it past the balancer.
    fn session(number: u32, nodes: impl FnOnce(HistoryBuilder) -> HistoryBuilder) -> Vec<Operation> {
        history_of(number, |builder| nodes(builder.on("app-1").create().write().write().final_read().on("app-2")))
    }

    #[test]
    fn an_equal_copy_agrees_and_others_are_behind_or_ahead_or_apart() {
        let shown = |ops: &'static [&'static str]| {
            let copies = copies(session(1, |builder| builder.node_read_of(ops)));
            assert_eq!((copies.sessions, copies.copies), (1, 1));
            assert_eq!(copies.disagreeing, copies.behind + copies.ahead + copies.apart);
            (copies.behind, copies.ahead, copies.apart)
        };
        assert_eq!(shown(&["1.1.1", "1.1.2"]), (0, 0, 0));
        assert_eq!(shown(&["1.1.1"]), (1, 0, 0));
        assert_eq!(shown(&["1.1.1", "1.1.2", "1.1.4"]), (0, 1, 0));
        assert_eq!(shown(&["1.1.2"]), (0, 0, 1));
        assert_eq!(shown(&["1.1.2", "1.1.1"]), (0, 0, 1));
        assert_eq!(shown(&["1.1.1", "1.1.4", "1.1.5"]), (0, 0, 1));
    }

    #[test]
    fn a_session_of_which_no_node_was_asked_has_no_copies_to_compare() {
        assert_eq!(copies(session(1, |builder| builder)), Copies::default());
        let mut never_sent = session(1, HistoryBuilder::node_does_not_answer);
        for operation in &mut never_sent {
            if operation.kind == OperationKind::NodeRead {
                operation.times.sent_ns = None;
            }
        }
        assert_eq!(copies(never_sent), Copies::default());
        let silent = copies(session(1, HistoryBuilder::node_does_not_answer));
        assert_eq!((silent.sessions, silent.copies), (1, 0), "it was asked");
    }

    #[test]
    fn some_differences_are_told_and_all_are_counted() {
        let all = (1..=5).flat_map(|number| session(number, |builder| builder.node_read_of(&[]))).collect();
        let copies = copies(all);
        assert_eq!((copies.disagreeing, copies.behind, copies.examples.len()), (5, 5, MAX_VIOLATIONS));
    }
}
