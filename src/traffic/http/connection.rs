//! One TCP connection and the request that is under way on it, without waiting: it goes on when the reactor says that
//! its socket is ready. It is owned, not pooled by a client library: such a pool would race new connections against idle
//! ones and blur which node a session sticks to.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};

use super::arrival;
use super::reply::{Parsed, Reply, Seen, parse_on};
use crate::history::ErrorKind;
use crate::traffic::reactor::{Clock, Reactor, Ready};

/// How far a request has come, in nanoseconds on the load's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How long it took to connect, where it had to.
    pub connect_ns: Option<u64>,
    /// When the request was handed to the socket, if it was.
    pub sent_ns: Option<u64>,
    /// When the first bytes of a reply were there, if they were.
    pub first_byte_ns: Option<u64>,
    /// When the last byte was there, or the request was given up.
    pub completed_ns: u64,
    /// How much of the request the kernel has taken.
    pub sent_bytes: u32,
    /// How much of a reply there is.
    pub received_bytes: u32,
}

/// What has become of a request.
#[derive(Debug)]
pub enum Advance<'a> {
    /// It goes on when the socket is ready again.
    Pending,
    /// There may be more at once.
    Again,
    /// A complete reply, and how it came.
    Done(Reply<'a>, Progress),
    /// No complete reply will come. The connection is of no further use.
    Broken(ErrorKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting { since_ns: u64 },
    Sending,
    Receiving,
    Idle,
}

/// How much of a body goes by.
#[derive(Clone, Copy, Debug)]
enum Skipped {
    Bytes(usize),
    UntilClose,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    phase: Phase,
    /// The request under way; written into by who owns the connection, before [`Connection::send`].
    pub request: Vec<u8>,
    /// How far it has come.
    pub progress: Progress,
    received: Vec<u8>,
    needed: usize,
    seen: Seen,
    /// What is left of a body that is not kept.
    skipping: Option<Skipped>,
    is_bodiless: bool,
    /// Whether the kernel says when bytes came.
    is_stamped: bool,
}

impl Connection {
    /// Begins to connect, from a source if one is given. Where it `is_bodiless`, replies end with their heads.
    ///
    /// # Errors
    /// Why nothing can be sent: at once where the system has no socket or port left.
    pub fn open(
        reactor: &Reactor,
        token: usize,
        (to, source): (SocketAddr, Option<IpAddr>),
        is_bodiless: bool,
        clock: Clock,
    ) -> Result<Self, ErrorKind> {
        let since_ns = clock.now_ns();
        let connect = || -> Result<TcpStream, Unopened> {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            socket.set_tcp_nodelay(true)?;
            if let Some(source) = source {
                socket.bind(&SocketAddr::new(source, 0).into()).map_err(Unopened::Bind)?;
            }
            match socket.connect(&to.into()) {
                Err(error) if !is_under_way(&error) => return Err(error.into()),
                _ => {}
            }
            if reactor.may_delay_events() {
                arrival::ask_for_stamps(&socket)?;
            }
            let mut stream = TcpStream::from_std(socket.into());
            reactor.watch(&mut stream, token)?;
            Ok(stream)
        };
        let stream = connect().map_err(|unopened| unopened.kind())?;
        let phase = Phase::Connecting { since_ns };
        let progress = Progress::default();
        let is_stamped = reactor.may_delay_events();
        Ok(Self {
            stream,
            phase,
            request: Vec::new(),
            progress,
            received: Vec::new(),
            needed: 0,
            seen: Seen::default(),
            skipping: None,
            is_bodiless,
            is_stamped,
        })
    }

    /// Whether a request is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.phase != Phase::Idle
    }

    /// Whether it is not connected yet.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        matches!(self.phase, Phase::Connecting { .. })
    }

    /// Sends what stands in `request`, now or as soon as it is connected.
    pub fn send(&mut self, clock: Clock) -> Advance<'static> {
        self.progress = Progress::default();
        self.received.clear();
        self.needed = 0;
        self.seen = Seen::default();
        self.skipping = None;
        if self.is_connecting() {
            return Advance::Pending;
        }
        self.phase = Phase::Sending;
        self.go_on_sending(clock)
    }

    /// Goes on after its socket was ready. `scratch` is overwritten.
    pub fn go_on<'a>(&'a mut self, ready: Ready, clock: Clock, scratch: &'a mut [u8]) -> Advance<'a> {
        if let Phase::Connecting { since_ns } = self.phase {
            match self.finish_connecting() {
                Ok(false) => return Advance::Pending,
                Ok(true) => {}
                Err(error) => {
                    self.progress.connect_ns = Some(clock.now_ns() - since_ns);
                    return Advance::Broken(error);
                }
            }
            self.progress.connect_ns = Some(clock.now_ns() - since_ns);
            self.phase = Phase::Sending;
        }
        if self.phase == Phase::Sending
            && let Advance::Broken(error) = self.go_on_sending(clock)
        {
            return Advance::Broken(error);
        }
        let was_refused = self.phase == Phase::Receiving && (self.progress.sent_bytes as usize) < self.request.len();
        if (ready.readable || ready.closed || was_refused) && self.is_busy() {
            self.receive(ready.closed, clock, scratch)
        } else {
            Advance::Pending
        }
    }

    /// What an idle connection's socket may not do: have bytes, or end.
    #[must_use]
    pub fn is_invalidated_by(&self, ready: Ready) -> bool {
        !self.is_busy() && (ready.readable || ready.closed)
    }

    fn finish_connecting(&self) -> Result<bool, ErrorKind> {
        if let Some(error) = self.stream.take_error().map_err(|error| connect_error(&error))? {
            return Err(connect_error(&error));
        }
        match self.stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected || is_under_way(&error) => Ok(false),
            Err(error) => Err(connect_error(&error)),
        }
    }

    fn go_on_sending(&mut self, clock: Clock) -> Advance<'static> {
        let sent_ns = clock.now_ns();
        loop {
            let Some(rest) = self.request.get(self.progress.sent_bytes as usize..).filter(|rest| !rest.is_empty())
            else {
                self.phase = Phase::Receiving;
                return Advance::Pending;
            };
            match self.stream.write(rest) {
                Ok(taken) if taken > 0 => {
                    self.progress.sent_ns.get_or_insert(sent_ns);
                    self.progress.sent_bytes += u32::try_from(taken).unwrap_or(u32::MAX);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Advance::Pending,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Bytes that the kernel never took were never sent; others may have arrived.
                _ if self.progress.sent_ns.is_none() => return Advance::Broken(ErrorKind::NotSent),
                // A server that refuses what is too large answers before it has read all of it, and hangs up.
                _ => {
                    self.phase = Phase::Receiving;
                    return Advance::Pending;
                }
            }
        }
    }

    /// What fits into `scratch` and is complete is read in place; only what comes in pieces is copied.
    fn receive<'a>(&'a mut self, closed: bool, clock: Clock, scratch: &'a mut [u8]) -> Advance<'a> {
        let read = if self.is_stamped {
            arrival::read(&self.stream, scratch)
        } else {
            self.stream.read(scratch).map(|read| (read, Duration::ZERO))
        };
        let (read, ended, since) = match read {
            Ok((0, since)) => (0, true, since),
            Ok((read, since)) => (read, false, since),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Advance::Pending,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Advance::Again,
            Err(_) => return Advance::Broken(self.reset()),
        };
        let arrived_ns = clock.now_ns().saturating_sub(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        // The wall clock, in which the kernel stamps, may have been set meanwhile.
        self.progress.completed_ns = arrived_ns.max(self.progress.sent_ns.unwrap_or_default());
        if read > 0 {
            self.progress.first_byte_ns.get_or_insert(self.progress.completed_ns);
            self.progress.received_bytes =
                self.progress.received_bytes.saturating_add(u32::try_from(read).unwrap_or(u32::MAX));
        }
        // Less than there was room for is all that has arrived: what comes later makes the socket ready again.
        let goes_on = if closed || read == scratch.len() { Advance::Again } else { Advance::Pending };
        let new = scratch.get(..read).unwrap_or_default();
        // What is left of a request would be taken for the next one.
        let ends = (ended, closed || (self.progress.sent_bytes as usize) < self.request.len());
        if let Some(skipped) = self.skipping {
            return self.skip(skipped, read, ends, goes_on);
        }
        if self.received.is_empty() {
            match parse_on(new, ended, self.is_bodiless, &mut self.seen) {
                Parsed::Incomplete(needed) if !ended => {
                    self.needed = needed;
                    self.received.extend_from_slice(new);
                    goes_on
                }
                Parsed::Large(head, length) => {
                    self.received.extend_from_slice(new);
                    self.begin_to_skip(head, length, ends, goes_on)
                }
                parsed => conclude(parsed, new.len(), ends, &self.progress, &mut self.phase),
            }
        } else {
            self.received.extend_from_slice(new);
            if !ended && self.received.len() < self.needed {
                return goes_on;
            }
            // Read once more where it is complete: a borrow of it cannot be given back otherwise.
            match parse_on(&self.received, ended, self.is_bodiless, &mut self.seen) {
                Parsed::Incomplete(needed) if !ended => {
                    self.needed = needed - self.seen.forget(&mut self.received);
                    return goes_on;
                }
                Parsed::Large(head, length) => return self.begin_to_skip(head, length, ends, goes_on),
                _ => {}
            }
            let parsed = parse_on(&self.received, ended, self.is_bodiless, &mut self.seen);
            conclude(parsed, self.received.len(), ends, &self.progress, &mut self.phase)
        }
    }

    /// Keeps the head alone of what has come.
    fn begin_to_skip(
        &mut self,
        head: usize,
        length: Option<usize>,
        ends: (bool, bool),
        goes_on: Advance<'static>,
    ) -> Advance<'_> {
        let came = self.received.len() - head;
        self.received.truncate(head);
        let skipped = length.map_or(Skipped::UntilClose, Skipped::Bytes);
        self.skip(skipped, came, ends, goes_on)
    }

    /// Lets bytes of a body go by.
    fn skip(&mut self, skipped: Skipped, came: usize, ends: (bool, bool), goes_on: Advance<'static>) -> Advance<'_> {
        let (is_whole, has_more) = match skipped {
            Skipped::Bytes(left) => {
                self.skipping = Some(Skipped::Bytes(left.saturating_sub(came)));
                (came >= left, came > left)
            }
            Skipped::UntilClose => {
                self.skipping = Some(skipped);
                (ends.0, true)
            }
        };
        if !is_whole {
            return if ends.0 { Advance::Broken(ErrorKind::CutOff) } else { goes_on };
        }
        // The reply is its head; what came after the body belongs to nobody.
        let parsed = parse_on(&self.received, false, true, &mut Seen::default());
        let length = self.received.len() + usize::from(has_more);
        conclude(parsed, length, ends, &self.progress, &mut self.phase)
    }

    fn reset(&self) -> ErrorKind {
        if self.progress.first_byte_ns.is_some() { ErrorKind::ResetInReply } else { ErrorKind::ResetBeforeReply }
    }
}

/// What `length` bytes come to after which no more are awaited.
fn conclude<'a>(
    parsed: Parsed<'a>,
    length: usize,
    (ended, closed): (bool, bool),
    progress: &Progress,
    phase: &mut Phase,
) -> Advance<'a> {
    match parsed {
        Parsed::Complete(reply, taken) => {
            *phase = Phase::Idle;
            // Bytes that nobody asked for would be taken for the next reply.
            let keep_alive = reply.keep_alive && taken == length && !ended && !closed;
            Advance::Done(Reply { keep_alive, ..reply }, *progress)
        }
        _ if progress.first_byte_ns.is_none() => Advance::Broken(ErrorKind::ResetBeforeReply),
        Parsed::Malformed => Advance::Broken(ErrorKind::Malformed),
        Parsed::TooLarge => Advance::Broken(ErrorKind::TooLarge),
        Parsed::Incomplete(_) | Parsed::Large(..) => Advance::Broken(ErrorKind::CutOff),
    }
}

/// Why there is no connection, and where that was found out.
enum Unopened {
    Bind(io::Error),
    Other(io::Error),
}

impl From<io::Error> for Unopened {
    fn from(error: io::Error) -> Self {
        Self::Other(error)
    }
}

impl Unopened {
    fn kind(&self) -> ErrorKind {
        match self {
            // An address that was the generator's own a moment ago.
            Self::Bind(error) if error.kind() == io::ErrorKind::AddrNotAvailable => ErrorKind::NoNetwork,
            Self::Bind(error) | Self::Other(error) => connect_error(error),
        }
    }
}

/// `connect` on a socket that does not wait says so with an error.
fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

/// Why nothing could be sent.
pub fn connect_error(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::TimedOut => ErrorKind::ConnectTimeout,
        // No route from here; a node that is gone is a host that cannot be reached.
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => ErrorKind::NoNetwork,
        // No port, no file descriptor, no memory: the generator's own limits, not the server's.
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse | io::ErrorKind::OutOfMemory => ErrorKind::NoSocket,
        _ if [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::NOBUFS]
            .iter()
            .any(|own| error.raw_os_error() == Some(own.raw_os_error())) =>
        {
            ErrorKind::NoSocket
        }
        _ => ErrorKind::Refused,
    }
}
