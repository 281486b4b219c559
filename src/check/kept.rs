//! Which operations nodes hold at the end, read from each node itself. An update that the final read lacks but a node
//! holds is stale, not lost. An update that the final read shows but no node holds is lost.

use std::collections::HashSet;

use crate::history::OperationId;

/// Operations that nodes hold.
#[derive(Debug)]
pub(super) struct Kept {
    /// Nodes hold every operation up to this place of the main order; `usize::MAX` if this is unknown.
    pub(super) main: usize,
    /// Operations that a node holds after the end of the main order.
    pub(super) ahead: HashSet<OperationId>,
    /// Operations that a node holds in another place than the main order.
    pub(super) elsewhere: HashSet<OperationId>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { main: usize::MAX, ahead: HashSet::new(), elsewhere: HashSet::new() }
    }
}

impl Kept {
    /// Whether no node holds an operation; `place` is its place in the main order, if it has one.
    pub(super) fn lacks(&self, op: OperationId, place: Option<usize>) -> bool {
        match place {
            Some(place) => place > self.main && !self.elsewhere.contains(&op) && !self.ahead.contains(&op),
            None => !self.ahead.contains(&op),
        }
    }
}
