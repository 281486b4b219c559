//! One virtual user: its cookies, its session, and what it does next.
//!
//! A user logs in, works, logs out after so many operations, comes back once with the cookies of before, as
//! whoever has a copy of them could, and logs in again as a new visitor: that begins the next *life*. A user
//! whose session turns out to be unknown tries once more, as people reload a page; if it is unknown again,
//! the user logs in too. Several operations of one session may go on at once, each on a *lane*; logging in and
//! out is done alone.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::RwLock;

use super::classify;
use super::connection::{Broken, Connection, Exchange};
use super::cookies::CookieJar;
use crate::history::compact::Answers;
use crate::history::{ErrorKind, Operation, OperationId, OperationKind, Outcome, Times};

/// After so many replies in a row that do not know the session, the user logs in again.
const UNKNOWN_UNTIL_LOG_IN: u32 = 2;
/// Sessions that a user has left behind and that are looked at once more in the end: the newest ones.
const MOST_LEFT_BEHIND: usize = 32;

/// What all users of a workload share.
pub struct Settings {
    /// Where requests are sent.
    pub entrance: SocketAddrV4,
    /// What each session holds beside its state.
    pub payload_bytes: u32,
    /// After so many operations a session is logged out; never without.
    pub log_out_after: Option<u32>,
    /// When an operation is given up.
    pub timeout: Duration,
    /// The start of the load.
    pub zero: Instant,
    /// Who has answered so far.
    pub answers: RefCell<Answers>,
}

impl Settings {
    /// Nanoseconds from the start of the load; 0 before it.
    pub fn ns(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.zero).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// When an operation was to start, and when it was handed to its user.
#[derive(Clone, Copy, Debug)]
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
    end: End,
}

/// How far a session has been ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    /// Not at all.
    #[default]
    None,
    /// Its user has logged out.
    LoggedOut,
    /// And has come back once.
    Revisited,
}

/// What a user does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    LogIn,
    Work,
    LogOut,
    Revisit,
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
            Outcome::LoggedOut | Outcome::Fail(_) | Outcome::Indeterminate(_) => {}
        }
    }
}

/// What an operation under way is, for a trial that ends before it does.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    id: OperationId,
    kind: OperationKind,
    start: Start,
    began_ns: u64,
}

/// One of the connections over which a user's operations go at the same time.
#[derive(Default)]
pub struct Lane {
    connection: RefCell<Option<Connection>>,
    under_way: Cell<Option<UnderWay>>,
}

impl Lane {
    /// The operation that is under way, as one whose end nobody will see.
    pub fn unfinished(&self, now_ns: u64) -> Option<Operation> {
        let UnderWay { id, kind, start, began_ns } = self.under_way.get()?;
        let times = Times {
            scheduled_ns: start.scheduled_ns,
            dispatched_ns: start.dispatched_ns,
            sent_ns: Some(began_ns),
            first_byte_ns: None,
            completed_ns: now_ns,
        };
        let outcome = Outcome::Indeterminate(ErrorKind::Unfinished);
        Some(Operation { id, kind, times, outcome, status: None, answer: None })
    }
}

/// One virtual user.
pub struct User {
    settings: Rc<Settings>,
    index: u32,
    source: Option<Ipv4Addr>,
    login: RefCell<Login>,
    /// Sessions that were given up or logged out, the newest last.
    left_behind: RefCell<VecDeque<Login>>,
    /// Held by all who work, and alone by who logs in or out.
    gate: RwLock<()>,
}

/// One session to look at in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The one that the user has.
    Current,
    /// One that it has left behind.
    LeftBehind(usize),
}

impl User {
    pub fn new(settings: Rc<Settings>, index: u32, source: Option<Ipv4Addr>) -> Self {
        Self {
            settings,
            index,
            source,
            login: RefCell::default(),
            left_behind: RefCell::default(),
            gate: RwLock::default(),
        }
    }

    /// Performs one operation: what was asked for, or what must be done before it.
    pub async fn perform(&self, lane: &Lane, wanted: OperationKind, start: Start) -> Operation {
        loop {
            let next = self.next();
            if next == Next::Work {
                let _together = self.gate.read().await;
                if self.next() == Next::Work {
                    return self.ask(lane, wanted, start).await;
                }
            } else {
                let _alone = self.gate.write().await;
                match self.next() {
                    Next::Work => {}
                    Next::LogIn => return self.log_in(lane, start).await,
                    Next::LogOut => return self.log_out(lane, start).await,
                    Next::Revisit => return self.revisit(lane, start).await,
                }
            }
        }
    }

    fn next(&self) -> Next {
        let login = self.login.borrow();
        match login.end {
            End::LoggedOut => Next::Revisit,
            End::Revisited => Next::LogIn,
            End::None if !login.holds => Next::LogIn,
            End::None if self.settings.log_out_after.is_some_and(|after| after <= login.operations) => Next::LogOut,
            End::None => Next::Work,
        }
    }

    async fn log_in(&self, lane: &Lane, start: Start) -> Operation {
        // As a new visitor, without the old cookies: a log-in with them would end the old session, and
        // whether it was really gone could not be seen any more.
        let next = Login { life: self.login.borrow().life + 1, ..Login::default() };
        let previous = self.login.replace(next);
        if previous.unknown_in_a_row > 0 || previous.end == End::Revisited {
            let mut left_behind = self.left_behind.borrow_mut();
            if left_behind.len() == MOST_LEFT_BEHIND {
                left_behind.pop_front();
            }
            left_behind.push_back(previous);
        }
        lane.connection.take();
        self.ask(lane, OperationKind::Create, start).await
    }

    /// The cookies stay as they are, whatever the reply says: what must not answer any more is a copy of them.
    async fn log_out(&self, lane: &Lane, start: Start) -> Operation {
        let kept = self.login.borrow().cookies.clone();
        let operation = self.ask(lane, OperationKind::LogOut, start).await;
        let mut login = self.login.borrow_mut();
        login.cookies = kept;
        if matches!(operation.outcome, Outcome::LoggedOut | Outcome::Indeterminate(_)) {
            login.end = End::LoggedOut;
        }
        operation
    }

    async fn revisit(&self, lane: &Lane, start: Start) -> Operation {
        let operation = self.ask(lane, OperationKind::Read, start).await;
        self.login.borrow_mut().end = End::Revisited;
        operation
    }

    /// What there is to look at in the end: its session, and those that it has left behind.
    pub fn sessions(&self) -> Vec<Whose> {
        let left_behind = (0..self.left_behind.borrow().len()).map(Whose::LeftBehind);
        let login = self.login.borrow();
        let has_one = login.holds || login.end != End::None || login.unknown_in_a_row > 0;
        has_one.then_some(Whose::Current).into_iter().chain(left_behind).collect()
    }

    /// Whether a session should still be there, or was there until its user ended it: worth asking every node.
    pub fn is_worth_comparing(&self, whose: Whose) -> bool {
        match whose {
            Whose::Current => true,
            Whose::LeftBehind(index) => {
                let left_behind = self.left_behind.borrow();
                index + 1 == left_behind.len()
                    && left_behind.get(index).is_some_and(|login| login.end == End::Revisited)
            }
        }
    }

    /// Reads one of its sessions with the cookies of that time: through the balancer, or from a node itself.
    pub async fn look_at(&self, lane: &Lane, whose: Whose, node: Option<SocketAddrV4>, start: Start) -> Operation {
        self.swap(whose);
        let operation = match node {
            None => self.ask(lane, OperationKind::FinalRead, start).await,
            Some(address) => {
                let (id, request) = self.prepare(OperationKind::NodeRead);
                let result = self.exchange_once(address, &request).await;
                self.conclude(id, OperationKind::NodeRead, start, result)
            }
        };
        self.swap(whose);
        operation
    }

    fn swap(&self, whose: Whose) {
        if let Whose::LeftBehind(index) = whose
            && let Some(left_behind) = self.left_behind.borrow_mut().get_mut(index)
        {
            std::mem::swap(&mut *self.login.borrow_mut(), left_behind);
        }
    }

    async fn ask(&self, lane: &Lane, kind: OperationKind, start: Start) -> Operation {
        let (id, request) = self.prepare(kind);
        let began_ns = self.settings.ns(Instant::now());
        lane.under_way.set(Some(UnderWay { id, kind, start, began_ns }));
        let result = self.exchange(lane, &request).await;
        let operation = self.conclude(id, kind, start, result);
        lane.under_way.set(None);
        operation
    }

    fn prepare(&self, kind: OperationKind) -> (OperationId, Vec<u8>) {
        let mut login = self.login.borrow_mut();
        let id = OperationId { session: self.index, life: login.life, number: login.operations };
        login.operations += 1;
        (id, self.request(kind, id, &login.cookies))
    }

    /// What came of an operation, which changes what its user believes.
    fn conclude(
        &self,
        id: OperationId,
        kind: OperationKind,
        start: Start,
        result: Result<Exchange, Broken>,
    ) -> Operation {
        let mut login = self.login.borrow_mut();
        let Start { scheduled_ns, dispatched_ns } = start;
        let mut times = Times { scheduled_ns, dispatched_ns, ..Times::default() };
        times.completed_ns = self.settings.ns(Instant::now());
        let (outcome, status, answer) = match result {
            Ok(exchange) => {
                times.sent_ns = Some(self.settings.ns(exchange.sent));
                times.first_byte_ns = Some(self.settings.ns(exchange.first_byte));
                if kind != OperationKind::NodeRead {
                    exchange.reply.set_cookies.iter().for_each(|cookie| login.cookies.set(cookie));
                }
                let mut answers = self.settings.answers.borrow_mut();
                let (outcome, answer) = classify::with_reply(kind, &exchange.reply, &mut answers);
                (outcome, Some(exchange.reply.status), answer)
            }
            Err(broken) => {
                times.sent_ns = broken.sent.map(|instant| self.settings.ns(instant));
                times.first_byte_ns = broken.first_byte.map(|instant| self.settings.ns(instant));
                (classify::without_reply(&broken), None, None)
            }
        };
        if kind != OperationKind::NodeRead {
            login.believe(&outcome);
        }
        Operation { id, kind, times, outcome, status, answer }
    }

    fn request(&self, kind: OperationKind, id: OperationId, cookies: &CookieJar) -> Vec<u8> {
        let (line, body) = match kind {
            OperationKind::Create => (
                "POST /session",
                format!("{{\"owner\":\"{}\",\"bytes\":{}}}", owner(self.index), self.settings.payload_bytes),
            ),
            OperationKind::Write => ("POST /session/ops", format!("{{\"op\":\"{id}\"}}")),
            OperationKind::LogOut => ("DELETE /session", String::new()),
            OperationKind::Read | OperationKind::FinalRead | OperationKind::NodeRead => ("GET /session", String::new()),
        };
        let cookie = cookies.header().map(|cookies| format!("Cookie: {cookies}\r\n")).unwrap_or_default();
        let content = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
        };
        format!("{line} HTTP/1.1\r\nHost: {}\r\n{cookie}{content}\r\n{body}", self.settings.entrance).into_bytes()
    }

    async fn exchange(&self, lane: &Lane, request: &[u8]) -> Result<Exchange, Broken> {
        let deadline = Instant::now() + self.settings.timeout;
        let kept = lane.connection.take().filter(|kept| !kept.is_stale());
        let mut connection = match kept {
            Some(kept) => kept,
            None => Connection::open(self.settings.entrance, self.source, deadline).await?,
        };
        let exchange = connection.exchange(request, deadline).await?;
        if exchange.reply.keep_alive {
            lane.connection.replace(Some(connection));
        }
        Ok(exchange)
    }

    async fn exchange_once(&self, address: SocketAddrV4, request: &[u8]) -> Result<Exchange, Broken> {
        let deadline = Instant::now() + self.settings.timeout;
        // From the agent's own address: with each user's, every node would have a neighbour more, and the kernel has
        // room for about a thousand in all.
        Connection::open(address, None, deadline).await?.exchange(request, deadline).await
    }
}

/// What a virtual user calls itself.
pub fn owner(session: u32) -> String {
    format!("s{session}")
}
