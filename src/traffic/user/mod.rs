//! One virtual user: its cookies, its session, and its next action. It knows no sockets, and the date only for cookies.
//!
//! A user logs in, works, and logs out when its session's lifetime is over. Then it reads and writes once with the old
//! cookies, as anybody with a copy of them could, and logs in again as a new visitor, which begins the next session
//! (`life`). If a reply does not know the session, the user tries once more, as people reload a page; after a second
//! such reply it logs in again. Several operations of one session may run at the same time; a log-in or log-out runs
//! alone.

mod classify;
mod cookies;
mod dates;
mod mapped;
mod script;

use std::sync::Arc;

pub use classify::Shown;
pub use cookies::{CookieJar, Site, made_up};
pub use mapped::{Asking, Mapped, StepEnd, StepPlace, Variables};
pub use script::{Contract, Plain, Script};

use super::http::connection::Progress;
use super::http::reply::Reply;
use super::reactor::unix_s;
use crate::history::compact::Answers;
use crate::history::{Answer, ErrorKind, Moved, Operation, OperationId, OperationKind, Outcome, Times};
use crate::load::Span;

/// After this many consecutive replies that do not know the session, the user logs in again.
const UNKNOWN_UNTIL_LOG_IN: u32 = 2;
/// Most former sessions that a user keeps for the final read: the newest ones.
const MAX_LEFT_BEHIND: usize = 32;

/// When an operation was scheduled, and when it was dispatched to its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The instant that the schedule gives.
    pub scheduled_ns: u64,
    /// When the generator dispatched it; any delay is the generator's own lag.
    pub dispatched_ns: u64,
}

/// One session from its user's point of view.
#[derive(Clone, Debug, Default)]
struct Login {
    life: u32,
    cookies: CookieJar,
    operations: u32,
    /// Whether the user assumes that the session exists.
    holds: bool,
    unknown_in_a_row: u32,
    since_ns: u64,
    /// When the user logs out; `None`: never.
    span: Option<Span>,
    end: End,
    shown: Shown,
    /// The node that answered last through the balancer.
    answered_by: Option<Arc<Answer>>,
    /// Of a mapping: the values of its variables.
    variables: Variables,
}

/// How far the user has ended a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    /// The user has not logged out.
    #[default]
    None,
    /// The user has logged out.
    LoggedOut,
    /// After the log-out, the user has read once with the old cookies.
    ReadAgain,
    /// After that read, the user has written once with the old cookies.
    Revisited,
}

/// The next action of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Create a session, with nothing else in flight.
    LogIn,
    /// Do the requested operation; others may be in flight.
    Work,
    /// Log out, with nothing else in flight.
    LogOut,
    /// Send a request with the cookies of an ended session, with nothing else in flight.
    Revisit,
    /// Read a session after the load, with nothing else in flight.
    FinalRead(SessionRef),
}

/// One of a user's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionRef {
    /// The user's current session.
    Current,
    /// A former session of the user, by index; the oldest is 0.
    LeftBehind(usize),
}

/// An operation in flight.
#[derive(Clone, Copy, Debug)]
pub struct InFlightRequest {
    /// The operation's id.
    pub id: OperationId,
    /// The kind of operation.
    pub kind: OperationKind,
    /// When it was scheduled and dispatched.
    pub start: Start,
    role: Next,
    /// Whether its request was sent again over a new connection.
    pub is_resent: bool,
    /// Which of the operation's requests this is.
    pub place: StepPlace,
    /// The requests of the operation before this one; none where this is the first.
    before: Option<Before>,
}

/// What the first requests of an operation took, where it consists of several.
#[derive(Clone, Copy, Debug)]
struct Before {
    connect_ns: Option<u64>,
    sent_ns: Option<u64>,
    sent_bytes: u32,
    received_bytes: u32,
}

/// What the reply to a request led to.
#[derive(Debug)]
pub enum Ended {
    /// The operation has ended.
    Operation(Operation),
    /// The operation goes on with another request, which has been written.
    Next(InFlightRequest),
}

impl InFlightRequest {
    /// The operation so far, recorded as [`ErrorKind::Unfinished`].
    #[must_use]
    pub fn unfinished(&self, progress: &Progress, now_ns: u64) -> Operation {
        let outcome = classify::without_reply(ErrorKind::Unfinished, progress.sent_ns.is_some());
        self.operation(&Progress { completed_ns: now_ns, ..*progress }, outcome)
    }

    /// The progress of the whole operation: from the first request to the last reply.
    fn whole(&self, progress: &Progress) -> Progress {
        let Some(before) = self.before else { return *progress };
        Progress {
            connect_ns: before.connect_ns.or(progress.connect_ns),
            sent_ns: before.sent_ns,
            sent_bytes: before.sent_bytes.saturating_add(progress.sent_bytes),
            received_bytes: before.received_bytes.saturating_add(progress.received_bytes),
            ..*progress
        }
    }

    /// The same operation with its next request.
    fn next(&self, place: StepPlace, progress: &Progress) -> Self {
        let Progress { connect_ns, sent_ns, sent_bytes, received_bytes, .. } = self.whole(progress);
        let before = Some(Before { connect_ns, sent_ns, sent_bytes, received_bytes });
        Self { place, before, is_resent: false, ..*self }
    }

    fn operation(&self, progress: &Progress, outcome: Outcome) -> Operation {
        let progress = self.whole(progress);
        let times = Times {
            scheduled_ns: self.start.scheduled_ns,
            dispatched_ns: self.start.dispatched_ns,
            connect_ns: progress.connect_ns,
            sent_ns: progress.sent_ns,
            first_byte_ns: progress.first_byte_ns,
            completed_ns: progress.completed_ns,
        };
        let moved = Moved { sent_bytes: progress.sent_bytes, received_bytes: progress.received_bytes };
        Operation {
            id: self.id,
            kind: self.kind,
            times,
            moved,
            outcome,
            status: None,
            answer: None,
            is_resent: self.is_resent,
        }
    }
}

impl Login {
    /// Updates the user's view of its session. Only a shown state or an unknown session changes it.
    fn believe(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Ok(_) => (self.holds, self.unknown_in_a_row) = (true, 0),
            Outcome::Fail(ErrorKind::UnknownSession) => {
                self.unknown_in_a_row += 1;
                self.holds &= self.unknown_in_a_row < UNKNOWN_UNTIL_LOG_IN;
            }
            Outcome::Done | Outcome::Fail(_) | Outcome::Indeterminate(_) => {}
        }
    }

    fn is_over(&self, now_ns: u64) -> bool {
        match self.span {
            None => false,
            Some(Span::Operations(after)) => after <= self.operations,
            Some(Span::Time(after_ns)) => after_ns <= now_ns.saturating_sub(self.since_ns),
        }
    }
}

/// One virtual user.
#[derive(Debug)]
pub struct User {
    index: u32,
    login: Login,
    /// Abandoned and logged-out sessions, the newest last.
    left_behind: Vec<Login>,
}

impl User {
    /// A user that has not logged in yet.
    #[must_use]
    pub fn new(index: u32) -> Self {
        Self { index, login: Login::default(), left_behind: Vec::new() }
    }

    /// Its next action.
    #[must_use]
    pub fn next(&self, script: &Script, now_ns: u64) -> Next {
        if let Script::Plain(_) = script {
            return Next::Work;
        }
        match self.login.end {
            End::LoggedOut | End::ReadAgain => Next::Revisit,
            End::Revisited => Next::LogIn,
            End::None if !self.login.holds => Next::LogIn,
            End::None if self.login.is_over(now_ns) => Next::LogOut,
            End::None => Next::Work,
        }
    }

    /// Whether its session has ended and was revisited, so that its next action would be a log-in.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.login.end == End::Revisited
    }

    /// Begins an operation: assigns its number and writes its request into `request`.
    pub fn begin(
        &mut self,
        next: Next,
        (wanted, start): (OperationKind, Start),
        script: &Script,
        request: &mut Vec<u8>,
    ) -> InFlightRequest {
        let kind = match next {
            Next::LogIn => {
                self.leave();
                self.login.since_ns = start.dispatched_ns;
                self.login.span = script.span(self.index, self.login.life);
                self.login.variables = script.variables(self.index);
                OperationKind::Create
            }
            Next::LogOut => OperationKind::LogOut,
            Next::Revisit if self.login.end == End::ReadAgain => OperationKind::Write,
            Next::Revisit => OperationKind::Read,
            Next::Work | Next::FinalRead(_) => wanted,
        };
        let index = self.index;
        let login = self.login_of(next);
        let id = OperationId { session: index, life: login.life, number: login.operations };
        login.operations += 1;
        script.write_request(&login.variables, Asking { kind, id, cookies: &login.cookies, request });
        InFlightRequest { id, kind, start, role: next, is_resent: false, place: StepPlace::default(), before: None }
    }

    /// Leaves the session and becomes a new visitor without cookies: a log-in with the old cookies would end the old
    /// session, and the final read could not show any more whether it was really gone.
    fn leave(&mut self) {
        let next = Login { life: self.login.life + 1, ..Login::default() };
        let previous = std::mem::replace(&mut self.login, next);
        if previous.unknown_in_a_row > 0 || previous.end == End::Revisited {
            if self.left_behind.len() == MAX_LEFT_BEHIND {
                self.left_behind.remove(0);
            }
            self.left_behind.push(previous);
        }
    }

    /// The session that an action uses.
    fn login_of(&mut self, next: Next) -> &mut Login {
        match next {
            Next::FinalRead(SessionRef::LeftBehind(index)) if index < self.left_behind.len() => {
                &mut self.left_behind[index]
            }
            _ => &mut self.login,
        }
    }

    /// Takes the reply to a request: sets cookies, and ends the operation or writes its next request into `request`.
    pub fn answer(
        &mut self,
        in_flight: &InFlightRequest,
        progress: &Progress,
        reply: &Reply<'_>,
        (script, answers): (&Script, &mut Answers),
        request: &mut Vec<u8>,
    ) -> Ended {
        let InFlightRequest { kind, id, place, .. } = *in_flight;
        let login = self.login_of(in_flight.role);
        // A read past the balancer changes neither the cookies nor the user's view of its session. From the log-out on,
        // replies do not change the cookies: the revisits test a copy of the old ones.
        let keeps_cookies = kind != OperationKind::NodeRead && kind != OperationKind::LogOut && login.end == End::None;
        let (outcome, answer) = match script {
            Script::Mapped(mapped) => {
                if keeps_cookies && !reply.set_cookies.is_empty() {
                    let path = mapped.path(kind, place, id, &login.variables);
                    reply.set_cookies.iter().for_each(|cookie| login.cookies.set(cookie, &path, script.site(), unix_s));
                }
                let Login { variables, shown, cookies, .. } = login;
                let mut asking = Asking { kind, id, cookies, request };
                match mapped.end(place, reply, (variables, shown), answers, &mut asking) {
                    StepEnd::Next(place) => return Ended::Next(in_flight.next(place, progress)),
                    StepEnd::Operation(outcome, answer) => (outcome, answer),
                }
            }
            Script::Contract(_) | Script::Plain(_) => {
                if keeps_cookies {
                    let path = script.path(kind);
                    reply.set_cookies.iter().for_each(|cookie| login.cookies.set(cookie, path, script.site(), unix_s));
                }
                script.classify(kind, reply, &mut login.shown, answers)
            }
        };
        let ended = self.end(in_flight, progress, outcome, answer);
        Ended::Operation(Operation { status: Some(reply.status), ..ended })
    }

    /// Ends an operation that has no complete reply.
    pub fn fail(&mut self, in_flight: &InFlightRequest, progress: &Progress, error: ErrorKind) -> Operation {
        let may_be_applied = progress.sent_ns.is_some() || in_flight.place.may_have_changed;
        self.end(in_flight, progress, classify::without_reply(error, may_be_applied), None)
    }

    /// Updates the user's view of its session and returns the operation with its outcome.
    fn end(
        &mut self,
        in_flight: &InFlightRequest,
        progress: &Progress,
        outcome: Outcome,
        answer: Option<Arc<Answer>>,
    ) -> Operation {
        let login = self.login_of(in_flight.role);
        if in_flight.kind != OperationKind::NodeRead {
            login.believe(&outcome);
            if answer.is_some() {
                login.answered_by.clone_from(&answer);
            }
        }
        match in_flight.role {
            Next::LogOut if matches!(outcome, Outcome::Done | Outcome::Indeterminate(_)) => login.end = End::LoggedOut,
            Next::Revisit if login.end == End::LoggedOut => login.end = End::ReadAgain,
            Next::Revisit => login.end = End::Revisited,
            _ => {}
        }
        Operation { answer, ..in_flight.operation(progress, outcome) }
    }

    /// The sessions for the final read: the current one and the former ones.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionRef> {
        let left_behind = (0..self.left_behind.len()).map(SessionRef::LeftBehind);
        let has_one = self.login.holds || self.login.end != End::None || self.login.unknown_in_a_row > 0;
        has_one.then_some(SessionRef::Current).into_iter().chain(left_behind).collect()
    }

    /// The node that answered a session's last request through the balancer, if known.
    #[must_use]
    pub fn answered_by(&self, session: SessionRef) -> Option<&str> {
        let login = match session {
            SessionRef::Current => &self.login,
            SessionRef::LeftBehind(index) => self.left_behind.get(index)?,
        };
        login.answered_by.as_ref().map(|answer| answer.node.as_str())
    }

    /// Whether to ask every node for a session: for the current one, and for the newest former one if its user ended
    /// it.
    #[must_use]
    pub fn is_worth_comparing(&self, session: SessionRef) -> bool {
        match session {
            SessionRef::Current => true,
            SessionRef::LeftBehind(index) => {
                index + 1 == self.left_behind.len()
                    && self.left_behind.get(index).is_some_and(|login| login.end == End::Revisited)
            }
        }
    }
}
