//! The outcome of a session: known from when, logged out, unknown for a while, or lost for good. Both the checker and
//! the measurements need it, so it is found in one pass.

use super::{Expiry, Identity, Operation, OperationKind, Outcome, SessionHistory, State};

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
    /// The first reply that showed the session as it was before its user had logged in.
    pub log_in_lost: Option<&'a Operation>,
    /// The first reply that shows that the session is lost for good: replaced, or unknown or without its user, and
    /// never known again.
    pub loss: Option<&'a Operation>,
    /// The first read after a pause that did not know the session although its time was not over.
    pub expired_early: Option<&'a Operation>,
    /// Whether `log_out` is no log-out: nobody had used the session for so long that it may have ended by itself, or its id may
    /// have changed without its user's knowledge.
    pub is_no_log_out: bool,
    /// The requests that gave the session another id after its log-in, or may have.
    pub id_changes: Vec<&'a Operation>,
    given_up_ns: Option<u64>,
}

impl<'a> SessionOutcome<'a> {
    /// Determines the outcome of a session.
    #[must_use]
    pub fn of(history: &'a SessionHistory) -> Self {
        let mut outcome = Self {
            creation: creation(history),
            log_out: log_out(history),
            id_changes: id_changes(history),
            given_up_ns: history.given_up_ns,
            ..Self::default()
        };
        let Some((known, created)) = outcome.creation else { return outcome };
        let from_ns = expired(history, known, &created.identity).into_iter().chain(outcome.unsure_of_its_id()).min();
        if let Some(sent_ns) = from_ns.filter(|from_ns| outcome.log_out.is_none_or(|out| *from_ns < out.sent_ns)) {
            (outcome.log_out, outcome.is_no_log_out) = (Some(LogOut { sent_ns, acknowledged_ns: None }), true);
        }
        let mut gone: Option<&Operation> = None;
        let mut nobodys: Option<&Operation> = None;
        for operation in &history.operations {
            let is_evidence = operation.kind.has_its_cookies() && operation.kind != OperationKind::SettleRead;
            if operation.began_ns() < known.times.completed_ns || !is_evidence {
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
                if outcome.may_be_logged_out(operation) || outcome.has_the_old_id(operation) {
                    continue;
                }
                // One that was unknown before the pause has not ended in it.
                if operation.kind == OperationKind::IdleRead && gone.is_none() {
                    outcome.expired_early = outcome.expired_early.or(Some(operation));
                } else {
                    outcome.first_unknown = outcome.first_unknown.or(Some(operation));
                }
                gone = gone.or(Some(operation));
            } else if operation.outcome == Outcome::Done {
                // The app ended the session, so it still knew it.
                gone = None;
            } else if let Some(state) = operation.state() {
                // A reply with another session does not show that this one still exists.
                if is_own(state) {
                    (gone, nobodys) = (None, None);
                }
                if outcome.may_be_logged_out(operation) {
                    continue;
                }
                if is_without_its_user(&state.identity, &created.identity) {
                    outcome.log_in_lost = outcome.log_in_lost.or(Some(operation));
                    nobodys = nobodys.or(Some(operation));
                } else if is_replacement(&state.identity, &created.identity) {
                    outcome.replacement = outcome.replacement.or(Some(operation));
                }
            }
        }
        outcome.loss = earliest(earliest(gone, outcome.replacement), nobodys);
        if outcome.loss.is_none() && outcome.log_out.is_none() && outcome.given_up_ns.is_none() {
            outcome.loss = held_by_no_node(history, &created.identity);
            outcome.first_unknown = outcome.first_unknown.or(outcome.loss);
        }
        outcome
    }

    /// Whether an operation ended as expected: with success, or as unknown because its user had logged out or had other
    /// cookies than the session's.
    #[must_use]
    pub fn ended_well(&self, operation: &Operation) -> bool {
        let may_be_unknown =
            || self.may_be_logged_out(operation) || self.has_the_old_id(operation) || !operation.kind.has_its_cookies();
        operation.is_ok() || (operation.session_was_unknown() && may_be_unknown())
    }

    /// Whether a reply may come from after the log-out.
    fn may_be_logged_out(&self, operation: &Operation) -> bool {
        self.log_out.is_some_and(|log_out| log_out.sent_ns < operation.times.completed_ns)
    }

    /// Whether a request was in flight while the session's id changed, so that it may have been unknown by then.
    #[must_use]
    pub fn has_the_old_id(&self, operation: &Operation) -> bool {
        let meets = |change: &&Operation| {
            operation.began_ns() < change.times.completed_ns && operation.times.completed_ns > change.began_ns()
        };
        operation.kind != OperationKind::NewId && self.id_changes.iter().any(meets)
    }

    /// From when on nobody knows by which id the session is there: a change of it was sent and not answered.
    fn unsure_of_its_id(&self) -> Option<u64> {
        let unanswered = self.id_changes.iter().filter(|change| matches!(change.outcome, Outcome::Indeterminate(_)));
        unanswered.map(|change| change.began_ns()).min()
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

/// From when on a session may have ended by itself: no request had used it for as long as that takes, and the next one did not
/// know it. `None` if no reply says that it has ended.
fn expired(history: &SessionHistory, known: &Operation, created: &Identity) -> Option<u64> {
    let Expiry { after_ns, tolerance_ns } = history.expiry?;
    let mut last_use_ns = known.began_ns();
    for operation in history.operations.iter().filter(|operation| operation.kind.has_its_cookies()) {
        let ends_ns = last_use_ns.saturating_add(after_ns).saturating_sub(tolerance_ns);
        let is_own = operation.state().map_or(operation.outcome == Outcome::Done, |state| state.identity.is(created));
        if is_own {
            last_use_ns = last_use_ns.max(operation.began_ns());
        } else if operation.session_was_unknown()
            && operation.began_ns() >= known.times.completed_ns
            && operation.times.completed_ns > ends_ns
        {
            return Some(ends_ns);
        }
    }
    None
}

fn id_changes(history: &SessionHistory) -> Vec<&Operation> {
    let changes = history.operations.iter().filter(|operation| operation.kind == OperationKind::NewId);
    changes.filter(|change| !change.failed()).collect()
}

/// The one of two operations that was answered first.
pub(crate) fn earliest<'a>(one: Option<&'a Operation>, other: Option<&'a Operation>) -> Option<&'a Operation> {
    one.into_iter().chain(other).min_by_key(|operation| operation.times.completed_ns)
}

/// Whether `shown` is the session without its user.
fn is_without_its_user(shown: &Identity, created: &Identity) -> bool {
    shown.owner.is_empty() && !created.owner.is_empty() && !created.epoch.is_empty() && shown.epoch == created.epoch
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
    let created = history.operations.iter().find(|operation| operation.kind.begins_the_session())?;
    if let Some(state) = created.state() {
        return Some((created, state));
    }
    if created.failed() {
        return None;
    }
    let owner = history.owner();
    let own = history.operations.iter().filter(|operation| operation.kind.has_its_cookies());
    let shown = own.filter_map(|operation| Some((operation, operation.state()?)));
    shown.filter(|(_, state)| state.identity.owner == owner).min_by_key(|(operation, _)| operation.times.completed_ns)
}

fn log_out(history: &SessionHistory) -> Option<LogOut> {
    let is_log_out = |operation: &&Operation| operation.kind == OperationKind::LogOut && !operation.failed();
    let log_outs = || history.operations.iter().filter(is_log_out);
    let sent_ns = log_outs().map(Operation::began_ns).min()?;
    let acknowledged = log_outs().filter(|operation| operation.outcome == Outcome::Done);
    Some(LogOut { sent_ns, acknowledged_ns: acknowledged.map(|operation| operation.times.completed_ns).min() })
}
