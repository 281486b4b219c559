//! One thread of the generator: starts what is due, lets connections go on, and gives up what takes too long.
//!
//! Operations wait for their user in its queue, and the wait counts in their response time. What a user may do at the
//! same time, and over which connection, is decided when its turn comes.

mod pool;
mod queues;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use slab::Slab;

use pool::{Lease, Pool};
use queues::{Queue, Queues};

use super::feed::{At, Due, Ended, Feed, Shard, Task};
use super::http::carrier::Carrier;
use super::http::client::{Client, Clients, Ended as Exchanged, Exchange, Whole};
use super::http::connection::{Advance, Connection, Progress};
use super::http::reply::Reply;
use super::reactor::{Clock, Reactor, Ready};
use super::recorder::Recorder;
use super::user::{InFlightRequest, Next, Script, SessionRef, Start, User};
use crate::history::{ErrorKind, Operation, OperationKind, Outcome};
use crate::load::{Connections, Destination, Overload, Users};

/// Most replies fit, and are read in place.
const SCRATCH_BYTES: usize = 64 * 1024;
/// How often a socket is read in one turn: a server that never stops sending must not keep time from passing.
const MAX_READS: usize = 64;
/// How often the live figures are handed out.
const INTERVAL_NS: u64 = 1_000_000_000;

/// What all workers of a load share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What users say.
    pub script: Script,
    /// Where they say it, and in what.
    pub destination: Destination,
    /// Who they are. Of pooled connections each worker has its part.
    pub users: Users,
    /// When an operation is given up, in nanoseconds after it began.
    pub timeout_ns: u64,
    /// What happens to operations that have waited for long.
    pub overload: Overload,
}

/// A user with what it waits for.
#[derive(Debug)]
struct UserSlot {
    user: User,
    waiting: Queue,
    in_flight: u32,
    /// Whether what is in flight is done alone.
    is_alone: bool,
    idle: Vec<usize>,
    /// Which of the endpoints it turns to, counted on as one after the other could not be reached.
    endpoint: usize,
    /// In HTTP/2 all of a session's requests share a connection.
    client: Option<Client>,
}

impl UserSlot {
    /// What came of an operation of its user.
    fn end(
        &mut self,
        in_flight: &InFlightRequest,
        progress: &Progress,
        reply: Result<&Reply<'_>, ErrorKind>,
        script: &Script,
        recorder: &mut Recorder,
    ) -> Operation {
        self.user.end(in_flight, progress, reply, script, recorder.answers())
    }
}

/// A connection with what is under way on it.
#[derive(Debug)]
struct ConnectionSlot {
    carrier: Carrier,
    in_flight: Option<InFlightRequest>,
    user: usize,
    /// Tells one request from the next on the same connection.
    serial: u64,
    /// Whether it leads to a node past the balancer, or carries one request only.
    is_once: bool,
    /// Whether it has carried a whole exchange before.
    is_reused: bool,
    /// When the request under way was sent first, if that was over another connection.
    first_sent_ns: Option<u64>,
}

impl ConnectionSlot {
    /// Over one that was used before or not at all.
    const fn new(carrier: Carrier, user: usize, is_once: bool) -> Self {
        Self { carrier, in_flight: None, user, serial: 0, is_once, is_reused: false, first_sent_ns: None }
    }

    /// How far the request under way has come. It began when it was sent first.
    fn began(&self, progress: Progress) -> Progress {
        Progress { sent_ns: self.first_sent_ns.or(progress.sent_ns), ..progress }
    }
}

#[derive(Clone, Copy, Debug)]
struct Deadline {
    at_ns: u64,
    token: usize,
    serial: u64,
}

/// What a worker did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Operations that the feed asked for.
    pub offered: u64,
    /// Operations that began.
    pub started: u64,
    /// Operations that were dropped.
    pub shed: u64,
}

/// One thread's users, connections and records.
pub struct Worker {
    settings: Arc<Settings>,
    part: Shard,
    clock: Clock,
    reactor: Reactor,
    scratch: Vec<u8>,
    lines: Slab<ConnectionSlot>,
    pool: Pool,
    seats: Vec<UserSlot>,
    /// Users whose turn may have come.
    turns: VecDeque<usize>,
    waiting: Queues<(Task, Start)>,
    in_flight: u64,
    serial: u64,
    deadlines: VecDeque<Deadline>,
    /// Sockets that have more than was read at once, with the requests that they are for.
    unfinished: Vec<(Ready, u64)>,
    recorder: Recorder,
    counts: Counts,
    /// Where requests do not go over sockets of its own.
    clients: Option<Clients>,
}

impl Worker {
    /// With this part of so many users.
    #[must_use]
    pub fn new(
        settings: Arc<Settings>,
        part: Shard,
        users: usize,
        recorder: Recorder,
        reactor: Reactor,
        clients: Option<Clients>,
    ) -> Self {
        let pool = match settings.users.connections {
            Connections::Pooled(most) => Pool::new(part.size(most as usize)),
            Connections::PerSession | Connections::PerRequest => Pool::default(),
        };
        let mut worker = Self {
            settings,
            part,
            clock: Clock::start(),
            reactor,
            scratch: vec![0; SCRATCH_BYTES],
            lines: Slab::new(),
            pool,
            seats: Vec::new(),
            turns: VecDeque::new(),
            waiting: Queues::new(),
            in_flight: 0,
            serial: 0,
            deadlines: VecDeque::new(),
            unfinished: Vec::new(),
            recorder,
            counts: Counts::default(),
            clients,
        };
        worker.make_room(part.size(users));
        worker
    }

    /// Takes another start of the load as time zero.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
        if let Some(clients) = &mut self.clients {
            clients.set_clock(clock);
        }
    }

    /// The processor time that its requests took on another thread.
    pub fn clients_cpu_ns(&self) -> u64 {
        self.clients.as_ref().map_or(0, Clients::cpu_ns)
    }

    /// What it has recorded.
    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// What it did.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Its users' sessions, and which of them are worth asking each node for.
    pub fn sessions(&self) -> impl Iterator<Item = (usize, SessionRef, bool)> {
        self.seats.iter().enumerate().flat_map(|(place, seat)| {
            seat.user.sessions().into_iter().map(move |whose| (place, whose, seat.user.is_worth_comparing(whose)))
        })
    }

    /// The node that answered a session's last request through the balancer, if that is known.
    pub fn answered_by(&self, user: usize, whose: SessionRef) -> Option<&str> {
        self.seats.get(user)?.user.answered_by(whose)
    }

    /// At most so many of its users' sessions, spread over all of them.
    pub fn some_sessions(&self, most: usize) -> Vec<(usize, SessionRef)> {
        let all: Vec<(usize, SessionRef)> = self.sessions().map(|(user, whose, _)| (user, whose)).collect();
        let every = all.len().div_ceil(most.max(1)).max(1);
        all.into_iter().step_by(every).collect()
    }

    /// Operations under way, as ones whose end nobody has seen.
    pub fn unfinished(&self) -> Vec<Operation> {
        let now_ns = self.clock.now_ns();
        let under_way = self.lines.iter().filter_map(|(_, line)| Some((line.in_flight?, line)));
        under_way.map(|(in_flight, line)| in_flight.unfinished(&line.began(line.carrier.progress()), now_ns)).collect()
    }

    /// Does what the feed says, until it is exhausted and everything has ended, or `stop` is set. What still waits for
    /// its user at `give_up_ns` is left out.
    ///
    /// # Errors
    /// When the system cannot wait for sockets.
    pub fn run(&mut self, feed: &mut dyn Feed, give_up_ns: u64, stop: &AtomicBool) -> io::Result<()> {
        let mut ready: Vec<Ready> = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            self.start_due(feed, give_up_ns);
            self.expire(feed);
            self.take_turns(feed, give_up_ns);
            let now_ns = self.clock.now_ns();
            self.recorder.end_interval(now_ns, INTERVAL_NS);
            if feed.next_ns().is_none() && self.in_flight == 0 && self.waiting.len() == 0 {
                break;
            }
            let give_up = (self.waiting.len() > 0).then_some(give_up_ns).filter(|at_ns| *at_ns > now_ns);
            let events = [feed.next_ns(), self.deadlines.front().map(|deadline| deadline.at_ns), give_up];
            let next_ns = events.into_iter().flatten().chain([self.recorder.interval_end_ns(INTERVAL_NS)]).min();
            let next_ns = if self.unfinished.is_empty() { next_ns } else { Some(now_ns) };
            let until = next_ns.map(|at_ns| self.clock.instant(at_ns));
            // What goes through a library wakes the reactor by itself.
            let awaits_replies = self.in_flight > 0 && self.clients.is_none();
            self.reactor.wait(until, awaits_replies, &mut ready)?;
            // Those of before come last: a server that never stops sending must not keep the others waiting.
            let unfinished = std::mem::take(&mut self.unfinished);
            let again = unfinished.into_iter().filter(|(ready, serial)| self.serial_of(ready.token) == Some(*serial));
            ready.extend(again.map(|(ready, _)| ready).collect::<Vec<_>>());
            for ready in ready.drain(..) {
                self.go_on(ready, feed);
                // Many replies at once must not make the next start late.
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

    fn make_room(&mut self, seats: usize) {
        if self.seats.is_empty() {
            // Nearly always all of them, known from the start.
            self.seats.reserve_exact(seats);
            self.recorder.make_room(seats);
        }
        for place in self.seats.len()..seats {
            let index = u32::try_from(self.part.index(place)).unwrap_or(u32::MAX);
            let user = User::new(index);
            self.seats.push(UserSlot {
                user,
                waiting: Queue::default(),
                in_flight: 0,
                is_alone: false,
                idle: Vec::new(),
                endpoint: 0,
                client: None,
            });
        }
    }

    fn start_due(&mut self, feed: &mut dyn Feed, give_up_ns: u64) {
        while feed.next_ns().is_some_and(|next_ns| next_ns <= give_up_ns) {
            // Read for each: a start that waits for the ones before it is late, and must be seen to be.
            let dispatched_ns = self.clock.now_ns();
            let Some(Due { user, task, scheduled_ns }) = feed.take(dispatched_ns) else { return };
            self.make_room(user + 1);
            let Some(seat) = self.seats.get_mut(user) else { return };
            self.waiting.push(&mut seat.waiting, (task, Start { scheduled_ns, dispatched_ns }));
            self.counts.offered += 1;
            self.turns.push_back(user);
        }
    }

    fn take_turns(&mut self, feed: &mut dyn Feed, give_up_ns: u64) {
        while let Some(user) = self.turns.pop_front().or_else(|| self.pool.turn()) {
            while self.take_turn(user, feed, give_up_ns) {}
        }
    }

    /// Begins the next operation of a user, if it can begin now. Says whether it did.
    fn take_turn(&mut self, user: usize, feed: &mut dyn Feed, give_up_ns: u64) -> bool {
        let Some(seat) = self.seats.get_mut(user) else { return false };
        let Some((task, start)) = self.waiting.front(seat.waiting) else { return false };
        let now_ns = self.clock.now_ns();
        let drops = match self.settings.overload {
            Overload::Shed(after_ns) => now_ns.saturating_sub(start.scheduled_ns) > after_ns,
            Overload::Queue => false,
        };
        if drops || now_ns >= give_up_ns {
            self.waiting.pop(&mut seat.waiting);
            self.counts.shed += u64::from(drops);
            return true;
        }
        let next = match task {
            Task::FinalRead { whose, .. } => Next::FinalRead(whose),
            Task::Operation(_) => seat.user.next(&self.settings.script, now_ns),
        };
        let has_room = match next {
            Next::Work => !seat.is_alone && seat.in_flight < self.settings.users.at_once.max(1),
            _ => seat.in_flight == 0,
        };
        if !has_room {
            return false;
        }
        let Some(token) = self.connection_for(user, next, task) else { return false };
        if let Some(seat) = self.seats.get_mut(user) {
            self.waiting.pop(&mut seat.waiting);
            seat.in_flight += 1;
            seat.is_alone = next != Next::Work;
        }
        self.in_flight += 1;
        self.counts.started += 1;
        self.begin((user, next), (task, start), token, now_ns, feed);
        true
    }

    /// The connection over which a user's next operation goes, or why none can be made; none where it has to wait for
    /// one.
    fn connection_for(&mut self, user: usize, next: Next, task: Task) -> Option<Result<usize, ErrorKind>> {
        if let Task::FinalRead { at: At::Node(node), .. } = task {
            // From the agent's own address: with each user's, every node would have a neighbour more, and the kernel has
            // room for about a thousand in all.
            return Some(self.open(user, node, None, true));
        }
        let source = self.source_of(user);
        let endpoint = self.endpoint_of(user)?;
        match self.settings.users.connections {
            Connections::PerRequest => Some(self.open(user, endpoint, source, true)),
            Connections::PerSession => {
                let seat = self.seats.get_mut(user)?;
                if next == Next::LogIn {
                    // As a new visitor.
                    seat.client = None;
                    for token in std::mem::take(&mut seat.idle) {
                        self.lines.try_remove(token);
                    }
                }
                match self.seats.get_mut(user)?.idle.pop() {
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

    /// The address from which a user comes.
    fn source_of(&self, user: usize) -> Option<IpAddr> {
        let turn = self.part.index(user).checked_rem(self.settings.users.addresses.len())?;
        self.settings.users.addresses.get(turn).copied()
    }

    /// Users are dealt out over the endpoints, and each stays with its own as long as that can be reached.
    fn endpoint_of(&self, user: usize) -> Option<SocketAddr> {
        let endpoints = &self.settings.destination.endpoints;
        let turn = (self.part.index(user) + self.seats.get(user)?.endpoint).checked_rem(endpoints.len())?;
        endpoints.get(turn).copied()
    }

    fn open(&mut self, user: usize, to: SocketAddr, source: Option<IpAddr>, is_once: bool) -> Result<usize, ErrorKind> {
        let through = self.clients.as_ref().filter(|_| self.settings.destination.endpoints.contains(&to));
        let exchange = match through {
            Some(clients) => {
                let shares = !is_once
                    && self.settings.destination.protocol.is_http2
                    && self.settings.users.connections == Connections::PerSession;
                let seat = self.seats.get_mut(user).filter(|_| shares);
                let client = match seat.as_ref().and_then(|seat| seat.client.clone()) {
                    Some(client) => client,
                    None => clients.client(to, source)?,
                };
                if let Some(seat) = seat {
                    seat.client = Some(client.clone());
                }
                Some(Exchange::new(client, !shares || self.settings.users.at_once <= 1))
            }
            None => None,
        };
        let entry = self.lines.vacant_entry();
        let token = entry.key();
        let carrier = if let Some(exchange) = exchange {
            Carrier::Library(exchange)
        } else {
            let is_bodiless = self.settings.script.is_bodiless();
            Carrier::Socket(Connection::open(&self.reactor, token, (to, source), is_bodiless, self.clock)?)
        };
        entry.insert(ConnectionSlot::new(carrier, user, is_once));
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
        let Some(seat) = self.seats.get_mut(user) else { return };
        let script = &self.settings.script;
        let line = token.and_then(|token| Ok((token, self.lines.get_mut(token).ok_or(ErrorKind::NoSocket)?)));
        match line {
            Ok((token, line)) => {
                let in_flight = seat.user.begin(next, (wanted, start), script, line.carrier.request());
                self.serial += 1;
                (line.user, line.serial, line.in_flight) = (user, self.serial, Some(in_flight));
                let at_ns = now_ns.saturating_add(self.settings.timeout_ns);
                self.forget_deadlines();
                self.deadlines.push_back(Deadline { at_ns, token, serial: self.serial });
                self.send(token, feed);
            }
            Err(error) => {
                let in_flight = seat.user.begin(next, (wanted, start), script, &mut Vec::new());
                let progress = Progress { completed_ns: self.clock.now_ns(), ..Default::default() };
                let operation = seat.end(&in_flight, &progress, Err(error), script, &mut self.recorder);
                if matches!(self.settings.users.connections, Connections::Pooled(_)) {
                    self.pool.lose(usize::MAX);
                }
                self.conclude(user, &operation, feed);
            }
        }
    }

    fn send(&mut self, token: usize, feed: &mut dyn Feed) {
        let Some(ConnectionSlot { carrier, serial, .. }) = self.lines.get_mut(token) else { return };
        match (carrier, &self.clients) {
            (Carrier::Socket(connection), _) => {
                if let Advance::Broken(error) = connection.send(self.clock) {
                    self.break_off(token, error, feed);
                }
            }
            (Carrier::Library(exchange), Some(clients)) => clients.send(exchange, token, *serial),
            (Carrier::Library(_), None) => {}
        }
    }

    fn serial_of(&self, token: usize) -> Option<u64> {
        self.lines.get(token).map(|line| line.serial)
    }

    fn go_on(&mut self, ready: Ready, feed: &mut dyn Feed) {
        for _ in 0..MAX_READS {
            let Some(line) = self.lines.get_mut(ready.token) else { return };
            let ConnectionSlot {
                carrier: Carrier::Socket(connection), in_flight, user, is_once, first_sent_ns, ..
            } = line
            else {
                return;
            };
            if connection.is_invalidated_by(ready) {
                self.lose(ready.token);
                return;
            }
            let (user, is_once, first_sent_ns) = (*user, *is_once, *first_sent_ns);
            let (reply, progress) = match connection.go_on(ready, self.clock, &mut self.scratch) {
                Advance::Pending => return,
                Advance::Again => continue,
                Advance::Broken(error) => return self.break_off(ready.token, error, feed),
                Advance::Done(reply, progress) => {
                    (reply, Progress { sent_ns: first_sent_ns.or(progress.sent_ns), ..progress })
                }
            };
            let (Some(in_flight), Some(seat)) = (in_flight.take(), self.seats.get_mut(user)) else { return };
            let operation = seat.end(&in_flight, &progress, Ok(&reply), &self.settings.script, &mut self.recorder);
            let stays = reply.keep_alive && !is_once;
            self.release(ready.token, user, stays);
            return self.conclude(user, &operation, feed);
        }
        if let Some(serial) = self.serial_of(ready.token) {
            self.unfinished.push((ready, serial));
        }
    }

    /// Ends an operation that went through a library. One that was given up meanwhile has ended already.
    fn finish(&mut self, exchanged: Exchanged, feed: &mut dyn Feed) {
        let Exchanged { token, serial, progress, result } = exchanged;
        let Some(line) = self.lines.get_mut(token).filter(|line| line.serial == serial) else { return };
        let (user, is_once) = (line.user, line.is_once);
        let (Some(in_flight), Some(seat)) = (line.in_flight.take(), self.seats.get_mut(user)) else { return };
        let reply = result.as_ref().map(Whole::reply).map_err(|error| *error);
        let operation = seat.end(
            &in_flight,
            &progress,
            reply.as_ref().map_err(|error| *error),
            &self.settings.script,
            &mut self.recorder,
        );
        self.release(token, user, reply.is_ok() && !is_once);
        self.conclude(user, &operation, feed);
    }

    /// Ends an operation without a complete reply, and its connection.
    fn break_off(&mut self, token: usize, error: ErrorKind, feed: &mut dyn Feed) {
        if self.resend(token, error, feed) {
            return;
        }
        let Some(line) = self.lines.get_mut(token) else { return };
        let progress = line.began(Progress { completed_ns: self.clock.now_ns(), ..line.carrier.progress() });
        let user = line.user;
        let (Some(in_flight), Some(seat)) = (line.in_flight.take(), self.seats.get_mut(user)) else { return };
        let operation = seat.end(&in_flight, &progress, Err(error), &self.settings.script, &mut self.recorder);
        self.release(token, user, false);
        self.conclude(user, &operation, feed);
    }

    /// A connection that was used before may have been closed just when a request was on its way, and not because of it.
    /// What nobody can have taken, and what may be asked twice, is sent again over a new connection, once, as browsers do.
    /// Says whether it was.
    fn resend(&mut self, token: usize, error: ErrorKind, feed: &mut dyn Feed) -> bool {
        let Some(line) = self.lines.get_mut(token) else { return false };
        let (Some(mut in_flight), Carrier::Socket(connection)) = (line.in_flight, &mut line.carrier) else {
            return false;
        };
        let is_harmless = match error {
            ErrorKind::NotSent => true,
            ErrorKind::ResetBeforeReply => self.settings.script.is_safe(in_flight.kind),
            _ => false,
        };
        if !line.is_reused || in_flight.is_resent || !is_harmless {
            return false;
        }
        let request = std::mem::take(&mut connection.request);
        let (user, serial, first_sent_ns) = (line.user, line.serial, connection.progress.sent_ns);
        let Some(endpoint) = self.endpoint_of(user) else { return false };
        let Ok(new) = self.open(user, endpoint, self.source_of(user), false) else { return false };
        let Some(line) = self.lines.get_mut(new) else { return false };
        *line.carrier.request() = request;
        in_flight.is_resent = true;
        line.in_flight = Some(in_flight);
        (line.serial, line.first_sent_ns) = (serial, first_sent_ns);
        // In its place in the pool, and within the time that it had.
        self.lines.try_remove(token);
        for deadline in self.deadlines.iter_mut().filter(|deadline| deadline.serial == serial) {
            deadline.token = new;
        }
        self.send(new, feed);
        true
    }

    /// A connection carries nothing any more.
    fn release(&mut self, token: usize, user: usize, stays: bool) {
        if stays { self.keep(token, user) } else { self.lose(token) }
    }

    fn keep(&mut self, token: usize, user: usize) {
        if let Some(line) = self.lines.get_mut(token) {
            (line.is_reused, line.first_sent_ns) = (true, None);
        }
        match self.settings.users.connections {
            Connections::Pooled(_) => self.pool.give_back(token),
            _ => self.seats.get_mut(user).into_iter().for_each(|seat| seat.idle.push(token)),
        }
    }

    /// A connection is of no further use.
    fn lose(&mut self, token: usize) {
        let Some(line) = self.lines.try_remove(token) else { return };
        if line.is_once {
            return;
        }
        match self.settings.users.connections {
            Connections::Pooled(_) => self.pool.lose(token),
            _ => self.seats.get_mut(line.user).into_iter().for_each(|seat| seat.idle.retain(|idle| *idle != token)),
        }
    }

    fn conclude(&mut self, user: usize, operation: &Operation, feed: &mut dyn Feed) {
        self.recorder.record(user, operation);
        self.in_flight -= 1;
        let Some(seat) = self.seats.get_mut(user) else { return };
        seat.in_flight -= 1;
        seat.is_alone = false;
        if let Outcome::Fail(ErrorKind::Refused | ErrorKind::ConnectTimeout) = operation.outcome {
            // As a browser that knows several addresses of a name.
            seat.endpoint += 1;
            seat.client = None;
        }
        let is_idle = seat.in_flight == 0 && seat.waiting.is_empty();
        if !seat.waiting.is_empty() {
            self.turns.push_back(user);
        }
        feed.ended(Ended { user, operation, is_idle, has_left: seat.user.has_left() });
    }

    /// Gives up what has taken too long.
    fn expire(&mut self, feed: &mut dyn Feed) {
        let now_ns = self.clock.now_ns();
        while let Some(deadline) = self.deadlines.front().copied().filter(|deadline| deadline.at_ns <= now_ns) {
            self.deadlines.pop_front();
            let line = self.lines.get(deadline.token).filter(|line| line.serial == deadline.serial);
            let Some(line) = line.filter(|line| line.in_flight.is_some()) else { continue };
            let is_connecting = line.carrier.is_connecting();
            let error = if is_connecting { ErrorKind::ConnectTimeout } else { ErrorKind::Timeout };
            self.break_off(deadline.token, error, feed);
        }
    }

    /// Operations end in about the order in which they began, so the deadlines of most that have ended are in front.
    fn forget_deadlines(&mut self) {
        while let Some(deadline) = self.deadlines.front() {
            let line = self.lines.get(deadline.token).filter(|line| line.serial == deadline.serial);
            if line.is_some_and(|line| line.in_flight.is_some()) {
                return;
            }
            self.deadlines.pop_front();
        }
    }
}
