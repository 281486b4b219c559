//! The orders of one session's operations. A state shows its version, a digest chained over its operations, and its
//! last few operations; the states before it show the rest. The digest of each step is computed again, so an order is
//! verified and not guessed. No search is needed, because a state is placed after the states that were placed before
//! it.
//!
//! The steps form a tree. While an app keeps one history, the tree is a line; at each fork, two states are not prefixes
//! of one order.

use crate::history::{EMPTY_DIGEST, OperationId, Order, append_to_digest};

/// The most branches at one version that are followed.
const MAX_BRANCHES: usize = 256;

/// A step of the tree: the state after some operations in some order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderNode(u32);

impl OrderNode {
    /// The session without operations.
    pub const EMPTY: Self = Self(0);

    fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Copy, Debug)]
struct Node {
    parent: OrderNode,
    op: OperationId,
    digest: u64,
    version: u32,
    /// Another step of the same version, inserted earlier.
    beside: Option<OrderNode>,
    is_parent: bool,
}

/// The tree of orders.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    nodes: Vec<Node>,
    /// By version: the step that was inserted last.
    newest: Vec<OrderNode>,
    is_forked: bool,
    /// The step that a tail was last compared with, and the address of that tail.
    compared: Option<(OrderNode, usize)>,
}

impl Orders {
    /// Resets the tree for the next session.
    pub fn clear(&mut self) {
        let nothing = OperationId { session: 0, life: 0, number: 0 };
        self.nodes.clear();
        self.nodes.push(Node {
            parent: OrderNode::EMPTY,
            op: nothing,
            digest: EMPTY_DIGEST,
            version: 0,
            beside: None,
            is_parent: false,
        });
        self.newest.clear();
        self.newest.push(OrderNode::EMPTY);
        self.is_forked = false;
        self.compared = None;
    }

    /// Returns the step of a state and inserts it if it is new. `None` if its order does not follow from the states
    /// placed before. States must come by ascending version.
    pub fn place(&mut self, version: u64, order: &Order) -> Option<OrderNode> {
        let version = usize::try_from(version).ok()?;
        let tail = &order.tail[..];
        if tail.is_empty() && version > 0 {
            return None;
        }
        let known = self.at(version).find(|step| self.nodes[step.index()].digest == order.digest);
        if let Some(known) = known {
            // Most replies share the tail of the one before, at the same address.
            let here = (known, tail.as_ptr() as usize);
            if self.compared != Some(here) && !self.ends_with(known, tail) {
                return None;
            }
            self.compared = Some(here);
            return Some(known);
        }
        for back in 1..=tail.len().min(version) {
            let (before, new) = tail.split_at(tail.len() - back);
            let fits = |step: &OrderNode| {
                let node = &self.nodes[step.index()];
                self.ends_with(*step, before)
                    && new.iter().fold(node.digest, |digest, op| append_to_digest(digest, *op)) == order.digest
            };
            let base = self.at(version - back).take(MAX_BRANCHES).find(fits);
            if let Some(base) = base {
                let (last, between) = new.split_last()?;
                let digest_of = |orders: &Self, step: OrderNode| orders.nodes[step.index()].digest;
                let parent = between.iter().fold(base, |step, op| {
                    let digest = append_to_digest(digest_of(self, step), *op);
                    self.insert(step, *op, digest)
                });
                return Some(self.insert(parent, *last, order.digest));
            }
        }
        None
    }

    /// Whether these are the last operations of a step, the newest last.
    fn ends_with(&self, step: OrderNode, tail: &[OperationId]) -> bool {
        let mut at = step;
        tail.iter().rev().all(|shown| {
            let is_shown = self.op(at) == Some(*shown);
            at = self.parent(at);
            is_shown
        })
    }

    fn at(&self, version: usize) -> impl Iterator<Item = OrderNode> + '_ {
        let newest = self.newest.get(version).copied();
        std::iter::successors(newest, |step| self.nodes[step.index()].beside)
    }

    /// The child of `parent` for `op`, with `digest`; inserted if it is new.
    fn insert(&mut self, parent: OrderNode, op: OperationId, digest: u64) -> OrderNode {
        let before = self.nodes[parent.index()];
        let version = before.version + 1;
        let known = self.at(version as usize).find(|step| {
            let node = &self.nodes[step.index()];
            (node.parent, node.op) == (parent, op)
        });
        if let Some(known) = known {
            return known;
        }
        let step = OrderNode(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        let beside = self.newest.get(version as usize).copied();
        self.nodes.push(Node { parent, op, digest, version, beside, is_parent: false });
        match self.newest.get_mut(version as usize) {
            Some(newest) => *newest = step,
            None => self.newest.push(step),
        }
        self.is_forked |= before.is_parent;
        self.nodes[parent.index()].is_parent = true;
        step
    }

    /// Whether any two states are not prefixes of one order.
    pub fn is_forked(&self) -> bool {
        self.is_forked
    }

    /// The operation that made a step; `None` for the empty session.
    pub fn op(&self, step: OrderNode) -> Option<OperationId> {
        (step != OrderNode::EMPTY).then(|| self.nodes[step.index()].op)
    }

    /// The number of operations in the order of a step.
    pub fn version(&self, step: OrderNode) -> usize {
        self.nodes[step.index()].version as usize
    }

    /// The step before; the empty session is its own parent.
    pub fn parent(&self, step: OrderNode) -> OrderNode {
        self.nodes[step.index()].parent
    }

    /// All steps except the empty session, each after its parent.
    pub fn steps(&self) -> impl Iterator<Item = OrderNode> + use<> {
        (1..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)).map(OrderNode)
    }

    /// Fills `into` with the steps from the empty session to `last`, both included; `into[n]` has version `n`.
    pub fn path(&self, last: OrderNode, into: &mut Vec<OrderNode>) {
        into.clear();
        into.resize(self.version(last) + 1, OrderNode::EMPTY);
        let mut step = last;
        while step != OrderNode::EMPTY {
            into[self.version(step)] = step;
            step = self.parent(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::history::TAIL;

    fn id(number: u32) -> OperationId {
        OperationId { session: 1, life: 1, number }
    }

    fn order(ops: &[u32]) -> Order {
        let ops: Vec<OperationId> = ops.iter().map(|number| id(*number)).collect();
        Order {
            digest: ops.iter().fold(EMPTY_DIGEST, |digest, op| append_to_digest(digest, *op)),
            tail: ops[ops.len().saturating_sub(TAIL)..].iter().copied().collect(),
        }
    }

    fn placed(states: &[&[u32]]) -> (Orders, Vec<Option<OrderNode>>) {
        let mut orders = Orders::default();
        orders.clear();
        let steps = states.iter().map(|ops| orders.place(ops.len() as u64, &order(ops))).collect();
        (orders, steps)
    }

    fn ops_of(orders: &Orders, step: OrderNode) -> Vec<u32> {
        let mut path = Vec::new();
        orders.path(step, &mut path);
        path.into_iter().filter_map(|step| orders.op(step)).map(|op| op.number).collect()
    }

    #[test]
    fn the_digest_is_the_one_of_the_contract() {
        assert_eq!(format!("{EMPTY_DIGEST:016x}"), "cbf29ce484222325");
        assert_eq!(format!("{:016x}", append_to_digest(EMPTY_DIGEST, id(1))), "f51dc30fdb10e2b5");
    }

    proptest! {
        #[test]
        fn an_order_is_found_whenever_states_are_no_further_apart_than_the_tail(gaps in proptest::collection::vec(1..=TAIL, 1..12)) {
            let all: Vec<u32> = (1..=u32::try_from(gaps.iter().sum::<usize>()).unwrap()).collect();
            let ends = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) });
            let states: Vec<&[u32]> = ends.map(|end| &all[..end]).collect();
            let (orders, steps) = placed(&states);
            prop_assert_eq!(ops_of(&orders, steps[steps.len() - 1].unwrap()), all);
            prop_assert!(!orders.is_forked());
        }

        #[test]
        fn each_of_two_branches_keeps_its_own_order(common in 0u32..6, one in 1u32..5, other in 1u32..5) {
            let branch = |from: u32, count: u32| -> Vec<u32> { (1..=common).chain(from..from + count).collect() };
            let (one, other) = (branch(100, one), branch(200, other));
            let mut states: Vec<&[u32]> = (0..=one.len()).map(|end| &one[..end]).chain((0..=other.len()).map(|end| &other[..end])).collect();
            states.sort_by_key(|ops| ops.len());
            let (orders, steps) = placed(&states);
            for (state, step) in states.iter().zip(steps) {
                prop_assert_eq!(&ops_of(&orders, step.unwrap()), state);
            }
            prop_assert!(orders.is_forked());
        }
    }

    #[test]
    fn a_gap_wider_than_the_tail_is_not_guessed() {
        let ops: Vec<u32> = (0..=u32::try_from(TAIL).unwrap()).collect();
        let (_, steps) = placed(&[&[], &ops]);
        assert_eq!(steps, [Some(OrderNode::EMPTY), None]);
    }

    #[test]
    fn a_digest_that_does_not_fit_its_operations_is_not_placed() {
        let mut orders = Orders::default();
        orders.clear();
        assert_eq!(orders.place(1, &Order { digest: 1, ..order(&[1]) }), None);
        assert_eq!(orders.place(0, &Order { digest: 1, ..order(&[]) }), None);
    }

    #[test]
    fn a_wrong_tail_is_not_placed() {
        let shown = |version: usize, tail: &[u32]| {
            let (mut orders, _) = placed(&[&[1, 2], &[1, 2, 3, 4]]);
            let whole: Vec<u32> = (1..=u32::try_from(version).unwrap()).collect();
            let tail: Vec<OperationId> = tail.iter().map(|number| id(*number)).collect();
            orders.place(version as u64, &Order { tail: tail.into(), ..order(&whole) }).is_some()
        };
        assert!(shown(4, &[1, 2, 3, 4]) && shown(4, &[3, 4]) && shown(5, &[1, 2, 3, 4, 5]));
        for (version, false_tail) in [
            (4, &[][..]),
            (4, &[1, 2, 3, 9]),
            (4, &[1, 2, 4, 3]),
            (4, &[1, 1, 2, 3, 4]),
            (4, &[9, 4]),
            (5, &[9, 2, 3, 4, 5]),
            (5, &[2, 1, 3, 4, 5]),
            (0, &[1]),
        ] {
            assert!(!shown(version, false_tail), "{version}: {false_tail:?}");
        }
    }

    #[test]
    fn each_operation_of_a_tail_is_a_step() {
        let (mut orders, _) = placed(&[&[1, 2, 3]]);
        assert_eq!(orders.place(2, &order(&[1, 2])).map(|step| orders.version(step)), Some(2));
        assert_eq!(orders.steps().count(), 3);
    }
}
