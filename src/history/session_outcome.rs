//! The outcome of a session: known from when, logged out, unknown for a while, or lost for good. Both the checker and
//! the measurements need it, so it is found in one pass.

use super::{Identity, Operation, OperationKind, Outcome, SessionHistory, State};

/// When a user logged out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOut {
    /// From then on the session may be ended.
    pub sent_ns: u64,
    /// From then on the session must be ended; `None` if no reply confirmed it.
    pub acknowledged_ns: Option<u64>,
}

/// The outcome of one session.
#[derive(Clone, Debug, Default)]
pub struct SessionOutcome<'a> {
    /// The reply from which its user knew the session, and the state that it showed: the reply to the creation, or if
    /// that was lost, the first reply that showed the session.
    pub creation: Option<(&'a Operation, &'a State)>,
    /// The log-out, if its user sent one that was not refused.
    pub log_out: Option<LogOut>,
    /// The first reply that did not know the session, although it should have.
    pub first_unknown: Option<&'a Operation>,
    /// The first reply that showed another session of the same owner, or one without an owner.
    pub replacement: Option<&'a Operation>,
    /// The first reply that shows that the session is lost for good: replaced, or unknown and never known again.
    pub loss: Option<&'a Operation>,
    given_up_ns: Option<u64>,
}

impl<'a> SessionOutcome<'a> {
    /// Determines the outcome of a session.
    #[must_use]
    pub fn of(history: &'a SessionHistory) -> Self {
        let mut outcome = Self {
            creation: creation(history),
            log_out: log_out(history),
            given_up_ns: history.given_up_ns,
            ..Self::default()
        };
        let Some((known, created)) = outcome.creation else { return outcome };
        let mut gone: Option<&Operation> = None;
        for operation in &history.operations {
            if operation.began_ns() < known.times.completed_ns || operation.kind == OperationKind::SettleRead {
                continue;
            }
            let is_own = |state: &State| state.identity.is(&created.identity);
            if !operation.is_through_the_balancer() {
                // A node still holds the session, so it is not lost for good.
                if operation.state().is_some_and(is_own) {
                    gone = None;
                }
                continue;
            }
            if operation.session_was_unknown() {
                if !outcome.may_be_logged_out(operation) {
                    outcome.first_unknown = outcome.first_unknown.or(Some(operation));
                    gone = gone.or(Some(operation));
                }
            } else if operation.outcome == Outcome::Done {
                // The app ended the session, so it still knew it.
                gone = None;
            } else if let Some(state) = operation.state() {
                // A reply with another session does not show that this one still exists.
                if is_own(state) {
                    gone = None;
                }
                if is_replacement(&state.identity, &created.identity) && !outcome.may_be_logged_out(operation) {
                    outcome.replacement = outcome.replacement.or(Some(operation));
                }
            }
        }
        outcome.loss = earliest(gone, outcome.replacement);
        if outcome.loss.is_none() && outcome.log_out.is_none() && outcome.given_up_ns.is_none() {
            outcome.loss = held_by_no_node(history, &created.identity);
            outcome.first_unknown = outcome.first_unknown.or(outcome.loss);
        }
        outcome
    }

    /// Whether an operation ended as expected: with success, or as unknown because its user had logged out.
    #[must_use]
    pub fn ended_well(&self, operation: &Operation) -> bool {
        operation.is_ok() || (operation.session_was_unknown() && self.may_be_logged_out(operation))
    }

    /// Whether a reply may come from after the log-out.
    fn may_be_logged_out(&self, operation: &Operation) -> bool {
        self.log_out.is_some_and(|log_out| log_out.sent_ns < operation.times.completed_ns)
    }

    /// The identity of the session, if it is known.
    #[must_use]
    pub fn identity(&self) -> Option<&'a Identity> {
        self.creation.map(|(_, state)| state.identity.as_ref())
    }

    /// Whether it was unknown for a while and known again later.
    #[must_use]
    pub fn was_forgotten(&self) -> bool {
        self.first_unknown.is_some() && self.loss.is_none()
    }

    /// The first reply that did not know the session or showed another one, even if the session was known again later.
    #[must_use]
    pub fn first_sign_of_loss(&self) -> Option<&'a Operation> {
        earliest(self.first_unknown, self.replacement)
    }

    /// Whether it existed at an instant, as far as its user knew.
    #[must_use]
    pub fn is_alive_at(&self, at_ns: u64) -> bool {
        self.creation.is_some_and(|(creation, _)| creation.times.completed_ns <= at_ns)
            && self.loss.is_none_or(|loss| at_ns < loss.times.completed_ns)
            && self.log_out.is_none_or(|log_out| at_ns < log_out.sent_ns)
            && self.given_up_ns.is_none_or(|given_up| at_ns < given_up)
    }
}

fn earliest<'a>(one: Option<&'a Operation>, other: Option<&'a Operation>) -> Option<&'a Operation> {
    one.into_iter().chain(other).min_by_key(|operation| operation.times.completed_ns)
}

/// Whether `shown` is another session of the same owner, or a fresh one without an owner.
fn is_replacement(shown: &Identity, created: &Identity) -> bool {
    !shown.is(created) && (shown.owner == created.owner || shown.owner.is_empty())
}

/// The first node that did not hold a session at the end, if every node was asked, all answered, and none held it.
fn held_by_no_node<'a>(history: &'a SessionHistory, created: &Identity) -> Option<&'a Operation> {
    let reads = history.nodes_in_the_end()?;
    let is_own = |read: &Operation| read.state().is_some_and(|state| state.identity.is(created));
    reads.iter().all(|read| !is_own(read)).then(|| reads.iter().find(|read| read.session_was_unknown()))?
}

fn creation(history: &SessionHistory) -> Option<(&Operation, &State)> {
    let created = history.operations.iter().find(|operation| operation.kind == OperationKind::Create)?;
    if let Some(state) = created.state() {
        return Some((created, state));
    }
    if created.failed() {
        return None;
    }
    let owner = history.owner();
    let shown = history.operations.iter().filter_map(|operation| Some((operation, operation.state()?)));
    shown.filter(|(_, state)| state.identity.owner == owner).min_by_key(|(operation, _)| operation.times.completed_ns)
}

fn log_out(history: &SessionHistory) -> Option<LogOut> {
    let is_log_out = |operation: &&Operation| operation.kind == OperationKind::LogOut && !operation.failed();
    let log_outs = || history.operations.iter().filter(is_log_out);
    let sent_ns = log_outs().map(Operation::began_ns).min()?;
    let acknowledged = log_outs().filter(|operation| operation.outcome == Outcome::Done);
    Some(LogOut { sent_ns, acknowledged_ns: acknowledged.map(|operation| operation.times.completed_ns).min() })
}
