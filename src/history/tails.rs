//! Most tails follow from the state that the session showed before: they are the same, or one operation was just
//! applied. Both stored forms of a history leave such tails out.

use super::{Operation, OperationId, OperationKind, State, TAIL, Tail};

/// The tail of the last state of a session.
#[derive(Clone, Debug)]
pub(super) struct LastTail {
    life: Option<(u32, u32)>,
    version: u64,
    tail: Tail,
    /// The tail of every session before its first write.
    empty: Tail,
}

impl Default for LastTail {
    fn default() -> Self {
        let empty = Tail::from([]);
        Self { life: None, version: 0, tail: Tail::clone(&empty), empty }
    }
}

impl LastTail {
    /// Predicts the tail of a state of `version` in the reply to `id`, if that operation changed only what its kind
    /// says. `None` if it cannot be predicted.
    pub(super) fn predict(&self, id: OperationId, kind: OperationKind, version: u64) -> Option<Tail> {
        if version == 0 {
            return Some(Tail::clone(&self.empty));
        }
        if self.life != Some((id.session, id.life)) {
            return None;
        }
        if version == self.version {
            return Some(Tail::clone(&self.tail));
        }
        if version != self.version + 1 || !kind.is_write() {
            return None;
        }
        let kept = self.tail.get((self.tail.len() + 1).saturating_sub(TAIL)..)?;
        // Half of all states have a new tail, so it is copied as one slice and not id by id.
        let mut ids = [id; TAIL];
        ids.get_mut(..kept.len())?.copy_from_slice(kept);
        Some(Tail::from(ids.get(..=kept.len())?))
    }

    /// Remembers the tail of a state.
    pub(super) fn note(&mut self, id: OperationId, version: u64, tail: &Tail) {
        self.life = Some((id.session, id.life));
        self.version = version;
        // Most states share the tail of the one before, and changing its reference count costs more than this
        // comparison.
        if !Tail::ptr_eq(&self.tail, tail) {
            self.tail.clone_from(tail);
        }
    }

    /// Whether an operation's tail can be left out. Remembers the tail.
    pub(super) fn follows(&mut self, operation: &Operation, state: &State) -> bool {
        let Some(order) = &state.order else { return true };
        let predicted = self.predict(operation.id, operation.kind, state.version);
        let follows = predicted.is_some_and(|predicted| predicted == order.tail);
        self.note(operation.id, state.version, &order.tail);
        follows
    }
}
