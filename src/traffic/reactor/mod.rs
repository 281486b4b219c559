//! Waits for a ready socket or the next start, whichever comes first. Uses the kernel's high-resolution timer, because
//! the timeout of `epoll` is rounded up to a whole millisecond, which would be added to every latency.

mod clock;

use std::io;
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::{Events, Interest, Poll, Token, Waker};

pub use clock::{Clock, thread_cpu_ns, unix_s};

use crate::load::Pacing;

/// Time between two checks for due starts and arrived bytes with [`Pacing::Tick`]: as long as possible while the lag
/// stays within the default limit of 1 ms.
const TICK: Duration = Duration::from_micros(800);
/// With [`Pacing::Spin`], the thread spins for this long before a start.
const SPIN: Duration = Duration::from_millis(2);
/// With [`Pacing::Spin`], no socket is polled for this long before a start, because handling a reply takes several
/// microseconds.
const QUIET: Duration = Duration::from_micros(20);
const EVENTS_AT_ONCE: usize = 256;
const TIMER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// A socket is ready: it accepts bytes, its connection was made or refused, or one of the flags below is set.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// The token with which the socket was registered.
    pub token: usize,
    /// The socket has bytes to read.
    pub readable: bool,
    /// The peer sends no more bytes, or the socket has an error; bytes that have arrived can still be read.
    pub closed: bool,
}

/// One thread's sockets and its timer.
pub struct Reactor {
    poll: Poll,
    events: Events,
    timer: timer::Timer,
    pacing: Pacing,
    last_tick: Instant,
}

impl Reactor {
    /// # Errors
    /// When the system has no more file descriptors.
    pub fn new(pacing: Pacing) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = timer::Timer::new(poll.registry())?;
        Ok(Self { poll, events: Events::with_capacity(EVENTS_AT_ONCE), timer, pacing, last_tick: Instant::now() })
    }

    /// Whether arrived bytes may wait for a while before they are read.
    #[must_use]
    pub fn may_delay_events(&self) -> bool {
        self.pacing != Pacing::Sleep
    }

    /// Makes a waker that ends a wait from another thread.
    ///
    /// # Errors
    /// When the system has no more file descriptors.
    pub fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKER)
    }

    /// Registers a socket, so that [`Self::wait`] reports it from now on.
    ///
    /// # Errors
    /// When the system cannot watch another socket.
    pub fn watch(&self, source: &mut impl Source, token: usize) -> io::Result<()> {
        self.poll.registry().register(source, Token(token), Interest::READABLE | Interest::WRITABLE)
    }

    /// Waits until a socket is ready or `until` is reached. May return early. With [`Pacing::Tick`], it returns at the
    /// next tick if replies are awaited.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&mut self, until: Option<Instant>, awaits_replies: bool, ready: &mut Vec<Ready>) -> io::Result<()> {
        if self.pacing == Pacing::Tick && awaits_replies {
            self.last_tick = sleep::until_after(self.last_tick, TICK)?;
            return self.poll(Some(Duration::ZERO), ready);
        }
        let Some(until) = until else { return self.poll(None, ready) };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if self.pacing == Pacing::Spin && left <= SPIN {
                if left > QUIET || left.is_zero() {
                    self.poll(Some(Duration::ZERO), ready)?;
                }
                // The loop does nothing else, so that it notices the instant at once.
                if !ready.is_empty() || self.was_woken() || Instant::now() >= until {
                    return Ok(());
                }
                continue;
            }
            let timeout = match self.pacing {
                _ if left.is_zero() => Some(Duration::ZERO),
                Pacing::Spin => self.timer.arm(until.checked_sub(SPIN).unwrap_or(until))?,
                Pacing::Sleep | Pacing::Tick => self.timer.arm(until)?,
            };
            return self.poll(timeout, ready);
        }
    }

    fn was_woken(&self) -> bool {
        self.events.iter().any(|event| event.token() == WAKER)
    }

    fn poll(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        ready.extend(self.events.iter().filter(|event| event.token() != TIMER && event.token() != WAKER).map(
            |event| Ready {
                token: event.token().0,
                readable: event.is_readable(),
                closed: event.is_read_closed() || event.is_error(),
            },
        ));
        Ok(())
    }
}

#[cfg(target_os = "linux")]
mod sleep {
    use std::io;
    use std::time::{Duration, Instant};

    use rustix::thread::{ClockId, clock_nanosleep_relative};
    use rustix::time::Timespec;

    /// Sleeps until `tick` after `last`, or not at all if that has passed. Returns the instant of this tick. Missed
    /// ticks are not repeated.
    pub fn until_after(last: Instant, tick: Duration) -> io::Result<Instant> {
        let (now, next) = (Instant::now(), last + tick);
        if next <= now {
            return Ok(now);
        }
        let left = Timespec::try_from(next - now).map_err(io::Error::other)?;
        // A signal may end the sleep early; the tick is early then.
        let _ = clock_nanosleep_relative(ClockId::Monotonic, &left);
        Ok(next)
    }
}

#[cfg(not(target_os = "linux"))]
mod sleep {
    use std::io;
    use std::time::{Duration, Instant};

    pub fn until_after(last: Instant, tick: Duration) -> io::Result<Instant> {
        let (now, next) = (Instant::now(), last + tick);
        std::thread::sleep(next.saturating_duration_since(now));
        Ok(next.max(now))
    }
}

#[cfg(target_os = "linux")]
mod timer {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::time::{Duration, Instant};

    use mio::unix::SourceFd;
    use mio::{Interest, Registry};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };

    /// A kernel timer that is polled like a socket.
    pub struct Timer {
        file: OwnedFd,
        armed: Option<Instant>,
    }

    impl Timer {
        pub fn new(registry: &Registry) -> io::Result<Self> {
            let file = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            registry.register(&mut SourceFd(&file.as_raw_fd()), super::TIMER, Interest::READABLE)?;
            Ok(Self { file, armed: None })
        }

        /// Makes the next wait end at `wake`. Returns the timeout of the wait itself: `None` if the timer ends it.
        pub fn arm(&mut self, wake: Instant) -> io::Result<Option<Duration>> {
            let now = Instant::now();
            // An earlier wake-up that is still pending is good enough, which saves a system call per wait.
            if self.armed.is_some_and(|armed| now < armed && armed <= wake) {
                return Ok(None);
            }
            // Zero would disarm the timer.
            let left = wake.saturating_duration_since(now).max(Duration::from_nanos(1));
            let it_value = Timespec::try_from(left).map_err(io::Error::other)?;
            let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
            timerfd_settime(&self.file, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
            self.armed = Some(wake);
            Ok(None)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod timer {
    use std::io;
    use std::time::{Duration, Instant};

    use mio::Registry;

    /// Does nothing: on other systems the timeout of the wait is precise enough.
    pub struct Timer;

    impl Timer {
        pub fn new(_: &Registry) -> io::Result<Self> {
            Ok(Self)
        }

        pub fn arm(&mut self, wake: Instant) -> io::Result<Option<Duration>> {
            Ok(Some(wake.saturating_duration_since(Instant::now())))
        }
    }
}
