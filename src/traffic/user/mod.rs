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
mod login;
mod mapped;
mod script;
mod transitions;

use std::sync::Arc;

pub use classify::Shown;
use login::{Login, Stage};

pub use cookies::{CookieJar, Site, made_up};
pub use mapped::{Asking, Mapped, StepEnd, StepPlace, Variables};
pub use script::{Contract, Plain, Script};
pub use transitions::Overtaking;

use transitions::{Aside, held, pauses};

use super::http::connection::Progress;
use super::http::reply::Reply;
use crate::history::compact::Answers;
use crate::history::{Answer, ErrorKind, Moved, Operation, OperationId, OperationKind, Outcome, Times};
use crate::load::Transitions;

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

/// The next action of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Create a visitor's session, with nothing else in flight.
    Visit,
    /// Send a request that will be overtaken, with nothing else in flight.
    Hold(Overtaking),
    /// Nothing before the instant at which the user overtakes its request.
    Wait,
    /// Begin a pause, with nothing in flight.
    Pause,
    /// Go on with a pause.
    Rest,
    /// Read the session after a pause, with nothing else in flight.
    IdleRead,
    /// Read with other cookies than the session's, with nothing else in flight.
    ReadAside(OperationKind),
    /// Create a session, or make the visitor's the user's own: with nothing in flight but the request that it overtakes.
    LogIn,
    /// Give the session another id, with nothing in flight but the request that this overtakes.
    NewId,
    /// Do the requested operation; others may be in flight.
    Work,
    /// Log out, with nothing in flight but the request that it overtakes.
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
        let transitions = script.transitions();
        let begin = if transitions.anonymous_first { Next::Visit } else { Next::LogIn };
        let Login { stage, holds, cookies, .. } = &self.login;
        let read = || self.login.aside.as_ref().and_then(|aside| aside.read(cookies, now_ns)).map(Next::ReadAside);
        match stage {
            Stage::Visiting => read().unwrap_or(Next::Hold(Overtaking::LogIn)),
            Stage::Busy(_) if now_ns < self.login.acts_ns => Next::Wait,
            Stage::Resting if now_ns < self.login.acts_ns => Next::Rest,
            Stage::Resting => Next::IdleRead,
            Stage::Busy(Overtaking::LogIn) => Next::LogIn,
            Stage::Busy(Overtaking::NewId) => Next::NewId,
            Stage::Busy(Overtaking::LogOut) => Next::LogOut,
            Stage::LoggedOut => Next::Revisit,
            Stage::ReadAgain => {
                let differs = self.login.aside.as_ref().is_some_and(|aside| aside.is_left_in_the_browser(cookies));
                if differs { Next::ReadAside(OperationKind::BrowserRead) } else { Next::Revisit }
            }
            Stage::Revisited => begin,
            Stage::None if !holds => begin,
            Stage::None => read().unwrap_or_else(|| self.next_at_work(transitions, now_ns)),
        }
    }

    /// What a user does who is logged in.
    fn next_at_work(&self, transitions: Transitions, now_ns: u64) -> Next {
        let login = &self.login;
        match login.is_over(now_ns) {
            true if transitions.pauses.is_some() && pauses((self.index, login.life)) => Next::Pause,
            true if transitions.log_out_while_busy => Next::Hold(Overtaking::LogOut),
            true => Next::LogOut,
            false if transitions.rotate_ids && !login.has_new_id && login.is_half_over(now_ns) => {
                Next::Hold(Overtaking::NewId)
            }
            false => Next::Work,
        }
    }

    /// Whether its session has ended and was revisited, so that its next action would be a log-in.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.login.stage == Stage::Revisited
    }

    /// Lets it overtake its next request at an instant.
    pub const fn overtake_at(&mut self, at_ns: u64) {
        self.login.acts_ns = at_ns;
    }

    /// Whether it pauses.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        self.login.stage == Stage::Resting
    }

    /// Begins a pause at `now_ns`, or goes on with one. Returns when it is over; `None` where users do not pause.
    pub fn pause(&mut self, script: &Script, now_ns: u64) -> Option<u64> {
        let pauses = script.transitions().pauses?;
        let login = &mut self.login;
        if login.stage != Stage::Resting {
            (login.stage, login.pauses_left) = (Stage::Resting, pauses.short_count + 1);
            login.acts_ns = 0;
        }
        if login.acts_ns <= now_ns {
            login.pauses_left = login.pauses_left.saturating_sub(1);
            let lasts_ns = if login.pauses_left == 0 { pauses.long_ns } else { pauses.short_ns };
            login.acts_ns = now_ns.saturating_add(lasts_ns);
        }
        Some(login.acts_ns)
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
            Next::LogIn if self.login.stage == Stage::Busy(Overtaking::LogIn) => {
                self.login.overtake();
                OperationKind::LogIn
            }
            Next::LogIn | Next::Visit => {
                self.leave(script.transitions());
                self.login.since_ns = start.dispatched_ns;
                self.login.old_id_grace_ns = script.transitions().old_id_grace_ns;
                self.login.span = script.span(self.index, self.login.life);
                self.login.variables = script.variables(self.index);
                if next == Next::Visit { OperationKind::Visit } else { OperationKind::Create }
            }
            Next::Hold(overtaking) => {
                self.login.stage = Stage::Busy(overtaking);
                held(overtaking, (self.index, self.login.life))
            }
            Next::NewId => {
                self.login.overtake();
                OperationKind::NewId
            }
            Next::ReadAside(kind) => kind,
            Next::IdleRead => OperationKind::IdleRead,
            Next::LogOut => {
                if self.login.stage == Stage::Busy(Overtaking::LogOut) {
                    self.login.aside_mut().browser = Some(self.login.cookies.clone());
                }
                OperationKind::LogOut
            }
            Next::Revisit if self.login.stage == Stage::ReadAgain => OperationKind::Write,
            Next::Revisit => OperationKind::Read,
            Next::Work | Next::FinalRead(_) | Next::Wait | Next::Pause | Next::Rest => wanted,
        };
        let index = self.index;
        let login = self.login_of(next);
        let id = OperationId { session: index, life: login.life, number: login.operations };
        login.operations += 1;
        let aside = login.aside.as_ref().and_then(|aside| aside.cookies(kind));
        let cookies = aside.unwrap_or(&login.cookies);
        script.write_request(&login.variables, Asking { kind, id, cookies, request });
        InFlightRequest { id, kind, start, role: next, is_resent: false, place: StepPlace::default(), before: None }
    }

    /// Leaves the session and becomes a new visitor without cookies: a log-in with the old cookies would end the old
    /// session, and the final read could not show any more whether it was really gone.
    fn leave(&mut self, transitions: Transitions) {
        let mut next = Login { life: self.login.life + 1, ..Login::default() };
        if let Some(made_up) = Aside::made_up(transitions, &self.login.cookies, (self.index, next.life)) {
            next.cookies.clone_from(&made_up);
            next.aside_mut().made_up = Some(made_up);
        }
        let mut previous = std::mem::replace(&mut self.login, next);
        previous.aside = None;
        if previous.unknown_in_a_row > 0 || previous.stage == Stage::Revisited {
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
        let keeps_cookies = login.keeps_cookies_of(kind);
        let (outcome, answer) = match script {
            Script::Mapped(mapped) => {
                if !reply.set_cookies.is_empty() {
                    let path = mapped.path(kind, place, id, &login.variables);
                    login.set_cookies(kind, keeps_cookies, &reply.set_cookies, (&path, script.site()));
                }
                let Login { variables, shown, cookies, .. } = login;
                let mut asking = Asking { kind, id, cookies, request };
                match mapped.end(place, reply, (variables, shown), answers, &mut asking) {
                    StepEnd::Next(place) => return Ended::Next(in_flight.next(place, progress)),
                    StepEnd::Operation(outcome, answer) => (outcome, answer),
                }
            }
            Script::Contract(_) | Script::Plain(_) => {
                let (path, site) = (script.path(kind), script.site());
                let classified = script.classify(kind, reply, &mut login.shown, answers);
                // A session that lives in its cookie is the newest one there: whoever copies that has a late reply's, too.
                let is_newest = kind == OperationKind::HeldWrite && matches!(classified.0, Outcome::Ok(_));
                login.set_cookies(kind, keeps_cookies || is_newest, &reply.set_cookies, (path, site));
                classified
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
        if in_flight.kind != OperationKind::NodeRead && in_flight.kind.has_its_cookies() {
            login.believe(&outcome);
            if answer.is_some() {
                login.answered_by.clone_from(&answer);
            }
        }
        match in_flight.role {
            Next::LogOut if matches!(outcome, Outcome::Done | Outcome::Indeterminate(_)) => {
                login.stage = Stage::LoggedOut;
            }
            Next::LogIn if matches!(outcome, Outcome::Ok(_)) => {
                login.stage = Stage::None;
                login.end_change_of_id(true, progress.completed_ns);
            }
            Next::NewId => {
                (login.stage, login.has_new_id) = (Stage::None, true);
                login.end_change_of_id(matches!(outcome, Outcome::Ok(_)), progress.completed_ns);
            }
            // The user stays, or begins anew.
            Next::LogIn | Next::LogOut => login.stage = Stage::None,
            Next::Visit if matches!(outcome, Outcome::Ok(_)) => login.stage = Stage::Visiting,
            Next::Revisit if login.stage == Stage::LoggedOut => login.stage = Stage::ReadAgain,
            Next::Revisit => login.stage = Stage::Revisited,
            Next::ReadAside(kind) => login.aside_mut().forget(kind),
            // After the last pause, or where the session is gone, it is over.
            Next::IdleRead => {
                let is_over = login.pauses_left == 0 || matches!(outcome, Outcome::Fail(ErrorKind::UnknownSession));
                login.stage = if is_over { Stage::Revisited } else { Stage::Resting };
            }
            _ => {}
        }
        Operation { answer, ..in_flight.operation(progress, outcome) }
    }

    /// The sessions for the final read: the current one and the former ones.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionRef> {
        let left_behind = (0..self.left_behind.len()).map(SessionRef::LeftBehind);
        let has_one = self.login.holds || self.login.is_ended() || self.login.unknown_in_a_row > 0;
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
                    && self.left_behind.get(index).is_some_and(|login| login.stage == Stage::Revisited)
            }
        }
    }
}
