//! What a worker keeps for each user and each connection: plain data.

use std::net::SocketAddr;

use super::queues::Queue;
use crate::load::{Destination, Overload, Users};
use crate::traffic::http::client::Client;
use crate::traffic::http::connection::Progress;
use crate::traffic::http::transport::Transport;
use crate::traffic::user::{InFlightRequest, Script, User};

/// Settings that all workers of a load share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The requests of users.
    pub script: Script,
    /// The endpoints and the protocol of requests.
    pub destination: Destination,
    /// The users. Each worker has a share of pooled connections.
    pub users: Users,
    /// When an operation times out, in nanoseconds after it began.
    pub timeout_ns: u64,
    /// When the load ends, in nanoseconds: no pause goes on for longer.
    pub end_ns: u64,
    /// The treatment of operations that have waited for long.
    pub overload: Overload,
}

/// A user with its waiting operations and its connections.
#[derive(Debug)]
pub struct UserSlot {
    /// The user.
    pub user: User,
    /// Its operations that have not begun.
    pub waiting: Queue,
    /// How many of its operations have begun and not ended.
    pub in_flight: u32,
    /// Whether the operation in flight must run alone.
    pub is_alone: bool,
    /// When the user acts by itself, without a task: it overtakes its request in flight by logging in or out, or goes on after a
    /// pause; in nanoseconds of the load.
    pub acts_ns: Option<u64>,
    /// Its connections without a request.
    pub idle: Vec<usize>,
    /// Offset of its endpoint in the list; increases by 1 for each endpoint that could not be reached.
    pub endpoint: usize,
    /// In HTTP/2, all requests of a session share one connection.
    pub client: Option<Client>,
}

/// A connection with its request in flight.
#[derive(Debug)]
pub struct ConnectionSlot {
    /// The socket, or the exchange of the HTTP library.
    pub transport: Transport,
    /// The request that it carries.
    pub in_flight: Option<InFlightRequest>,
    /// The place of its user.
    pub user: usize,
    /// The address that it leads to.
    pub to: SocketAddr,
    /// Distinguishes the requests of the same connection; an operation of several requests keeps its own.
    pub serial: u64,
    /// Whether it carries only one request. This includes every connection to a node past the balancer.
    pub is_once: bool,
    /// Whether it has carried a complete request and reply before.
    pub is_reused: bool,
    /// When the request in flight was first sent, if that was over another connection.
    pub first_sent_ns: Option<u64>,
}

impl ConnectionSlot {
    /// A new connection without a request.
    pub const fn new(transport: Transport, (user, to): (usize, SocketAddr), is_once: bool) -> Self {
        Self { transport, in_flight: None, user, to, serial: 0, is_once, is_reused: false, first_sent_ns: None }
    }

    /// The progress of the request in flight, counted from when it was first sent.
    pub fn began(&self, progress: Progress) -> Progress {
        Progress { sent_ns: self.first_sent_ns.or(progress.sent_ns), ..progress }
    }
}

/// When an operation times out.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// From the start of the load.
    pub at_ns: u64,
    /// The connection that carries its request.
    pub token: usize,
    /// The serial number of the request; another one there means that it has ended.
    pub serial: u64,
}

/// Counts of a worker's operations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Operations that the feed requested.
    pub offered: u64,
    /// Operations that began.
    pub started: u64,
    /// Operations that were dropped because they had waited too long.
    pub shed: u64,
}
