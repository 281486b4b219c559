//! Operations grouped by the session that they belong to. A virtual user whose session was lost makes a
//! new one: each of its sessions is one *life*.

use std::collections::BTreeMap;

use super::{History, Operation, OperationKind, State};

/// One session from its creation to its end, and every operation that was meant for it.
#[derive(Clone, Debug)]
pub struct Life<'a> {
    /// The virtual user.
    pub session: u32,
    /// Which of its sessions this is, counted from 1.
    pub number: u32,
    /// In the order in which they began.
    pub operations: Vec<&'a Operation>,
    /// When its user began to make another session instead, having given this one up.
    pub given_up_ns: Option<u64>,
}

impl<'a> Life<'a> {
    /// All lives of a history, by user and number.
    #[must_use]
    pub fn all(history: &'a History) -> Vec<Self> {
        let mut lives: BTreeMap<(u32, u32), Vec<&Operation>> = BTreeMap::new();
        for operation in &history.operations {
            lives.entry((operation.id.session, operation.id.life)).or_default().push(operation);
        }
        let life = |((session, number), mut operations): ((u32, u32), Vec<&'a Operation>)| {
            operations.sort_by_key(|operation| (operation.began_ns(), operation.id));
            Self { session, number, operations, given_up_ns: None }
        };
        let mut lives: Vec<Self> = lives.into_iter().map(life).collect();
        for next in (1..lives.len()).rev() {
            if lives[next].session == lives[next - 1].session {
                lives[next - 1].given_up_ns = lives[next].operations.first().map(|creation| creation.began_ns());
            }
        }
        lives
    }

    /// What the virtual user calls itself.
    #[must_use]
    pub fn owner(&self) -> String {
        format!("s{}", self.session)
    }

    /// The creation, if its reply came: only then the user knows of its session.
    #[must_use]
    pub fn creation(&self) -> Option<(&'a Operation, &'a State)> {
        let creation = self.operations.iter().find(|operation| operation.kind == OperationKind::Create)?;
        Some((creation, creation.state()?))
    }

    /// The first reply that did not know the session.
    #[must_use]
    pub fn first_unknown(&self) -> Option<&'a Operation> {
        self.creation()?;
        self.operations.iter().find(|operation| operation.session_was_unknown()).copied()
    }

    /// The first reply that showed another session under the same owner.
    #[must_use]
    pub fn replacement(&self) -> Option<&'a Operation> {
        let (_, created) = self.creation()?;
        let is_other = |state: &State| state.owner == created.owner && state.epoch != created.epoch;
        self.operations.iter().find(|operation| operation.state().is_some_and(is_other)).copied()
    }

    /// The first reply by which the session was gone for good: replaced, or unknown and never known again.
    #[must_use]
    pub fn loss(&self) -> Option<&'a Operation> {
        self.creation()?;
        let mut gone: Option<&Operation> = None;
        for operation in &self.operations {
            if operation.session_was_unknown() {
                gone = gone.or(Some(operation));
            } else if operation.is_ok() {
                gone = None;
            }
        }
        gone.into_iter().chain(self.replacement()).min_by_key(|operation| operation.times.completed_ns)
    }

    /// Whether it was unknown for a while, and known again later.
    #[must_use]
    pub fn was_forgotten(&self) -> bool {
        self.loss().is_none() && self.first_unknown().is_some()
    }

    /// The first reply that did not know the session or showed another one, whatever became of it then.
    #[must_use]
    pub fn first_sign_of_loss(&self) -> Option<&'a Operation> {
        self.first_unknown().into_iter().chain(self.replacement()).min_by_key(|operation| operation.times.completed_ns)
    }

    /// Replies that show this very session: its owner and its creation.
    pub fn states(&self) -> impl Iterator<Item = (&'a Operation, &'a State)> + '_ {
        let created = self.creation().map(|(_, state)| state);
        self.operations.iter().filter_map(move |operation| {
            let (created, state) = (created?, operation.state()?);
            (state.owner == created.owner && state.epoch == created.epoch).then_some((*operation, state))
        })
    }

    /// The reply of the final read.
    #[must_use]
    pub fn final_state(&self) -> Option<&'a State> {
        self.states().filter(|(operation, _)| operation.kind == OperationKind::FinalRead).map(|(_, state)| state).last()
    }

    /// Whether it was there at an instant, as far as its user knew.
    #[must_use]
    pub fn is_alive_at(&self, at_ns: u64) -> bool {
        self.creation().is_some_and(|(creation, _)| creation.times.completed_ns <= at_ns)
            && self.loss().is_none_or(|loss| at_ns < loss.times.completed_ns)
            && self.given_up_ns.is_none_or(|given_up| at_ns < given_up)
    }
}
