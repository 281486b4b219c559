//! What became of a session: known from when, logged out, unknown for a while, lost for good. Both the checker
//! and the measurements ask for it, so it is found in one pass.

use super::{Identity, Operation, OperationKind, Outcome, SessionHistory, State};

/// When a user wanted to end a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOut {
    /// From here on it may be ended.
    pub sent_ns: u64,
    /// From here on it must be; none where no reply said so.
    pub acknowledged_ns: Option<u64>,
}

/// What became of one life.
#[derive(Clone, Debug, Default)]
pub struct SessionOutcome<'a> {
    /// The reply by which its user knew of the session, and what it showed: that of the creation, or where it
    /// was lost, the first one that showed the session all the same.
    pub creation: Option<(&'a Operation, &'a State)>,
    /// When its user wanted to end it, if it did and the request was not refused.
    pub log_out: Option<LogOut>,
    /// The first reply that did not know the session, and should have.
    pub first_unknown: Option<&'a Operation>,
    /// The first reply that showed another session under the same owner.
    pub replacement: Option<&'a Operation>,
    /// The first reply by which the session was gone for good: replaced, or unknown and never known again.
    pub loss: Option<&'a Operation>,
    given_up_ns: Option<u64>,
}

impl<'a> SessionOutcome<'a> {
    /// What became of `life`.
    #[must_use]
    pub fn of(life: &'a SessionHistory) -> Self {
        let mut fate =
            Self { creation: creation(life), log_out: log_out(life), given_up_ns: life.given_up_ns, ..Self::default() };
        let Some((known, created)) = fate.creation else { return fate };
        let mut gone: Option<&Operation> = None;
        for operation in &life.operations {
            if operation.began_ns() < known.times.completed_ns || operation.kind == OperationKind::SettleRead {
                continue;
            }
            let is_own = |state: &State| state.identity.is(&created.identity);
            if !operation.is_through_the_balancer() {
                // A node that still holds the session: it is not gone for good.
                if operation.state().is_some_and(is_own) {
                    gone = None;
                }
                continue;
            }
            if operation.session_was_unknown() {
                if !fate.may_be_logged_out(operation) {
                    fate.first_unknown = fate.first_unknown.or(Some(operation));
                    gone = gone.or(Some(operation));
                }
            } else if operation.outcome == Outcome::Done {
                // An app that does not know the session cannot end it, and says so.
                gone = None;
            } else if let Some(state) = operation.state() {
                // Another one's session does not say that this one is still there.
                if is_own(state) {
                    gone = None;
                }
                if is_replacement(&state.identity, &created.identity) && !fate.may_be_logged_out(operation) {
                    fate.replacement = fate.replacement.or(Some(operation));
                }
            }
        }
        fate.loss = earliest(gone, fate.replacement);
        if fate.loss.is_none() && fate.log_out.is_none() && fate.given_up_ns.is_none() {
            fate.loss = held_by_no_node(life, &created.identity);
            fate.first_unknown = fate.first_unknown.or(fate.loss);
        }
        fate
    }

    /// Whether an operation ended as it should: with a reply, or as unknown because its user had logged out.
    #[must_use]
    pub fn ended_well(&self, operation: &Operation) -> bool {
        operation.is_ok() || (operation.session_was_unknown() && self.may_be_logged_out(operation))
    }

    /// Whether a reply may come from after the log-out.
    fn may_be_logged_out(&self, operation: &Operation) -> bool {
        self.log_out.is_some_and(|log_out| log_out.sent_ns < operation.times.completed_ns)
    }

    /// Which session it is, where that is known.
    #[must_use]
    pub fn identity(&self) -> Option<&'a Identity> {
        self.creation.map(|(_, state)| state.identity.as_ref())
    }

    /// Whether it was unknown for a while, and known again later.
    #[must_use]
    pub fn was_forgotten(&self) -> bool {
        self.first_unknown.is_some() && self.loss.is_none()
    }

    /// The first reply that did not know the session or showed another one, whatever became of it then.
    #[must_use]
    pub fn first_sign_of_loss(&self) -> Option<&'a Operation> {
        earliest(self.first_unknown, self.replacement)
    }

    /// Whether it was there at an instant, as far as its user knew.
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

/// Another session of the same owner, or one that nobody owns: a fresh one.
fn is_replacement(shown: &Identity, created: &Identity) -> bool {
    !shown.is(created) && (shown.owner == created.owner || shown.owner.is_empty())
}

/// The first node that did not hold a session in the end, where every node was asked, all answered, and none held it.
fn held_by_no_node<'a>(life: &'a SessionHistory, created: &Identity) -> Option<&'a Operation> {
    let reads = life.nodes_in_the_end()?;
    let is_own = |read: &Operation| read.state().is_some_and(|state| state.identity.is(created));
    reads.iter().all(|read| !is_own(read)).then(|| reads.iter().find(|read| read.session_was_unknown()))?
}

fn creation(life: &SessionHistory) -> Option<(&Operation, &State)> {
    let created = life.operations.iter().find(|operation| operation.kind == OperationKind::Create)?;
    if let Some(state) = created.state() {
        return Some((created, state));
    }
    if created.failed() {
        return None;
    }
    let owner = life.owner();
    let shown = life.operations.iter().filter_map(|operation| Some((operation, operation.state()?)));
    shown.filter(|(_, state)| state.identity.owner == owner).min_by_key(|(operation, _)| operation.times.completed_ns)
}

fn log_out(life: &SessionHistory) -> Option<LogOut> {
    let is_log_out = |operation: &&Operation| operation.kind == OperationKind::LogOut && !operation.failed();
    let log_outs = || life.operations.iter().filter(is_log_out);
    let sent_ns = log_outs().map(Operation::began_ns).min()?;
    let acknowledged = log_outs().filter(|operation| operation.outcome == Outcome::Done);
    Some(LogOut { sent_ns, acknowledged_ns: acknowledged.map(|operation| operation.times.completed_ns).min() })
}
