//! Histories written by hand: one session, one operation per second, one call per operation.

use std::sync::Arc;

use super::{Finding, Guarantee, judge};
use crate::history::{
    Answer, EMPTY_DIGEST, ErrorKind, Identity, Moved, Operation, OperationId, OperationKind, Order, Outcome, Payload,
    SessionHistory, State, TAIL, Timeline, Times, append_to_digest,
};

/// Builds a history. Operation `n` is sent at `n` s and answered half a second later.
pub struct HistoryBuilder {
    session: u32,
    operations: Vec<Operation>,
    node: String,
    /// The operations that the session holds.
    applied: Vec<OperationId>,
    shows_order: bool,
    paused_ns: u64,
}

/// The history that `build` makes, of session 1.
pub fn history(build: impl FnOnce(HistoryBuilder) -> HistoryBuilder) -> Vec<Operation> {
    history_of(1, build)
}

/// The history that `build` makes.
pub fn history_of(session: u32, build: impl FnOnce(HistoryBuilder) -> HistoryBuilder) -> Vec<Operation> {
    let begin = HistoryBuilder {
        session,
        operations: Vec::new(),
        node: "app-1".into(),
        applied: Vec::new(),
        shows_order: true,
        paused_ns: 0,
    };
    build(begin).operations
}

/// The finding on one guarantee in a history.
pub fn finding(history: &[Operation], guarantee: Guarantee) -> Finding {
    finding_with(history, &Timeline::default(), guarantee)
}

/// The same, with the faults of `timeline`.
pub fn finding_with(history: &[Operation], timeline: &Timeline, guarantee: Guarantee) -> Finding {
    let judgement = judge(SessionHistory::all(history.to_vec()), timeline, &Guarantee::ALL);
    judgement.guarantees[&guarantee].clone()
}

/// A state of `owner` that holds `ops`.
pub fn state(owner: &str, epoch: &str, ops: &[OperationId], shows_order: bool) -> State {
    let order = || Order {
        digest: ops.iter().fold(EMPTY_DIGEST, |digest, op| append_to_digest(digest, *op)),
        tail: ops[ops.len().saturating_sub(TAIL)..].iter().copied().collect(),
    };
    State {
        identity: Arc::new(Identity { owner: owner.into(), epoch: epoch.into() }),
        version: ops.len() as u64,
        order: shows_order.then(order),
        payload: Payload::NotShown,
    }
}

impl HistoryBuilder {
    fn shown(&self, ops: &[OperationId]) -> Outcome {
        Outcome::Ok(state(&format!("s{}", self.session), "first", ops, self.shows_order))
    }

    fn next_id(&self) -> OperationId {
        OperationId { session: self.session, life: 1, number: u32::try_from(self.operations.len()).unwrap() }
    }

    fn add(mut self, kind: OperationKind, outcome: Outcome) -> Self {
        let sent = self.operations.len() as u64 * 1_000_000_000 + self.paused_ns;
        let times = Times {
            scheduled_ns: sent,
            dispatched_ns: sent,
            connect_ns: None,
            sent_ns: Some(sent),
            first_byte_ns: None,
            completed_ns: sent + 500_000_000,
        };
        let answer = Some(Arc::new(Answer { node: self.node.clone(), boot: "b".into() }));
        self.operations.push(Operation {
            id: self.next_id(),
            kind,
            times,
            moved: Moved::default(),
            outcome,
            status: None,
            answer,
            is_resent: false,
        });
        self
    }

    pub fn on(mut self, node: &str) -> Self {
        self.node = node.to_owned();
        self
    }

    /// From here on the app shows only the number of operations.
    pub fn counter_only(mut self) -> Self {
        self.shows_order = false;
        self
    }

    pub fn create(self) -> Self {
        let outcome = self.shown(&[]);
        self.add(OperationKind::Create, outcome)
    }

    /// Nothing happens for so many seconds.
    pub fn pause(mut self, seconds: u64) -> Self {
        self.paused_ns += seconds * 1_000_000_000;
        self
    }

    /// A read after a pause, and whether the session was there.
    pub fn idle_read(self, is_there: bool) -> Self {
        let outcome = if is_there { self.shown(&self.applied) } else { Outcome::Fail(ErrorKind::UnknownSession) };
        self.add(OperationKind::IdleRead, outcome)
    }

    fn visited(&self, owner: &str) -> Outcome {
        Outcome::Ok(state(owner, "first", &self.applied, self.shows_order))
    }

    /// What a read with another id shows: the session with this owner, or `None`: that it is unknown.
    fn shown_to(&self, owner: Option<&str>) -> Outcome {
        owner.map_or(Outcome::Fail(ErrorKind::UnknownSession), |owner| self.visited(owner))
    }

    pub fn visit(self) -> Self {
        let outcome = self.visited("");
        self.add(OperationKind::Visit, outcome)
    }

    pub fn visitor_write(mut self) -> Self {
        self.applied.push(self.next_id());
        let outcome = self.visited("");
        self.add(OperationKind::VisitorWrite, outcome).with_status()
    }

    pub fn log_in(self) -> Self {
        let outcome = self.shown(&self.applied);
        self.add(OperationKind::LogIn, outcome)
    }

    pub fn new_id(self) -> Self {
        let outcome = self.shown(&self.applied);
        self.add(OperationKind::NewId, outcome)
    }

    pub fn new_id_without_reply(self) -> Self {
        self.add(OperationKind::NewId, Outcome::Indeterminate(ErrorKind::Timeout))
    }

    /// A log-in that is sent and answered while the operation before it is in flight.
    pub fn log_in_meanwhile(self) -> Self {
        self.log_in().meanwhile()
    }

    /// The same with a change of the id.
    pub fn new_id_meanwhile(self) -> Self {
        self.with_status().new_id().meanwhile()
    }

    fn meanwhile(mut self) -> Self {
        if let [.., before, last] = self.operations.as_mut_slice() {
            let sent_ns = before.times.sent_ns.unwrap();
            last.times.sent_ns = Some(sent_ns + 100_000_000);
            last.times.completed_ns = sent_ns + 200_000_000;
        }
        self
    }

    /// A read that shows the session as a visitor's.
    pub fn without_its_user(self) -> Self {
        let outcome = self.visited("");
        self.add(OperationKind::Read, outcome)
    }

    pub fn browser_read(self, owner: Option<&str>) -> Self {
        let outcome = self.shown_to(owner);
        self.add(OperationKind::BrowserRead, outcome)
    }

    pub fn old_id_read(self, owner: Option<&str>) -> Self {
        let outcome = self.shown_to(owner);
        self.add(OperationKind::OldIdRead, outcome)
    }

    pub fn made_up_read(self, owner: Option<&str>) -> Self {
        let outcome = self.shown_to(owner);
        self.add(OperationKind::MadeUpRead, outcome)
    }

    /// A write that is in flight when the operation after it is sent and answered.
    pub fn held_write(mut self) -> Self {
        self.applied.push(self.next_id());
        let outcome = self.shown(&self.applied);
        let mut builder = self.add(OperationKind::HeldWrite, outcome);
        builder.operations.last_mut().unwrap().times.completed_ns += 1_400_000_000;
        builder
    }

    fn with_status(mut self) -> Self {
        self.operations.last_mut().unwrap().status = Some(200);
        self
    }

    pub fn create_without_reply(self) -> Self {
        self.add(OperationKind::Create, Outcome::Indeterminate(ErrorKind::Timeout))
    }

    pub fn write(mut self) -> Self {
        self.applied.push(self.next_id());
        let outcome = self.shown(&self.applied);
        self.add(OperationKind::Write, outcome)
    }

    /// A write that is applied to the state at `version` and overwrites newer operations.
    pub fn write_on(mut self, version: usize) -> Self {
        self.applied.truncate(version);
        self.write()
    }

    pub fn lost_reply_write(mut self, applied: bool) -> Self {
        if applied {
            self.applied.push(self.next_id());
        }
        self.add(OperationKind::Write, Outcome::Indeterminate(ErrorKind::Status5xx))
    }

    pub fn refused_write(self) -> Self {
        self.add(OperationKind::Write, Outcome::Fail(ErrorKind::RefusedByApp))
    }

    pub fn lost_reply_read(self) -> Self {
        self.add(OperationKind::Read, Outcome::Indeterminate(ErrorKind::Timeout))
    }

    pub fn settle_read(self) -> Self {
        let outcome = self.shown(&self.applied);
        self.add(OperationKind::SettleRead, outcome)
    }

    pub fn read(self) -> Self {
        let outcome = self.shown(&self.applied);
        self.add(OperationKind::Read, outcome)
    }

    pub fn stale_read(self, version: usize) -> Self {
        let outcome = self.shown(&self.applied[..version]);
        self.add(OperationKind::Read, outcome)
    }

    /// A read that shows these operations, regardless of those that the session holds.
    pub fn read_of(self, ops: &[&str]) -> Self {
        self.reply_of(OperationKind::Read, ops)
    }

    pub fn final_read_of(self, ops: &[&str]) -> Self {
        self.reply_of(OperationKind::FinalRead, ops)
    }

    pub fn node_read_of(self, ops: &[&str]) -> Self {
        self.reply_of(OperationKind::NodeRead, ops)
    }

    fn reply_of(self, kind: OperationKind, ops: &[&str]) -> Self {
        let ops: Vec<OperationId> = ops.iter().map(|op| op.parse().unwrap()).collect();
        let outcome = self.shown(&ops);
        self.add(kind, outcome)
    }

    pub fn node_does_not_know(self) -> Self {
        self.add(OperationKind::NodeRead, Outcome::Fail(ErrorKind::UnknownSession))
    }

    pub fn node_does_not_answer(self) -> Self {
        self.add(OperationKind::NodeRead, Outcome::Indeterminate(ErrorKind::Timeout))
    }

    /// A read that shows a session without an owner.
    pub fn anonymous(self) -> Self {
        let outcome = Outcome::Ok(state("", "fresh", &[], true));
        self.add(OperationKind::Read, outcome)
    }

    /// A log-out that a balancer may have sent twice, answered as for an unknown session.
    pub fn ambiguous_log_out(self) -> Self {
        self.add(OperationKind::LogOut, Outcome::Indeterminate(ErrorKind::UnknownSession))
    }

    /// A read with a wrong payload.
    pub fn read_without_its_payload(self) -> Self {
        let mut builder = self.read();
        if let Some(Outcome::Ok(state)) = builder.operations.last_mut().map(|operation| &mut operation.outcome) {
            state.payload = Payload::Wrong;
        }
        builder
    }

    /// A final read with the right digest and this tail.
    pub fn final_read_with_tail(self, ops: &[&str]) -> Self {
        let mut builder = self.final_read();
        if let Some(Outcome::Ok(State { order: Some(order), .. })) =
            builder.operations.last_mut().map(|operation| &mut operation.outcome)
        {
            order.tail = ops.iter().map(|op| op.parse().unwrap()).collect();
        }
        builder
    }

    /// A stale read that was sent at the same instant as the operation before it.
    pub fn overlapping_stale_read(self, version: usize) -> Self {
        let builder = self.stale_read(version);
        builder.overlapping()
    }

    /// A read that was sent at the same instant as the operation before it.
    pub fn overlapping_read(self) -> Self {
        self.read().overlapping()
    }

    fn overlapping(mut self) -> Self {
        let before = self.operations[self.operations.len() - 2].times.sent_ns;
        self.operations.last_mut().unwrap().times.sent_ns = before;
        self
    }

    pub fn final_read(self) -> Self {
        let outcome = self.shown(&self.applied);
        self.add(OperationKind::FinalRead, outcome)
    }

    pub fn stale_final_read(self, version: usize) -> Self {
        let outcome = self.shown(&self.applied[..version]);
        self.add(OperationKind::FinalRead, outcome)
    }

    pub fn final_read_with_digest(self, digest: u64) -> Self {
        let mut builder = self.final_read();
        if let Some(Outcome::Ok(State { order: Some(order), .. })) =
            builder.operations.last_mut().map(|operation| &mut operation.outcome)
        {
            order.digest = digest;
        }
        builder
    }

    pub fn log_out(self, acknowledged: bool) -> Self {
        let outcome = if acknowledged { Outcome::Done } else { Outcome::Indeterminate(ErrorKind::Timeout) };
        self.add(OperationKind::LogOut, outcome)
    }

    pub fn refused_log_out(self) -> Self {
        self.add(OperationKind::LogOut, Outcome::Fail(ErrorKind::Refused))
    }

    pub fn unknown(self) -> Self {
        self.add(OperationKind::Read, Outcome::Fail(ErrorKind::UnknownSession))
    }

    pub fn reborn(self) -> Self {
        let outcome = Outcome::Ok(state(&format!("s{}", self.session), "second", &[], true));
        self.add(OperationKind::Read, outcome)
    }

    pub fn foreign_owner(self) -> Self {
        let outcome = Outcome::Ok(state("s9", "first", &self.applied, true));
        self.add(OperationKind::Read, outcome)
    }
}
