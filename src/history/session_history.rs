//! Groups operations by session. A virtual user whose session was lost or logged out creates a new one: each of its
//! sessions is one *life*. A history holds one session after the other, so that a reader holds only one at a time.

use super::{Expiry, Operation, OperationKind, Owners, State, Timeline};

/// One session from its creation to its end, with all operations that were meant for it.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionHistory {
    /// The virtual user.
    pub session: u32,
    /// Which of its sessions this is, counted from 1.
    pub number: u32,
    /// Its operations, in the order in which they began.
    pub operations: Vec<Operation>,
    /// When its user abandoned it and began to create another session, in nanoseconds.
    pub given_up_ns: Option<u64>,
    /// Whether some of its operations are not here: it has more than [`MAX_OPERATIONS`] and is read in parts.
    pub is_part: bool,
    /// When sessions end by themselves; `None` where nobody has told the app.
    pub expiry: Option<Expiry>,
    /// Whose users are devices of one owner.
    pub owners: Owners,
}

/// The most operations of one session that are held in memory at once; a longer session cannot be judged.
pub const MAX_OPERATIONS: usize = 1 << 20;

impl SessionHistory {
    /// All sessions of some operations, by user and number.
    #[must_use]
    pub fn all(mut operations: Vec<Operation>) -> Vec<Self> {
        operations.sort_by_key(Operation::place);
        let mut histories: Vec<Self> = Vec::new();
        for operation in operations {
            match histories.last_mut() {
                Some(history) if history.holds(&operation) => history.operations.push(operation),
                last => {
                    if let Some(last) = last.filter(|last| last.session == operation.id.session) {
                        last.given_up_ns = Some(operation.began_ns());
                    }
                    histories.push(Self::beginning_with(operation));
                }
            }
        }
        histories
    }

    /// The same session with what is known of all sessions of its trial.
    #[must_use]
    pub fn in_trial(self, timeline: &Timeline) -> Self {
        Self { expiry: timeline.expiry, owners: timeline.owners, ..self }
    }

    /// A session that begins with this operation.
    fn beginning_with(operation: Operation) -> Self {
        let (session, number) = (operation.id.session, operation.id.life);
        Self {
            session,
            number,
            operations: vec![operation],
            given_up_ns: None,
            is_part: false,
            expiry: None,
            owners: Owners::default(),
        }
    }

    /// Whether an operation belongs to this session.
    fn holds(&self, operation: &Operation) -> bool {
        (self.session, self.number) == (operation.id.session, operation.id.life)
    }

    /// The node reads after the final read. `None` unless every node answered, none with another user's session, and
    /// the node of the final read is one of them. With `Some`, no node holds an operation that these reads lack.
    #[must_use]
    pub fn nodes_in_the_end(&self) -> Option<&[Operation]> {
        let is_node_read = |operation: &Operation| operation.kind == OperationKind::NodeRead;
        let first = self.operations.iter().rposition(|operation| !is_node_read(operation))?;
        let (before, reads) = self.operations.split_at(first + 1);
        let last = before.iter().rfind(|operation| operation.kind == OperationKind::FinalRead)?;
        let owner = self.owner();
        let is_foreign = |read: &State| read.identity.owner != owner && !read.identity.owner.is_empty();
        let has_answered =
            |read: &Operation| read.state().map_or(read.session_was_unknown(), |state| !is_foreign(state));
        let is_whole = reads.iter().all(has_answered)
            && last.answer.is_some()
            && reads.iter().any(|read| {
                read.answer.as_ref().map(|answer| &answer.node) == last.answer.as_ref().map(|answer| &answer.node)
            });
        is_whole.then_some(reads)
    }

    /// The node that answered last before an instant.
    #[must_use]
    pub fn last_answered_by(&self, at_ns: u64) -> Option<&str> {
        let own = self.operations.iter().filter(|operation| operation.kind.has_its_cookies());
        let before = own.filter(|operation| operation.times.completed_ns <= at_ns);
        let answered = before.filter_map(|operation| Some((operation.times.completed_ns, operation.answer.as_ref()?)));
        answered.max_by_key(|(completed_ns, _)| *completed_ns).map(|(_, answer)| answer.node.as_str())
    }

    /// Whether a state is that of this session, by whichever id it was asked for: with its user, or as the visitor's that it was.
    /// `created` is the state that its user first knew.
    #[must_use]
    pub fn is_shown_by(&self, state: &State, created: Option<&State>) -> bool {
        let visits = self.operations.iter().filter(|operation| operation.kind == OperationKind::Visit);
        let mut known = visits.filter_map(Operation::state).chain(created).map(|state| state.identity.epoch.as_str());
        let epoch = state.identity.epoch.as_str();
        state.identity.owner == self.owner() || (!epoch.is_empty() && known.any(|known| known == epoch))
    }

    /// The owner name of the virtual user.
    #[must_use]
    pub fn owner(&self) -> String {
        self.owners.name(self.session)
    }
}
