//! Which operations nodes hold in the end, past the balancer. An update that the final read lacks and a node holds is not
//! lost, only stale; one that the final read shows and no node holds any more is.

use std::collections::HashSet;

use crate::history::OperationId;

/// What nodes hold.
#[derive(Debug)]
pub(super) struct Kept {
    /// Every operation up to this place of the main order is held by a node, or nobody can say that it is not.
    pub(super) main: usize,
    /// Operations that a node holds beyond the end of the main order.
    pub(super) ahead: HashSet<OperationId>,
    /// Operations that a node holds elsewhere than where the main order has them.
    pub(super) elsewhere: HashSet<OperationId>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { main: usize::MAX, ahead: HashSet::new(), elsewhere: HashSet::new() }
    }
}

impl Kept {
    /// Whether nobody holds an operation that stands in a place of the main order, or nowhere in it.
    pub(super) fn lacks(&self, op: OperationId, place: Option<usize>) -> bool {
        match place {
            Some(place) => place > self.main && !self.elsewhere.contains(&op) && !self.ahead.contains(&op),
            None => !self.ahead.contains(&op),
        }
    }
}
