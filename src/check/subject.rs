//! The input of the guarantees: one session with its outcome, the order of every state that it showed, and its *main
//! order*. That is the order of the final read, or without one, of the longest state that a user was shown; of several
//! such states, the one requested last.
//!
//! This module also finds *lost* updates, because they explain other anomalies: a reply that lacks a lost update is not
//! stale, and two states that differ only by a lost update are not a split brain. Each anomaly counts under the
//! guarantee that names its cause.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::Guarantee;
use super::kept::Kept;
use super::orders::{OrderNode, Orders};
use super::rules::Rules;
use crate::history::{Operation, OperationId, OperationKind, SessionHistory, SessionOutcome, State, Timeline};

/// A reply that showed this session.
#[derive(Clone, Copy)]
pub struct Reply<'a> {
    /// The operation that it answers.
    pub operation: &'a Operation,
    /// The state that it shows.
    pub state: &'a State,
    /// The step of its state; `None` if the order is unknown.
    pub step: Option<OrderNode>,
}

/// How precisely a session's states can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JudgedBy {
    /// States show their operations.
    Order,
    /// States show only the number of operations.
    Counter,
}

/// Buffers that are reused for the next session, to save allocations.
#[derive(Default)]
pub struct Workspace {
    orders: Orders,
    main: Vec<OrderNode>,
    positions: Vec<u32>,
    lost: Vec<bool>,
    by_number: Vec<u32>,
}

/// One session, ready to be examined.
pub struct Subject<'a> {
    /// Its operations.
    pub history: &'a SessionHistory,
    /// Its outcome.
    pub outcome: &'a SessionOutcome<'a>,
    /// The faults of the trial.
    pub timeline: &'a Timeline,
    /// The rules of the trial.
    pub rules: &'a Rules,
    /// The replies that showed this session, in the order in which they were requested.
    pub replies: Vec<Reply<'a>>,
    /// The reply to the final read.
    pub last: Option<Reply<'a>>,
    /// How precisely it can be judged.
    pub evidence: JudgedBy,
    /// The orders of all states.
    pub orders: Orders,
    /// The main order: `main[n]` is the step of version `n`.
    pub main: Vec<OrderNode>,
    /// By number of this session's operation: its first place in the main order, from 1; 0 if it has none.
    positions: Vec<u32>,
    /// The same for other operations in the main order.
    strange: HashMap<OperationId, u32>,
    /// Updates acknowledged until then must be in the main order. With a final read, these are all updates. After a
    /// log-out, it is when the longest state was last requested. `None` if no state shows what was kept: the session
    /// was lost, or its final state is unknown.
    pub settled_from: Option<u64>,
    /// Operations that nodes hold at the end.
    kept: Kept,
    /// When the newest operation of the main order was sent; 0 where nobody asks.
    newest_shown_ns: u64,
    /// By operation number: whether it was acknowledged and is lost.
    lost: Vec<bool>,
    /// Lost operations whose numbers are higher than there are operations, because some are missing in the history.
    lost_beyond: HashSet<usize>,
    /// By operation number: its place in the history, from 1; 0 if it has none.
    by_number: Vec<u32>,
}

impl<'a> Subject<'a> {
    /// Prepares a session.
    pub fn new(
        history: &'a SessionHistory,
        outcome: &'a SessionOutcome<'a>,
        (timeline, rules): (&'a Timeline, &'a Rules),
        workspace: &mut Workspace,
    ) -> Self {
        let mut subject = Self {
            history,
            outcome,
            timeline,
            rules,
            replies: Vec::with_capacity(history.operations.len()),
            last: None,
            evidence: JudgedBy::Order,
            orders: std::mem::take(&mut workspace.orders),
            main: std::mem::take(&mut workspace.main),
            positions: std::mem::take(&mut workspace.positions),
            strange: HashMap::new(),
            settled_from: None,
            newest_shown_ns: 0,
            kept: Kept::default(),
            lost: std::mem::take(&mut workspace.lost),
            lost_beyond: HashSet::new(),
            by_number: std::mem::take(&mut workspace.by_number),
        };
        subject.orders.clear();
        subject.number_operations();
        subject.place_replies();
        subject.find_main_order();
        subject.settled_from = subject.find_settled();
        let is_silent = |operation: &Operation| is_acknowledged(operation) && operation.state().is_none();
        if subject.last.is_none() && history.operations.iter().any(is_silent) {
            subject.newest_shown_ns = subject.find_newest_shown();
        }
        subject.kept = subject.find_kept();
        subject.find_lost();
        subject
    }

    /// Returns the buffers for reuse.
    pub fn into_workspace(self) -> Workspace {
        Workspace {
            orders: self.orders,
            main: self.main,
            positions: self.positions,
            lost: self.lost,
            by_number: self.by_number,
        }
    }

    fn number_operations(&mut self) {
        self.by_number.clear();
        self.by_number.resize(self.history.operations.len(), 0);
        for (place, operation) in (1..).zip(&self.history.operations) {
            if let Some(known) = self.by_number.get_mut(operation.id.number as usize) {
                *known = place;
            }
        }
    }

    /// Whether a write was sent after the log-out: it counts under `logout-is-final` alone.
    fn is_too_late(&self, operation: &Operation) -> bool {
        let ended_ns = self.outcome.log_out.map_or(u64::MAX, |log_out| log_out.sent_ns);
        operation.kind.is_write() && operation.began_ns() >= ended_ns
    }

    fn place_replies(&mut self) {
        let Some(identity) = self.outcome.identity() else { return };
        for operation in &self.history.operations {
            let is_evidence = operation.kind.has_its_cookies() && operation.kind != OperationKind::SettleRead;
            if self.is_too_late(operation) || !is_evidence {
                continue;
            }
            if let Some(state) = operation.state().filter(|state| state.identity.is(identity)) {
                self.replies.push(Reply { operation, state, step: None });
            }
        }
        if self.replies.iter().all(|reply| reply.state.order.is_none()) && !self.replies.is_empty() {
            self.evidence = JudgedBy::Counter;
        } else if self.replies.is_sorted_by_key(|reply| turn(reply.state)) {
            for reply in &mut self.replies {
                reply.step = reply.state.order.as_ref().and_then(|order| self.orders.place(reply.state.version, order));
            }
        } else {
            let mut by_version: Vec<u32> = (0..u32::try_from(self.replies.len()).unwrap_or(u32::MAX)).collect();
            by_version.sort_by_key(|index| turn(self.replies[*index as usize].state));
            for index in by_version {
                let reply = &mut self.replies[index as usize];
                reply.step = reply.state.order.as_ref().and_then(|order| self.orders.place(reply.state.version, order));
            }
        }
        self.last = self.replies.iter().rfind(|reply| reply.operation.kind == OperationKind::FinalRead).copied();
    }

    fn find_main_order(&mut self) {
        let through = || self.replies.iter().filter(|reply| reply.operation.is_through_the_balancer());
        let longest = || {
            let placed = through().filter_map(|reply| Some((reply, reply.step?)));
            let length = |(reply, step): &(&Reply, OrderNode)| (self.orders.version(*step), reply.operation.place());
            placed.max_by_key(length).map(|(_, step)| step)
        };
        let end = self.last.and_then(|last| last.step).or_else(longest).unwrap_or(OrderNode::EMPTY);
        self.orders.path(end, &mut self.main);
        self.positions.clear();
        self.positions.resize(self.history.operations.len(), 0);
        for (position, step) in (0..).zip(&self.main).skip(1) {
            let Some(op) = self.orders.op(*step) else { continue };
            let first = match own_number(self.history, op).and_then(|number| self.positions.get_mut(number)) {
                Some(place) => place,
                None => self.strange.entry(op).or_default(),
            };
            if *first == 0 {
                *first = position;
            }
        }
    }

    /// Operations that nodes hold, according to the node reads after the final read.
    fn find_kept(&self) -> Kept {
        let mut kept = Kept::default();
        let Some(end) = self.last.and_then(|last| last.step).filter(|_| self.outcome.log_out.is_none()) else {
            return kept;
        };
        let end = self.orders.version(end);
        let (mut held, mut is_any, mut can_be_told) = (0, false, true);
        for reply in self.replies.iter().filter(|reply| reply.operation.kind == OperationKind::NodeRead) {
            is_any = true;
            let Some(step) = reply.step else {
                can_be_told = false;
                continue;
            };
            let (joint, beside) = self.branch(step);
            held = held.max(joint);
            if joint == end {
                kept.ahead.extend(beside);
            } else {
                kept.elsewhere.extend(beside);
            }
        }
        // A node that did not answer may hold operations that the others do not.
        if is_any && can_be_told && self.history.nodes_in_the_end().is_some() {
            kept.main = held;
        }
        kept
    }

    fn find_lost(&mut self) {
        self.lost.clear();
        self.lost.resize(self.history.operations.len(), false);
        let gone: Vec<u32> =
            self.acknowledged_writes().filter(|write| self.is_gone(write)).map(|write| write.id.number).collect();
        for number in gone {
            match self.lost.get_mut(number as usize) {
                Some(lost) => *lost = true,
                None => drop(self.lost_beyond.insert(number as usize)),
            }
        }
    }

    /// Whether a write must be in the final state. After a log-out the longest state that was shown stands for it. Where replies to
    /// writes show no state, that may be an old one, unless it has an operation that was sent after the write was acknowledged.
    pub fn is_due(&self, operation: &Operation) -> bool {
        let is_shown = || operation.state().is_some() || operation.times.completed_ns <= self.newest_shown_ns;
        is_acknowledged(operation) && (self.last.is_some() || is_shown())
    }

    /// When the newest operation of the main order was sent.
    fn find_newest_shown(&self) -> u64 {
        let is_shown = |operation: &&Operation| self.position(operation.id).is_some();
        self.history.operations.iter().filter(is_shown).map(Operation::began_ns).max().unwrap_or_default()
    }

    /// Whether an operation was acknowledged in time and is lost, see [`Kept::lacks`].
    pub fn is_gone(&self, operation: &Operation) -> bool {
        self.is_due(operation)
            && self.settled_from.is_some_and(|from| operation.times.completed_ns <= from)
            && self.kept.lacks(operation.id, self.position(operation.id))
    }

    /// The acknowledged writes of this session.
    pub fn acknowledged_writes(&self) -> impl Iterator<Item = &'a Operation> {
        let is_of_this = |operation: &&Operation| {
            let identity = self.outcome.identity();
            // An app that shows no state says only that the write was applied.
            let is_own = |state: &State| identity.is_some_and(|identity| state.identity.is(identity));
            operation.state().map_or(identity.is_some(), is_own) && !self.is_too_late(operation)
        };
        self.history.operations.iter().filter(|operation| is_acknowledged(operation)).filter(is_of_this)
    }

    fn find_settled(&self) -> Option<u64> {
        if self.evidence == JudgedBy::Counter || self.outcome.loss.is_some() {
            return None;
        }
        if let Some(last) = self.last {
            // A node with a newer state of unknown order may hold operations that the final read lacks.
            let may_hold_more = |reply: &Reply| {
                reply.operation.kind == OperationKind::NodeRead
                    && reply.step.is_none()
                    && reply.state.version > last.state.version
            };
            let is_known = !self.replies.iter().any(may_hold_more);
            return last.step.filter(|_| is_known).map(|_| u64::MAX);
        }
        self.outcome.log_out?;
        let end = *self.main.last()?;
        let length = self.orders.version(end) as u64;
        if self.replies.iter().any(|reply| reply.step.is_none() && reply.state.version >= length) {
            return None;
        }
        let shows = self.replies.iter().filter(|reply| reply.step == Some(end));
        shows.filter(|reply| reply.operation.is_through_the_balancer()).map(|reply| reply.operation.began_ns()).max()
    }

    /// The first place of an operation in the main order, from 1.
    pub fn position(&self, op: OperationId) -> Option<usize> {
        let position = match own_number(self.history, op).and_then(|number| self.positions.get(number)) {
            Some(position) => *position,
            None if self.strange.is_empty() => 0,
            None => self.strange.get(&op).copied().unwrap_or_default(),
        };
        (position > 0).then_some(position as usize)
    }

    /// Whether an operation is lost and counts under `no-lost-update` only.
    pub fn is_excused(&self, op: OperationId) -> bool {
        self.rules.judges(Guarantee::NoLostUpdate) && self.is_lost(op)
    }

    /// Whether an operation was acknowledged and is lost.
    pub fn is_lost(&self, op: OperationId) -> bool {
        let is_lost = |number| self.lost.get(number).copied().unwrap_or_else(|| self.lost_beyond.contains(&number));
        own_number(self.history, op).is_some_and(is_lost)
    }

    /// The version at which a step leaves the main order, and its operations after that, sorted.
    pub fn branch(&self, step: OrderNode) -> (usize, Vec<OperationId>) {
        let mut beside = Vec::new();
        let mut at = step;
        while !self.is_main(at) {
            beside.extend(self.orders.op(at));
            at = self.orders.parent(at);
        }
        beside.sort_unstable();
        (self.orders.version(at), beside)
    }

    /// Whether a step is in the main order.
    pub fn is_main(&self, step: OrderNode) -> bool {
        self.main.get(self.orders.version(step)) == Some(&step)
    }

    /// This session's operation with that id; `None` if there is none.
    pub fn operation(&self, op: OperationId) -> Option<&'a Operation> {
        let number = own_number(self.history, op)?;
        let place = match self.by_number.get(number) {
            Some(place) => (*place as usize).checked_sub(1)?,
            None => self.history.operations.iter().position(|operation| operation.id == op)?,
        };
        self.history.operations.get(place)
    }
}

/// Whether it is a write with a reply that it was applied.
pub fn is_acknowledged(operation: &Operation) -> bool {
    operation.kind.is_write() && operation.is_ok()
}

fn own_number(history: &SessionHistory, op: OperationId) -> Option<usize> {
    ((op.session, op.life) == (history.session, history.number)).then_some(op.number as usize)
}

/// States are placed by ascending version; of one version that with the longest tail first, because the others' tails may lean on
/// it, whichever reply came first.
fn turn(state: &State) -> (u64, Reverse<usize>) {
    (state.version, Reverse(state.order.as_ref().map_or(0, |order| order.tail.len())))
}
