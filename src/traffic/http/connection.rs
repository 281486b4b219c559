//! One TCP connection and its request in flight, without blocking: it resumes when the reactor reports that the socket
//! is ready. A worker owns it instead of the pool of a client library, because such a pool would race new connections
//! against idle ones and hide which node a session sticks to.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};

use super::arrival;
use super::reply::{Parsed, Reply, Seen, parse_on};
use crate::history::ErrorKind;
use crate::traffic::reactor::{Clock, Reactor, Ready};

/// The progress of a request. Times are in nanoseconds on the load's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How long it took to connect, if a connection had to be made.
    pub connect_ns: Option<u64>,
    /// When the request was handed to the socket, if it was.
    pub sent_ns: Option<u64>,
    /// When the first bytes of a reply arrived, if any did.
    pub first_byte_ns: Option<u64>,
    /// When the last byte arrived, or the request was abandoned.
    pub completed_ns: u64,
    /// Bytes of the request that the kernel has accepted.
    pub sent_bytes: u32,
    /// Bytes of the reply that have arrived.
    pub received_bytes: u32,
}

/// The result of a step of a request.
#[derive(Debug)]
pub enum Advance<'a> {
    /// The request resumes when the socket is ready again.
    Pending,
    /// There may be more bytes to read now.
    Again,
    /// A complete reply, and the progress of the request.
    Done(Reply<'a>, Progress),
    /// No complete reply will arrive. The connection cannot be used any more.
    Broken(ErrorKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting { since_ns: u64 },
    Sending,
    Receiving,
    Idle,
}

/// How much of a body is still to be discarded.
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
    /// The request in flight. The owner of the connection writes it before [`Connection::send`].
    pub request: Vec<u8>,
    /// The progress of the request.
    pub progress: Progress,
    received: Vec<u8>,
    needed: usize,
    seen: Seen,
    /// The rest of a body that is discarded.
    skipping: Option<Skipped>,
    is_bodiless: bool,
    /// Whether the kernel timestamps received bytes.
    is_stamped: bool,
}

impl Connection {
    /// Begins to connect, from a source address if one is given. With `is_bodiless`, replies have no body.
    ///
    /// # Errors
    /// Why nothing can be sent, for example because the system has no socket or port left.
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

    /// Whether a request is in flight.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.phase != Phase::Idle
    }

    /// Whether the connection is not made yet.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        matches!(self.phase, Phase::Connecting { .. })
    }

    /// Sends `request`, now or as soon as the connection is made.
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

    /// Resumes the request after the socket became ready. Overwrites `scratch`.
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

    /// Whether an idle connection cannot be used any more, because its socket has bytes or was closed.
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
                // If the kernel accepted no byte, nothing was sent; otherwise bytes may have arrived.
                _ if self.progress.sent_ns.is_none() => return Advance::Broken(ErrorKind::NotSent),
                // A server that refuses a request as too large replies before it has read all of it, and closes.
                _ => {
                    self.phase = Phase::Receiving;
                    return Advance::Pending;
                }
            }
        }
    }

    /// Reads a reply in place if it is complete and fits into `scratch`; copies only a reply that arrives in pieces.
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
        // Kernel timestamps use the wall clock, which may have been set meanwhile.
        self.progress.completed_ns = arrived_ns.max(self.progress.sent_ns.unwrap_or_default());
        if read > 0 {
            self.progress.first_byte_ns.get_or_insert(self.progress.completed_ns);
            self.progress.received_bytes =
                self.progress.received_bytes.saturating_add(u32::try_from(read).unwrap_or(u32::MAX));
        }
        // A read that does not fill `scratch` has taken all bytes: later ones make the socket ready again.
        let goes_on = if closed || read == scratch.len() { Advance::Again } else { Advance::Pending };
        let new = scratch.get(..read).unwrap_or_default();
        // Also closes after an incomplete request: the server would take the rest of it for the next one.
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
            // Parsed again below if it is complete, because this borrow cannot be returned (borrow checker).
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

    /// Keeps only the headers of the received bytes.
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

    /// Discards bytes of a body.
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
        // The reply consists of its headers. Bytes after the body belong to no reply.
        let parsed = parse_on(&self.received, false, true, &mut Seen::default());
        let length = self.received.len() + usize::from(has_more);
        conclude(parsed, length, ends, &self.progress, &mut self.phase)
    }

    fn reset(&self) -> ErrorKind {
        if self.progress.first_byte_ns.is_some() { ErrorKind::ResetInReply } else { ErrorKind::ResetBeforeReply }
    }
}

/// The result of `length` received bytes when no more are awaited.
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
            // Extra bytes would be taken for the next reply.
            let keep_alive = reply.keep_alive && taken == length && !ended && !closed;
            Advance::Done(Reply { keep_alive, ..reply }, *progress)
        }
        _ if progress.first_byte_ns.is_none() => Advance::Broken(ErrorKind::ResetBeforeReply),
        Parsed::Malformed => Advance::Broken(ErrorKind::Malformed),
        Parsed::TooLarge => Advance::Broken(ErrorKind::TooLarge),
        Parsed::Incomplete(_) | Parsed::Large(..) => Advance::Broken(ErrorKind::CutOff),
    }
}

/// Why there is no connection, and whether `bind` or another call failed.
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
            // The generator has lost this client address.
            Self::Bind(error) if error.kind() == io::ErrorKind::AddrNotAvailable => ErrorKind::NoNetwork,
            Self::Bind(error) | Self::Other(error) => connect_error(error),
        }
    }
}

/// Whether a non-blocking `connect` is in progress, which it reports as an error.
fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

/// The kind of an error of connecting.
pub fn connect_error(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::TimedOut => ErrorKind::ConnectTimeout,
        // The generator has no route. A node that is gone gives another error: host unreachable.
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => ErrorKind::NoNetwork,
        // No port, file descriptor or memory left: limits of the generator, not of the server.
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
