//! One virtual user: its cookies, its connection, its session, one operation after the other.
//!
//! A user whose session turns out to be unknown tries once more at its next turn, as people reload a page;
//! if it is unknown again, the user logs in, and that begins the next *life*.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use super::classify;
use super::connection::{Broken, Connection, Exchange};
use super::cookies::CookieJar;
use super::pacer::Tick;
use crate::history::{ErrorKind, Operation, OperationId, OperationKind, Outcome, Times};

/// After so many replies in a row that do not know the session, the user logs in again.
const UNKNOWN_UNTIL_LOG_IN: u32 = 2;

/// What all sessions of a workload share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where requests are sent.
    pub entrance: SocketAddrV4,
    /// What each session holds beside its state.
    pub payload_bytes: u32,
    /// When an operation is given up.
    pub timeout: Duration,
    /// The start of the load.
    pub zero: Instant,
}

impl Settings {
    /// Nanoseconds from the start of the load; 0 before it.
    pub fn ns(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.zero).as_nanos()).unwrap_or(u64::MAX)
    }
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
            Outcome::Fail(_) | Outcome::Indeterminate(_) => {}
        }
    }
}

/// One virtual user.
pub struct VirtualSession {
    settings: Settings,
    index: u32,
    source: Option<Ipv4Addr>,
    connection: Option<Connection>,
    login: Login,
    /// Sessions that the user has given up. They are looked at once more in the end.
    given_up: Vec<Login>,
}

impl VirtualSession {
    pub fn new(settings: Settings, index: u32, source: Option<Ipv4Addr>) -> Self {
        Self { settings, index, source, connection: None, login: Login::default(), given_up: Vec::new() }
    }

    /// Whether the user believes that it has a session.
    pub const fn is_logged_in(&self) -> bool {
        self.login.holds
    }

    /// How many sessions the user has given up.
    pub const fn given_up(&self) -> usize {
        self.given_up.len()
    }

    /// Performs one operation: what was asked for, or a log-in where there is no session.
    pub async fn perform(&mut self, wanted: OperationKind, tick: Tick, dispatched_ns: u64) -> Operation {
        if self.login.holds {
            return self.ask(wanted, tick, dispatched_ns).await;
        }
        // As a new visitor, without the old cookies: a log-in with them would end the old session, and
        // whether it was really gone could not be seen any more.
        let next = Login { life: self.login.life + 1, ..Login::default() };
        let previous = std::mem::replace(&mut self.login, next);
        if previous.unknown_in_a_row > 0 {
            self.given_up.push(previous);
        }
        self.ask(OperationKind::Create, tick, dispatched_ns).await
    }

    /// Reads a session that was given up, with the cookies of that time: is it gone, or was it only
    /// unknown for a while?
    pub async fn look_again(&mut self, which: usize, tick: Tick) -> Option<Operation> {
        let given_up = self.given_up.get_mut(which)?;
        std::mem::swap(&mut self.login, given_up);
        let operation = self.ask(OperationKind::FinalRead, tick, tick.scheduled_ns).await;
        let given_up = self.given_up.get_mut(which)?;
        std::mem::swap(&mut self.login, given_up);
        Some(operation)
    }

    async fn ask(&mut self, kind: OperationKind, tick: Tick, dispatched_ns: u64) -> Operation {
        let id = OperationId { session: self.index, life: self.login.life, number: self.login.operations };
        self.login.operations += 1;
        let request = self.request(kind, id);
        let mut times = Times { scheduled_ns: tick.scheduled_ns, dispatched_ns, ..Times::default() };
        let result = self.exchange(&request).await;
        times.completed_ns = self.settings.ns(Instant::now());
        let (outcome, status, answer) = match result {
            Ok(exchange) => {
                times.sent_ns = Some(self.settings.ns(exchange.sent));
                times.first_byte_ns = Some(self.settings.ns(exchange.first_byte));
                exchange.reply.set_cookies.iter().for_each(|cookie| self.login.cookies.set(cookie));
                let (outcome, answer) = classify::with_reply(&exchange.reply);
                (outcome, Some(exchange.reply.status), answer)
            }
            Err(broken) => {
                times.sent_ns = broken.sent.map(|instant| self.settings.ns(instant));
                times.first_byte_ns = broken.first_byte.map(|instant| self.settings.ns(instant));
                (classify::without_reply(&broken), None, None)
            }
        };
        self.login.believe(&outcome);
        Operation { id, kind, times, outcome, status, answer }
    }

    fn request(&self, kind: OperationKind, id: OperationId) -> Vec<u8> {
        let (line, body) = match kind {
            OperationKind::Create => (
                "POST /session",
                format!("{{\"owner\":\"{}\",\"bytes\":{}}}", owner(self.index), self.settings.payload_bytes),
            ),
            OperationKind::Write => ("POST /session/ops", format!("{{\"op\":\"{id}\"}}")),
            OperationKind::Read | OperationKind::FinalRead => ("GET /session", String::new()),
        };
        let cookie = self.login.cookies.header().map(|cookies| format!("Cookie: {cookies}\r\n")).unwrap_or_default();
        let content = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
        };
        format!("{line} HTTP/1.1\r\nHost: {}\r\n{cookie}{content}\r\n{body}", self.settings.entrance).into_bytes()
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Exchange, Broken> {
        let deadline = Instant::now() + self.settings.timeout;
        let mut connection = match self.connection.take().filter(|kept| !kept.is_stale()) {
            Some(kept) => kept,
            None => Connection::open(self.settings.entrance, self.source, deadline).await?,
        };
        let exchange = connection.exchange(request, deadline).await?;
        if exchange.reply.keep_alive {
            self.connection = Some(connection);
        }
        Ok(exchange)
    }
}

/// What a virtual user calls itself.
pub fn owner(session: u32) -> String {
    format!("s{session}")
}
