//! Affinity: how often a request of a session is answered by another node than the one before. Behind a sticky balancer each such
//! move is a session that another node must know, or has to be without. It knows no faults; their moves are with recovery.

use serde::{Deserialize, Serialize};

use crate::history::{Operation, SessionHistory};

/// Of this many requests fewer than one must move for the sessions of a target to count as bound to their nodes.
const MOVES_OF_ONE: u64 = 10;

/// Requests of sessions, and how many of them another node answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Affinity {
    /// Answered requests of a session that had one answered before.
    pub requests: u64,
    /// Those of them that another node answered than the one before.
    pub breaks: u64,
    /// The same requests, before the first fault.
    pub requests_before: u64,
    /// Those of them that another node answered.
    pub breaks_before: u64,
}

impl Affinity {
    /// The share of requests that another node answered; `None` without requests.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.breaks as f64 / self.requests as f64)
    }

    /// Whether sessions stayed with their nodes as long as nothing was done to these.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.requests_before > 0 && self.breaks_before * MOVES_OF_ONE < self.requests_before
    }

    /// The sum of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            breaks: self.breaks + other.breaks,
            requests_before: self.requests_before + other.requests_before,
            breaks_before: self.breaks_before + other.breaks_before,
        }
    }

    /// Counts the requests of one session; the first fault was ordered at `fault_ns`, if there was one.
    pub(super) fn add(&mut self, history: &SessionHistory, fault_ns: Option<u64>) {
        let mut bound_to: Option<&str> = None;
        for (operation, node) in answered(history) {
            if let Some(before) = bound_to.replace(node) {
                let is_break = u64::from(before != node);
                self.requests += 1;
                self.breaks += is_break;
                if fault_ns.is_none_or(|fault_ns| operation.times.completed_ns < fault_ns) {
                    self.requests_before += 1;
                    self.breaks_before += is_break;
                }
            }
        }
    }
}

/// The requests of the load with the session's cookies, and the nodes that answered them.
pub(super) fn answered(history: &SessionHistory) -> impl Iterator<Item = (&Operation, &str)> {
    let is_of_the_load = |operation: &&Operation| !operation.is_read_after_load() && operation.kind.has_its_cookies();
    let operations = history.operations.iter().filter(is_of_the_load);
    operations.filter_map(|operation| Some((operation, operation.answer.as_ref()?.node.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::history;

    #[test]
    fn a_request_that_another_node_answers_is_a_break_and_a_read_past_the_balancer_is_none() {
        let operations = history(|builder| {
            let moved = builder.create().write().on("app-2").write().read().on("app-1").read();
            moved.final_read().on("app-3").node_read_of(&[])
        });
        let histories = SessionHistory::all(operations);
        let affinity = |fault_ns| {
            let mut affinity = Affinity::default();
            affinity.add(&histories[0], fault_ns);
            affinity
        };
        let counted = |affinity: Affinity| (affinity.breaks, affinity.requests);
        assert_eq!(counted(affinity(None)), (2, 4));
        let before = affinity(Some(2_000_000_000));
        assert_eq!((before.breaks_before, before.requests_before, before.is_bound()), (0, 1, true));
        assert!(!affinity(None).is_bound());
    }
}
