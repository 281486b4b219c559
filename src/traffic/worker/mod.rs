//! One thread of the generator: starts due operations, resumes connections, and times out slow operations.
//!
//! Operations wait in their user's queue, and the wait counts in their response time. At each turn of a user, the
//! worker decides whether the next operation may run at the same time as others, and over which connection.

mod pool;
mod queues;
mod slots;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use slab::Slab;

use pool::{Lease, Pool};
use queues::{Queue, Queues};
use slots::{ConnectionSlot, Deadline, UserSlot};
pub use slots::{Counts, Settings};

use super::feed::{At, Due, Ended, Feed, Shard, Task};
use super::http::client::{Clients, Ended as Exchanged, Exchange};
use super::http::connection::{Advance, Connection, Progress};
use super::http::transport::Transport;
use super::reactor::{Clock, Reactor, Ready};
use super::recorder::Recorder;
use super::user::{Ended as UserEnded, InFlightRequest, Next, SessionRef, Start, User};
use crate::history::{ErrorKind, Operation, OperationKind, Outcome};
use crate::load::{Connections, Overload};

/// Most replies fit into this buffer and are parsed in place.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Most reads of a socket in one turn, so that a server that never stops sending does not block the loop.
const MAX_READS: usize = 64;
/// Interval between two live summaries.
const INTERVAL_NS: u64 = 1_000_000_000;

/// One thread's users, connections and records.
pub struct Worker {
    settings: Arc<Settings>,
    shard: Shard,
    clock: Clock,
    reactor: Reactor,
    scratch: Vec<u8>,
    /// The next request of an operation that consists of several.
    next_request: Vec<u8>,
    connections: Slab<ConnectionSlot>,
    pool: Pool,
    slots: Vec<UserSlot>,
    /// Users that may be able to start their next operation.
    turns: VecDeque<usize>,
    waiting: Queues<(Task, Start)>,
    in_flight: u64,
    serial: u64,
    deadlines: VecDeque<Deadline>,
    /// Users who will act by themselves, with the instants, the earliest first.
    alarms: BinaryHeap<Reverse<(u64, usize)>>,
    /// Sockets that may have unread bytes after [`MAX_READS`] reads, with the serial numbers of their requests.
    unfinished: Vec<(Ready, u64)>,
    recorder: Recorder,
    counts: Counts,
    /// The clients of the HTTP library, if requests do not use the worker's own sockets.
    clients: Option<Clients>,
}

impl Worker {
    /// A worker for this shard of `users` users.
    #[must_use]
    pub fn new(
        settings: Arc<Settings>,
        shard: Shard,
        users: usize,
        recorder: Recorder,
        reactor: Reactor,
        clients: Option<Clients>,
    ) -> Self {
        let pool = match settings.users.connections {
            Connections::Pooled(most) => Pool::new(shard.part(most as usize)),
            Connections::PerSession | Connections::PerRequest => Pool::default(),
        };
        let mut worker = Self {
            settings,
            shard,
            clock: Clock::start(),
            reactor,
            scratch: vec![0; SCRATCH_BYTES],
            next_request: Vec::new(),
            connections: Slab::new(),
            pool,
            slots: Vec::new(),
            turns: VecDeque::new(),
            waiting: Queues::new(),
            in_flight: 0,
            serial: 0,
            deadlines: VecDeque::new(),
            alarms: BinaryHeap::new(),
            unfinished: Vec::new(),
            recorder,
            counts: Counts::default(),
            clients,
        };
        worker.make_room(worker.shard.size(users));
        worker
    }

    /// Replaces the clock, whose zero is the start of the load.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
        if let Some(clients) = &mut self.clients {
            clients.set_clock(clock);
        }
    }

    /// CPU time of the HTTP library's thread, in nanoseconds.
    pub fn clients_cpu_ns(&self) -> u64 {
        self.clients.as_ref().map_or(0, Clients::cpu_ns)
    }

    /// The records of its operations.
    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The counts of its operations.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The sessions of its users: the user's place, the session, and whether to read it from each node.
    pub fn sessions(&self) -> impl Iterator<Item = (usize, SessionRef, bool)> {
        self.slots.iter().enumerate().flat_map(|(place, slot)| {
            slot.user.sessions().into_iter().map(move |session| (place, session, slot.user.is_worth_comparing(session)))
        })
    }

    /// The node that answered a session's last request through the balancer, if known.
    pub fn answered_by(&self, user: usize, session: SessionRef) -> Option<&str> {
        self.slots.get(user)?.user.answered_by(session)
    }

    /// A sample of at most `most` of its users' sessions, evenly spread.
    pub fn some_sessions(&self, most: usize) -> Vec<(usize, SessionRef)> {
        let all: Vec<(usize, SessionRef)> = self.sessions().map(|(user, session, _)| (user, session)).collect();
        let every = all.len().div_ceil(most.max(1)).max(1);
        all.into_iter().step_by(every).collect()
    }

    /// Operations in flight, as unfinished ones.
    pub fn unfinished(&self) -> Vec<Operation> {
        let now_ns = self.clock.now_ns();
        let under_way = self.connections.iter().filter_map(|(_, connection)| Some((connection.in_flight?, connection)));
        under_way
            .map(|(in_flight, connection)| {
                in_flight.unfinished(&connection.began(connection.transport.progress()), now_ns)
            })
            .collect()
    }

    /// Runs the tasks of the feed until it is exhausted and every operation has ended, or `stop` is set. Operations
    /// that still wait for their user at `give_up_ns` are not started.
    ///
    /// # Errors
    /// When the system cannot wait for sockets.
    pub fn run(&mut self, feed: &mut dyn Feed, give_up_ns: u64, stop: &AtomicBool) -> io::Result<()> {
        let mut ready: Vec<Ready> = Vec::new();
        // Nobody acts by itself any more once another feed is run.
        self.alarms.clear();
        self.slots.iter_mut().for_each(|slot| slot.acts_ns = None);
        while !stop.load(Ordering::Relaxed) {
            self.start_due(feed, give_up_ns);
            self.expire(feed);
            self.wake_users();
            self.take_turns(feed, give_up_ns);
            let now_ns = self.clock.now_ns();
            self.recorder.end_interval(now_ns, INTERVAL_NS);
            let is_idle = self.in_flight == 0 && self.waiting.len() == 0 && self.alarms.is_empty();
            if feed.next_ns().is_none() && is_idle {
                break;
            }
            let give_up = (self.waiting.len() > 0).then_some(give_up_ns).filter(|at_ns| *at_ns > now_ns);
            let alarm = self.alarms.peek().map(|Reverse((at_ns, _))| *at_ns);
            let events = [feed.next_ns(), self.deadlines.front().map(|deadline| deadline.at_ns), alarm, give_up];
            let next_ns = events.into_iter().flatten().chain([self.recorder.interval_end_ns(INTERVAL_NS)]).min();
            let next_ns = if self.unfinished.is_empty() { next_ns } else { Some(now_ns) };
            let until = next_ns.map(|at_ns| self.clock.instant(at_ns));
            // Replies through the HTTP library wake the reactor themselves.
            let awaits_replies = self.in_flight > 0 && self.clients.is_none();
            self.reactor.wait(until, awaits_replies, &mut ready)?;
            // Sockets of the last turn come last, so that a server that never stops sending does not delay the others.
            let unfinished = std::mem::take(&mut self.unfinished);
            let again = unfinished.into_iter().filter(|(ready, serial)| self.serial_of(ready.token) == Some(*serial));
            ready.extend(again.map(|(ready, _)| ready).collect::<Vec<_>>());
            for ready in ready.drain(..) {
                self.go_on(ready, feed);
                // After each reply, so that many replies at once do not delay the next start.
                self.start_due(feed, give_up_ns);
                self.take_turns(feed, give_up_ns);
            }
            while let Some(exchanged) = self.clients.as_ref().and_then(Clients::ended) {
                self.finish(exchanged, feed);
                self.start_due(feed, give_up_ns);
                self.take_turns(feed, give_up_ns);
            }
        }
        Ok(())
    }

    fn make_room(&mut self, slots: usize) {
        if self.slots.is_empty() {
            // Nearly always, this is the final number of users.
            self.slots.reserve_exact(slots);
            self.recorder.make_room(slots);
        }
        for place in self.slots.len()..slots {
            let index = u32::try_from(self.shard.index(place)).unwrap_or(u32::MAX);
            let user = User::new(index);
            self.slots.push(UserSlot {
                user,
                waiting: Queue::default(),
                in_flight: 0,
                is_alone: false,
                acts_ns: None,
                idle: Vec::new(),
                endpoint: 0,
                client: None,
            });
        }
    }

    fn start_due(&mut self, feed: &mut dyn Feed, give_up_ns: u64) {
        while feed.next_ns().is_some_and(|next_ns| next_ns <= give_up_ns) {
            // Read for each start, so that a start that waits for earlier ones is recorded as late.
            let dispatched_ns = self.clock.now_ns();
            let Some(Due { user, task, scheduled_ns }) = feed.take(dispatched_ns) else { return };
            self.make_room(user + 1);
            let Some(slot) = self.slots.get_mut(user) else { return };
            self.waiting.push(&mut slot.waiting, (task, Start { scheduled_ns, dispatched_ns }));
            self.counts.offered += 1;
            self.turns.push_back(user);
        }
    }

    /// Gives a turn to the users who act by themselves now.
    fn wake_users(&mut self) {
        let now_ns = self.clock.now_ns();
        while let Some(Reverse((at_ns, user))) = self.alarms.peek().copied() {
            if at_ns > now_ns {
                return;
            }
            self.alarms.pop();
            self.turns.push_back(user);
        }
    }

    /// Lets a user act by itself at an instant.
    fn set_alarm(&mut self, user: usize, at_ns: u64) {
        if let Some(slot) = self.slots.get_mut(user) {
            slot.acts_ns = Some(at_ns);
            self.alarms.push(Reverse((at_ns, user)));
        }
    }

    /// Begins a user's pause, or goes on with it. It has nothing to do until it is over, and no operation is offered to it.
    fn pause(&mut self, user: usize, now_ns: u64, is_task: bool) {
        let Some(slot) = self.slots.get_mut(user) else { return };
        if is_task {
            self.waiting.pop(&mut slot.waiting);
            self.counts.offered -= 1;
        }
        let resumes_ns = slot.user.pause(&self.settings.script, now_ns);
        if let Some(at_ns) = resumes_ns.filter(|at_ns| *at_ns < self.settings.end_ns && slot.acts_ns.is_none()) {
            self.set_alarm(user, at_ns);
        }
    }

    fn take_turns(&mut self, feed: &mut dyn Feed, give_up_ns: u64) {
        while let Some(user) = self.turns.pop_front().or_else(|| self.pool.turn()) {
            while self.take_turn(user, feed, give_up_ns) {}
        }
    }

    /// Begins or drops the next operation of a user. Returns false if there is none, or it cannot begin now.
    fn take_turn(&mut self, user: usize, feed: &mut dyn Feed, give_up_ns: u64) -> bool {
        let Some(slot) = self.slots.get_mut(user) else { return false };
        let now_ns = self.clock.now_ns();
        let by_itself = slot.acts_ns.filter(|at_ns| *at_ns <= now_ns).map(|scheduled_ns| {
            let start = Start { scheduled_ns, dispatched_ns: now_ns };
            (Task::Operation(OperationKind::Read), start)
        });
        let Some((task, start)) = by_itself.or_else(|| self.waiting.front(slot.waiting)) else { return false };
        let drops = match self.settings.overload {
            Overload::Shed(after_ns) => now_ns.saturating_sub(start.scheduled_ns) > after_ns,
            Overload::Queue => false,
        };
        if drops || now_ns >= give_up_ns {
            if by_itself.is_some() {
                slot.acts_ns = None;
            } else {
                self.waiting.pop(&mut slot.waiting);
            }
            self.counts.shed += u64::from(drops);
            return true;
        }
        let next = match task {
            Task::FinalRead { session, .. } => Next::FinalRead(session),
            Task::Operation(_) => slot.user.next(&self.settings.script, now_ns),
        };
        if matches!(next, Next::Pause | Next::Rest) && slot.in_flight == 0 {
            if by_itself.is_some() {
                slot.acts_ns = None;
            }
            self.pause(user, now_ns, by_itself.is_none());
            return true;
        }
        if by_itself.is_some() && !matches!(next, Next::LogIn | Next::NewId | Next::LogOut | Next::IdleRead) {
            // What it meant to do is done, or cannot be done any more.
            slot.acts_ns = None;
            return true;
        }
        let has_room = match next {
            Next::Work => !slot.is_alone && slot.in_flight < self.settings.users.at_once.max(1),
            Next::Wait | Next::Pause | Next::Rest => false,
            Next::LogIn | Next::NewId | Next::LogOut if by_itself.is_some() => true,
            _ => slot.in_flight == 0,
        };
        if !has_room {
            return false;
        }
        let Some(token) = self.connection_for(user, next, task) else { return false };
        if let Some(slot) = self.slots.get_mut(user) {
            if by_itself.is_some() {
                slot.acts_ns = None;
                self.counts.offered += 1;
            } else {
                self.waiting.pop(&mut slot.waiting);
            }
            slot.in_flight += 1;
            slot.is_alone = next != Next::Work;
            if matches!(next, Next::Hold(_)) {
                let at_ns = now_ns.saturating_add(self.settings.script.transitions().overtakes_after_ns());
                slot.user.overtake_at(at_ns);
                self.set_alarm(user, at_ns);
            }
        }
        self.in_flight += 1;
        self.counts.started += 1;
        self.begin((user, next), (task, start), token, now_ns, feed);
        true
    }

    /// The connection for a user's next operation, or why none can be made. Returns `None` if the user has to wait for
    /// one.
    fn connection_for(&mut self, user: usize, next: Next, task: Task) -> Option<Result<usize, ErrorKind>> {
        if let Task::FinalRead { at: At::Node(node), .. } = task {
            // From the agent's own address: each client address would add a neighbour entry at every node, and the
            // kernel's table has room for about a thousand in all.
            return Some(self.open(user, node, None, true));
        }
        let source = self.source_of(user);
        let endpoint = self.endpoint_of(user)?;
        match self.settings.users.connections {
            Connections::PerRequest => Some(self.open(user, endpoint, source, true)),
            Connections::PerSession => {
                let slot = self.slots.get_mut(user)?;
                if matches!(next, Next::LogIn | Next::Visit) && slot.in_flight == 0 {
                    // A new visitor has no connections.
                    slot.client = None;
                    for token in std::mem::take(&mut slot.idle) {
                        self.connections.try_remove(token);
                    }
                }
                match self.slots.get_mut(user)?.idle.pop() {
                    Some(token) => Some(Ok(token)),
                    None => Some(self.open(user, endpoint, source, false)),
                }
            }
            Connections::Pooled(_) => match self.pool.lend(user) {
                Lease::Idle(token) => Some(Ok(token)),
                Lease::New => Some(self.open(user, endpoint, source, false)),
                Lease::Wait => None,
            },
        }
    }

    /// The client address of a user.
    fn source_of(&self, user: usize) -> Option<IpAddr> {
        let turn = self.shard.index(user).checked_rem(self.settings.users.addresses.len())?;
        self.settings.users.addresses.get(turn).copied()
    }

    /// The endpoint of a user. Users are distributed over the endpoints, and each keeps its own as long as it can be
    /// reached.
    fn endpoint_of(&self, user: usize) -> Option<SocketAddr> {
        let endpoints = &self.settings.destination.endpoints;
        let turn = (self.shard.index(user) + self.slots.get(user)?.endpoint).checked_rem(endpoints.len())?;
        endpoints.get(turn).copied()
    }

    fn open(&mut self, user: usize, to: SocketAddr, source: Option<IpAddr>, is_once: bool) -> Result<usize, ErrorKind> {
        let through = self.clients.as_ref().filter(|_| self.settings.destination.endpoints.contains(&to));
        let exchange = match through {
            Some(clients) => {
                let shares = !is_once
                    && self.settings.destination.protocol.is_http2
                    && self.settings.users.connections == Connections::PerSession;
                let slot = self.slots.get_mut(user).filter(|_| shares);
                let client = match slot.as_ref().and_then(|slot| slot.client.clone()) {
                    Some(client) => client,
                    None => clients.client(to, source)?,
                };
                if let Some(slot) = slot {
                    slot.client = Some(client.clone());
                }
                let one_at_a_time = self.settings.users.at_once <= 1 && self.settings.script.transitions().hold_ms == 0;
                Some(Exchange::new(client, !shares || one_at_a_time))
            }
            None => None,
        };
        let entry = self.connections.vacant_entry();
        let token = entry.key();
        let transport = if let Some(exchange) = exchange {
            Transport::Library(exchange)
        } else {
            let is_bodiless = self.settings.script.is_bodiless();
            Transport::Socket(Connection::open(&self.reactor, token, (to, source), is_bodiless, self.clock)?)
        };
        entry.insert(ConnectionSlot::new(transport, (user, to), is_once));
        Ok(token)
    }

    fn begin(
        &mut self,
        (user, next): (usize, Next),
        (task, start): (Task, Start),
        token: Result<usize, ErrorKind>,
        now_ns: u64,
        feed: &mut dyn Feed,
    ) {
        let wanted = match task {
            Task::Operation(kind) => kind,
            Task::FinalRead { at: At::Settling, .. } => OperationKind::SettleRead,
            Task::FinalRead { at: At::Balancer, .. } => OperationKind::FinalRead,
            Task::FinalRead { at: At::Node(_), .. } => OperationKind::NodeRead,
        };
        let Some(slot) = self.slots.get_mut(user) else { return };
        let script = &self.settings.script;
        let connection =
            token.and_then(|token| Ok((token, self.connections.get_mut(token).ok_or(ErrorKind::NoSocket)?)));
        match connection {
            Ok((token, connection)) => {
                let in_flight = slot.user.begin(next, (wanted, start), script, connection.transport.request());
                self.serial += 1;
                (connection.user, connection.serial, connection.in_flight) = (user, self.serial, Some(in_flight));
                let at_ns = now_ns.saturating_add(self.settings.timeout_ns);
                self.forget_deadlines();
                self.deadlines.push_back(Deadline { at_ns, token, serial: self.serial });
                self.send(token, feed);
            }
            Err(error) => {
                let in_flight = slot.user.begin(next, (wanted, start), script, &mut Vec::new());
                let progress = Progress { completed_ns: self.clock.now_ns(), ..Default::default() };
                let operation = slot.user.fail(&in_flight, &progress, error);
                if matches!(self.settings.users.connections, Connections::Pooled(_)) {
                    self.pool.lose(usize::MAX);
                }
                self.conclude(user, &operation, feed);
            }
        }
    }

    fn send(&mut self, token: usize, feed: &mut dyn Feed) {
        let Some(ConnectionSlot { transport, serial, .. }) = self.connections.get_mut(token) else { return };
        match (transport, &self.clients) {
            (Transport::Socket(socket), _) => {
                if let Advance::Broken(error) = socket.send(self.clock) {
                    self.break_off(token, error, feed);
                }
            }
            (Transport::Library(exchange), Some(clients)) => clients.send(exchange, token, *serial),
            (Transport::Library(_), None) => {}
        }
    }

    fn serial_of(&self, token: usize) -> Option<u64> {
        self.connections.get(token).map(|connection| connection.serial)
    }

    fn go_on(&mut self, ready: Ready, feed: &mut dyn Feed) {
        for _ in 0..MAX_READS {
            let Some(connection) = self.connections.get_mut(ready.token) else { return };
            let ConnectionSlot {
                transport: Transport::Socket(socket), in_flight, user, is_once, first_sent_ns, ..
            } = connection
            else {
                return;
            };
            if socket.is_invalidated_by(ready) {
                self.lose(ready.token);
                return;
            }
            let (user, is_once, first_sent_ns) = (*user, *is_once, *first_sent_ns);
            let (reply, progress) = match socket.go_on(ready, self.clock, &mut self.scratch) {
                Advance::Pending => return,
                Advance::Again => continue,
                Advance::Broken(error) => return self.break_off(ready.token, error, feed),
                Advance::Done(reply, progress) => {
                    (reply, Progress { sent_ns: first_sent_ns.or(progress.sent_ns), ..progress })
                }
            };
            let (Some(in_flight), Some(slot)) = (in_flight.take(), self.slots.get_mut(user)) else { return };
            let follows = (&self.settings.script, self.recorder.answers());
            let ended = slot.user.answer(&in_flight, &progress, &reply, follows, &mut self.next_request);
            let stays = reply.keep_alive;
            return match ended {
                UserEnded::Operation(operation) => {
                    self.release(ready.token, user, stays && !is_once);
                    self.conclude(user, &operation, feed);
                }
                UserEnded::Next(in_flight) => self.send_next(ready.token, in_flight, stays, feed),
            };
        }
        if let Some(serial) = self.serial_of(ready.token) {
            self.unfinished.push((ready, serial));
        }
    }

    /// Ends an operation that used the HTTP library. Ignores one that has timed out meanwhile.
    fn finish(&mut self, exchanged: Exchanged, feed: &mut dyn Feed) {
        let Exchanged { token, serial, progress, result } = exchanged;
        let Some(connection) = self.connections.get_mut(token).filter(|connection| connection.serial == serial) else {
            return;
        };
        let (user, is_once) = (connection.user, connection.is_once);
        let (Some(in_flight), Some(slot)) = (connection.in_flight.take(), self.slots.get_mut(user)) else { return };
        let ended = match &result {
            Ok(whole) => {
                let follows = (&self.settings.script, self.recorder.answers());
                slot.user.answer(&in_flight, &progress, &whole.reply(), follows, &mut self.next_request)
            }
            Err(error) => UserEnded::Operation(slot.user.fail(&in_flight, &progress, *error)),
        };
        match ended {
            UserEnded::Operation(operation) => {
                self.release(token, user, result.is_ok() && !is_once);
                self.conclude(user, &operation, feed);
            }
            UserEnded::Next(in_flight) => self.send_next(token, in_flight, true, feed),
        }
    }

    /// Sends the request again if that is allowed; otherwise ends its operation without a complete reply, and closes
    /// its connection.
    fn break_off(&mut self, token: usize, error: ErrorKind, feed: &mut dyn Feed) {
        if self.resend(token, error, feed) {
            return;
        }
        let Some(connection) = self.connections.get_mut(token) else { return };
        let progress =
            connection.began(Progress { completed_ns: self.clock.now_ns(), ..connection.transport.progress() });
        let user = connection.user;
        let (Some(in_flight), Some(slot)) = (connection.in_flight.take(), self.slots.get_mut(user)) else { return };
        let operation = slot.user.fail(&in_flight, &progress, error);
        self.release(token, user, false);
        self.conclude(user, &operation, feed);
    }

    /// Sends a request again over a new connection, once, as browsers do. A server may close a reused connection for
    /// another reason while a request is on its way. Only a request that the server cannot have received, or that is
    /// safe to repeat, is sent again. Returns whether it was.
    fn resend(&mut self, token: usize, error: ErrorKind, feed: &mut dyn Feed) -> bool {
        let Some(connection) = self.connections.get_mut(token) else { return false };
        let (Some(mut in_flight), Transport::Socket(socket)) = (connection.in_flight, &mut connection.transport) else {
            return false;
        };
        let is_harmless = match error {
            ErrorKind::NotSent => true,
            ErrorKind::ResetBeforeReply => self.settings.script.is_safe(in_flight.kind, in_flight.place),
            _ => false,
        };
        if !connection.is_reused || in_flight.is_resent || !is_harmless {
            return false;
        }
        let request = std::mem::take(&mut socket.request);
        let first_sent_ns = socket.progress.sent_ns;
        let Ok(new) = self.reopen(token) else { return false };
        let Some(connection) = self.connections.get_mut(new) else { return false };
        *connection.transport.request() = request;
        in_flight.is_resent = true;
        connection.in_flight = Some(in_flight);
        connection.first_sent_ns = first_sent_ns;
        self.send(new, feed);
        true
    }

    /// Opens a connection in the place of another one: for its user, in the pool, with its serial number and its deadline. To a
    /// node past the balancer it leads from the agent's own address.
    fn reopen(&mut self, old: usize) -> Result<usize, ErrorKind> {
        let ConnectionSlot { user, to, serial, is_once, .. } = *self.connections.get(old).ok_or(ErrorKind::NoSocket)?;
        let (to, source) = match self.endpoint_of(user) {
            Some(endpoint) if self.settings.destination.endpoints.contains(&to) => (endpoint, self.source_of(user)),
            _ => (to, None),
        };
        let new = self.open(user, to, source, is_once)?;
        self.connections.try_remove(old);
        if let Some(connection) = self.connections.get_mut(new) {
            connection.serial = serial;
        }
        for deadline in self.deadlines.iter_mut().filter(|deadline| deadline.serial == serial) {
            deadline.token = new;
        }
        Ok(new)
    }

    /// Sends the next request of an operation, which stands in `next_request`: over the same connection if that stays, else over
    /// a new one in its place.
    fn send_next(&mut self, token: usize, in_flight: InFlightRequest, stays: bool, feed: &mut dyn Feed) {
        let next = if stays { Ok(token) } else { self.reopen(token) };
        let connection =
            next.and_then(|token| Ok((token, self.connections.get_mut(token).ok_or(ErrorKind::NoSocket)?)));
        match connection {
            Ok((token, connection)) => {
                (connection.is_reused, connection.first_sent_ns) = (stays, None);
                std::mem::swap(connection.transport.request(), &mut self.next_request);
                connection.in_flight = Some(in_flight);
                self.send(token, feed);
            }
            Err(error) => {
                let Some(ConnectionSlot { user, .. }) = self.connections.get(token) else { return };
                let (user, completed_ns) = (*user, self.clock.now_ns());
                let Some(slot) = self.slots.get_mut(user) else { return };
                let operation = slot.user.fail(&in_flight, &Progress { completed_ns, ..Progress::default() }, error);
                self.release(token, user, false);
                self.conclude(user, &operation, feed);
            }
        }
    }

    /// Keeps or removes a connection whose request has ended.
    fn release(&mut self, token: usize, user: usize, stays: bool) {
        if stays { self.keep(token, user) } else { self.lose(token) }
    }

    fn keep(&mut self, token: usize, user: usize) {
        if let Some(connection) = self.connections.get_mut(token) {
            (connection.is_reused, connection.first_sent_ns) = (true, None);
        }
        match self.settings.users.connections {
            Connections::Pooled(_) => self.pool.give_back(token),
            _ => self.slots.get_mut(user).into_iter().for_each(|slot| slot.idle.push(token)),
        }
    }

    /// Removes a connection that cannot be used any more.
    fn lose(&mut self, token: usize) {
        let Some(lost) = self.connections.try_remove(token) else { return };
        if lost.is_once {
            return;
        }
        match self.settings.users.connections {
            Connections::Pooled(_) => self.pool.lose(token),
            _ => self.slots.get_mut(lost.user).into_iter().for_each(|slot| slot.idle.retain(|idle| *idle != token)),
        }
    }

    fn conclude(&mut self, user: usize, operation: &Operation, feed: &mut dyn Feed) {
        self.recorder.record(user, operation);
        self.in_flight -= 1;
        let Some(slot) = self.slots.get_mut(user) else { return };
        slot.in_flight -= 1;
        slot.is_alone &= slot.in_flight > 0;
        if operation.kind == OperationKind::IdleRead && slot.user.is_resting() {
            self.pause(user, operation.times.completed_ns, false);
        }
        let Some(slot) = self.slots.get_mut(user) else { return };
        if let Outcome::Fail(ErrorKind::Refused | ErrorKind::ConnectTimeout) = operation.outcome {
            // As a browser does with a name that has several addresses.
            slot.endpoint += 1;
            slot.client = None;
        }
        let is_idle = slot.in_flight == 0 && slot.waiting.is_empty() && slot.acts_ns.is_none();
        if !slot.waiting.is_empty() || slot.acts_ns.is_some() {
            self.turns.push_back(user);
        }
        feed.ended(Ended { user, operation, is_idle, has_left: slot.user.has_left() });
    }

    /// Ends operations that have timed out.
    fn expire(&mut self, feed: &mut dyn Feed) {
        let now_ns = self.clock.now_ns();
        while let Some(deadline) = self.deadlines.front().copied().filter(|deadline| deadline.at_ns <= now_ns) {
            self.deadlines.pop_front();
            let connection =
                self.connections.get(deadline.token).filter(|connection| connection.serial == deadline.serial);
            let Some(connection) = connection.filter(|connection| connection.in_flight.is_some()) else { continue };
            let is_connecting = connection.transport.is_connecting();
            let error = if is_connecting { ErrorKind::ConnectTimeout } else { ErrorKind::Timeout };
            self.break_off(deadline.token, error, feed);
        }
    }

    /// Removes the deadlines of ended operations from the front. Most of them are there, because operations end in
    /// about the order in which they began.
    fn forget_deadlines(&mut self) {
        while let Some(deadline) = self.deadlines.front() {
            let connection =
                self.connections.get(deadline.token).filter(|connection| connection.serial == deadline.serial);
            if connection.is_some_and(|connection| connection.in_flight.is_some()) {
                return;
            }
            self.deadlines.pop_front();
        }
    }
}
