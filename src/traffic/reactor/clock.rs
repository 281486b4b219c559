//! Clocks: nanoseconds since the start of a load, Unix time, and the CPU time of a thread.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Counts nanoseconds from an instant that all threads of a load share.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: Instant,
}

impl From<Instant> for Clock {
    /// A clock that starts at this instant.
    fn from(zero: Instant) -> Self {
        Self { zero }
    }
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { zero: Instant::now() }
    }

    /// Nanoseconds since the clock's start.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The instant `ns` nanoseconds after the clock's start.
    #[must_use]
    pub fn instant(&self, ns: u64) -> Instant {
        self.zero + Duration::from_nanos(ns)
    }
}

/// Unix time in seconds, for the expiry of cookies.
#[must_use]
pub fn unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// CPU time of the calling thread, in nanoseconds.
#[cfg(target_os = "linux")]
pub fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or_default() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

/// Always 0: systems other than Linux are only for trying things out.
#[cfg(not(target_os = "linux"))]
pub fn thread_cpu_ns() -> u64 {
    0
}
