//! One virtual user: its cookies, its session, and what it does next. It knows no sockets and no clock.
//!
//! A user logs in, works, logs out when its session's life is over, reads and writes once more with the cookies of before,
//! as whoever has a copy of them could, and logs in again as a new visitor: that begins the next *life*. A user
//! whose session turns out to be unknown tries once more, as people reload a page; if it is unknown again,
//! the user logs in too. Several operations of one session may go on at once; logging in and out is done alone.

mod classify;
mod cookies;
mod dates;
mod script;

use std::sync::Arc;

pub use classify::Shown;
pub use cookies::{CookieJar, Site};
pub use script::{Contract, Plain, Script};

use super::http::connection::Progress;
use super::http::reply::Reply;
use super::reactor::unix_s;
use crate::history::compact::Answers;
use crate::history::{Answer, ErrorKind, Moved, Operation, OperationId, OperationKind, Outcome, Times};
use crate::load::Span;

/// After so many replies in a row that do not know the session, the user logs in again.
const UNKNOWN_UNTIL_LOG_IN: u32 = 2;
/// Sessions that a user has left behind and that are looked at once more in the end: the newest ones.
const MAX_LEFT_BEHIND: usize = 32;

/// When an operation was to start, and when it was handed to its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// By the schedule.
    pub scheduled_ns: u64,
    /// Later only by the generator's fault.
    pub dispatched_ns: u64,
}

/// One session as its user knows it: a life of that user.
#[derive(Clone, Debug, Default)]
struct Login {
    life: u32,
    cookies: CookieJar,
    operations: u32,
    /// Whether the user believes to have a session.
    holds: bool,
    unknown_in_a_row: u32,
    since_ns: u64,
    /// When it is to be logged out; never without.
    span: Option<Span>,
    end: End,
    shown: Shown,
    /// Who answered last, through the balancer.
    answered_by: Option<Arc<Answer>>,
}

/// How far a session has been ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    /// Not at all.
    #[default]
    None,
    /// Its user has logged out.
    LoggedOut,
    /// And has come back once, to read.
    ReadAgain,
    /// And once more, to write.
    Revisited,
}

/// What a user does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Make a session, alone.
    LogIn,
    /// What was asked for, beside others.
    Work,
    /// End the session, alone.
    LogOut,
    /// Ask with the cookies of a session that was ended, alone.
    Revisit,
    /// Read a session once more, alone.
    FinalRead(SessionRef),
}

/// Which of a user's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionRef {
    /// The one that the user has.
    Current,
    /// One that it has left behind.
    LeftBehind(usize),
}

/// An operation under way.
#[derive(Clone, Copy, Debug)]
pub struct InFlightRequest {
    /// Which one.
    pub id: OperationId,
    /// What is asked for.
    pub kind: OperationKind,
    /// When it was to begin.
    pub start: Start,
    role: Next,
    /// Whether its request was sent again, over a new connection.
    pub is_resent: bool,
}

impl InFlightRequest {
    /// As an operation whose end nobody has seen.
    #[must_use]
    pub fn unfinished(&self, progress: &Progress, now_ns: u64) -> Operation {
        let outcome = classify::without_reply(ErrorKind::Unfinished, progress.sent_ns.is_some());
        self.operation(&Progress { completed_ns: now_ns, ..*progress }, outcome)
    }

    fn operation(&self, progress: &Progress, outcome: Outcome) -> Operation {
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
    /// What the user makes of a reply. Without one it goes on as before.
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
    /// Sessions that were given up or logged out, the newest last.
    left_behind: Vec<Login>,
}

impl User {
    /// A user that has not logged in yet.
    #[must_use]
    pub fn new(index: u32) -> Self {
        Self { index, login: Login::default(), left_behind: Vec::new() }
    }

    /// What it does when it is asked to do something.
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

    /// Whether its session has come to its end, after which it would log in again.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.login.end == End::Revisited
    }

    /// Begins an operation: takes its number and writes its request.
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
        script.write_request(kind, id, &login.cookies, request);
        InFlightRequest { id, kind, start, role: next, is_resent: false }
    }

    /// Puts the session aside and becomes a new visitor, without the old cookies: a log-in with them would end the
    /// old session, and whether it was really gone could not be seen any more.
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

    /// The session that something is done with.
    fn login_of(&mut self, next: Next) -> &mut Login {
        match next {
            Next::FinalRead(SessionRef::LeftBehind(index)) if index < self.left_behind.len() => {
                &mut self.left_behind[index]
            }
            _ => &mut self.login,
        }
    }

    /// What came of an operation, which changes what its user believes.
    pub fn end(
        &mut self,
        in_flight: &InFlightRequest,
        progress: &Progress,
        result: Result<&Reply<'_>, ErrorKind>,
        script: &Script,
        answers: &mut Answers,
    ) -> Operation {
        let login = self.login_of(in_flight.role);
        // A plain request, and a read past the balancer, leave no trace in what the user believes.
        let is_own = in_flight.kind != OperationKind::NodeRead;
        let (outcome, status, answer) = match result {
            Ok(reply) => {
                // From the log-out on the cookies stay as they are, whatever replies say: what must not answer any more is
                // a copy of them.
                if is_own && in_flight.kind != OperationKind::LogOut && login.end == End::None {
                    let path = script.path(in_flight.kind);
                    let set = |cookie: &&[u8]| login.cookies.set(cookie, path, script.site(), unix_s);
                    reply.set_cookies.iter().for_each(set);
                }
                let (outcome, answer) = script.classify(in_flight.kind, reply, &mut login.shown, answers);
                (outcome, Some(reply.status), answer)
            }
            Err(error) => (classify::without_reply(error, progress.sent_ns.is_some()), None, None),
        };
        if is_own {
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
        Operation { status, answer, ..in_flight.operation(progress, outcome) }
    }

    /// The sessions to read in the end: its own, and those that it has left behind.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionRef> {
        let left_behind = (0..self.left_behind.len()).map(SessionRef::LeftBehind);
        let has_one = self.login.holds || self.login.end != End::None || self.login.unknown_in_a_row > 0;
        has_one.then_some(SessionRef::Current).into_iter().chain(left_behind).collect()
    }

    /// The node that answered a session's last request through the balancer, if that is known.
    #[must_use]
    pub fn answered_by(&self, whose: SessionRef) -> Option<&str> {
        let login = match whose {
            SessionRef::Current => &self.login,
            SessionRef::LeftBehind(index) => self.left_behind.get(index)?,
        };
        login.answered_by.as_ref().map(|answer| answer.node.as_str())
    }

    /// Whether a session should still be there, or was there until its user ended it: worth asking every node.
    #[must_use]
    pub fn is_worth_comparing(&self, whose: SessionRef) -> bool {
        match whose {
            SessionRef::Current => true,
            SessionRef::LeftBehind(index) => {
                index + 1 == self.left_behind.len()
                    && self.left_behind.get(index).is_some_and(|login| login.end == End::Revisited)
            }
        }
    }
}
