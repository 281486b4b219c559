//! Histories written by hand: one session, one operation a second, each a word.

use super::{Finding, Guarantee, chain};
use crate::history::{Answer, ErrorKind, History, Operation, OperationId, OperationKind, Outcome, State, Times};

/// A history in the making. Operation `n` is sent at `n` s and answered half a second later.
pub struct Story {
    operations: Vec<Operation>,
    node: String,
    /// The operations that the session holds.
    applied: Vec<String>,
}

/// The history that `tell` tells.
pub fn history(tell: impl FnOnce(Story) -> Story) -> History {
    let story = tell(Story { operations: Vec::new(), node: "app-1".into(), applied: Vec::new() });
    History { operations: story.operations, ..History::default() }
}

/// What one guarantee finds in it.
pub fn finding(history: &History, guarantee: Guarantee) -> Finding {
    super::judge(history).guarantees.remove(&guarantee).expect("every guarantee is examined")
}

impl Story {
    fn state_of(ops: &[String]) -> State {
        State {
            owner: "s1".into(),
            epoch: "first".into(),
            version: ops.len() as u64,
            digest: format!("{:016x}", ops.iter().fold(chain::EMPTY, |digest, op| chain::append(digest, op))),
            tail: ops[ops.len().saturating_sub(8)..].to_vec(),
        }
    }

    fn next_id(&self) -> OperationId {
        OperationId { session: 1, life: 1, number: u32::try_from(self.operations.len()).unwrap() }
    }

    fn add(mut self, kind: OperationKind, outcome: Outcome) -> Self {
        let sent = self.operations.len() as u64 * 1_000_000_000;
        let times = Times {
            scheduled_ns: sent,
            dispatched_ns: sent,
            sent_ns: Some(sent),
            first_byte_ns: None,
            completed_ns: sent + 500_000_000,
        };
        let answer = Some(Answer { node: self.node.clone(), boot: "b".into() });
        self.operations.push(Operation { id: self.next_id(), kind, times, outcome, status: None, answer });
        self
    }

    pub fn on(mut self, node: &str) -> Self {
        self.node = node.to_owned();
        self
    }

    pub fn create(self) -> Self {
        let state = Self::state_of(&[]);
        self.add(OperationKind::Create, Outcome::Ok(state))
    }

    pub fn create_without_reply(self) -> Self {
        self.add(OperationKind::Create, Outcome::Indeterminate(ErrorKind::Timeout))
    }

    pub fn write(self) -> Self {
        let op = self.next_id().to_string();
        self.write_of(&op)
    }

    pub fn write_of(mut self, op: &str) -> Self {
        self.applied.push(op.to_owned());
        let state = Self::state_of(&self.applied);
        self.add(OperationKind::Write, Outcome::Ok(state))
    }

    /// A write that was made on the state at `version` and overwrites what came after.
    pub fn write_on(mut self, version: usize) -> Self {
        self.applied.truncate(version);
        self.write()
    }

    pub fn lost_reply_write(mut self, applied: bool) -> Self {
        if applied {
            self.applied.push(self.next_id().to_string());
        }
        self.add(OperationKind::Write, Outcome::Indeterminate(ErrorKind::Status5xx))
    }

    pub fn lost_reply_read(self) -> Self {
        self.add(OperationKind::Read, Outcome::Indeterminate(ErrorKind::Timeout))
    }

    pub fn read(self) -> Self {
        let state = Self::state_of(&self.applied);
        self.add(OperationKind::Read, Outcome::Ok(state))
    }

    pub fn stale_read(self, version: usize) -> Self {
        let state = Self::state_of(&self.applied[..version]);
        self.add(OperationKind::Read, Outcome::Ok(state))
    }

    /// A stale read that was sent together with the operation before it.
    pub fn overlapping_stale_read(self, version: usize) -> Self {
        let mut story = self.stale_read(version);
        let before = story.operations[story.operations.len() - 2].times.sent_ns;
        story.operations.last_mut().unwrap().times.sent_ns = before;
        story
    }

    pub fn final_read(self) -> Self {
        let state = Self::state_of(&self.applied);
        self.add(OperationKind::FinalRead, Outcome::Ok(state))
    }

    pub fn stale_final_read(self, version: usize) -> Self {
        let state = Self::state_of(&self.applied[..version]);
        self.add(OperationKind::FinalRead, Outcome::Ok(state))
    }

    pub fn unknown(self) -> Self {
        self.add(OperationKind::Read, Outcome::Fail(ErrorKind::UnknownSession))
    }

    pub fn reborn(self) -> Self {
        let state = State { epoch: "second".into(), ..Self::state_of(&[]) };
        self.add(OperationKind::Read, Outcome::Ok(state))
    }

    pub fn foreign_owner(self) -> Self {
        let state = State { owner: "s9".into(), ..Self::state_of(&self.applied) };
        self.add(OperationKind::Read, Outcome::Ok(state))
    }
}
