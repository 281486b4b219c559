//! Which operations nodes hold in the end, past the balancer. An update that the final read lacks and a node holds is not
//! lost, only stale; one that the final read shows and no node holds any more is.

use std::collections::HashSet;

use super::subject::Subject;
use crate::history::{OperationId, OperationKind};

/// What nodes hold.
#[derive(Debug)]
pub(super) struct Kept {
    /// Every operation up to this place of the main order is held by a node, or nobody can say that it is not.
    main: usize,
    /// Operations that a node holds beyond the end of the main order.
    ahead: HashSet<OperationId>,
    /// Operations that a node holds elsewhere than where the main order has them.
    elsewhere: HashSet<OperationId>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { main: usize::MAX, ahead: HashSet::new(), elsewhere: HashSet::new() }
    }
}

impl Kept {
    /// By the nodes that were asked after the final read.
    pub(super) fn by_nodes(subject: &Subject) -> Self {
        let mut kept = Self::default();
        let is_of_node = |kind: OperationKind| kind == OperationKind::NodeRead;
        let Some(end) = subject.last.and_then(|last| last.step).filter(|_| subject.fate.log_out.is_none()) else {
            return kept;
        };
        let end = subject.orders.version(end);
        let (mut held, mut is_any, mut can_be_told) = (0, false, true);
        for reply in subject.replies.iter().filter(|reply| is_of_node(reply.operation.kind)) {
            is_any = true;
            let Some(step) = reply.step else {
                can_be_told = false;
                continue;
            };
            let (joint, beside) = subject.branch(step);
            held = held.max(joint);
            if joint == end {
                kept.ahead.extend(beside);
            } else {
                kept.elsewhere.extend(beside);
            }
        }
        // A node that did not answer may hold whatever the others do not.
        if is_any && can_be_told && subject.life.nodes_in_the_end().is_some() {
            kept.main = held;
        }
        kept
    }

    /// Whether nobody holds an operation that stands in a place of the main order, or nowhere in it.
    pub(super) fn lacks(&self, op: OperationId, place: Option<usize>) -> bool {
        match place {
            Some(place) => place > self.main && !self.elsewhere.contains(&op) && !self.ahead.contains(&op),
            None => !self.ahead.contains(&op),
        }
    }
}
