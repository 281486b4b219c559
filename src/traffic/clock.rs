//! The clock of a load: nanoseconds from its start.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Counts from an instant that all threads of a load share.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: Instant,
}

impl Clock {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { zero: Instant::now() }
    }

    /// Since its start.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The instant at which it shows so many nanoseconds.
    #[must_use]
    pub fn instant(&self, ns: u64) -> Instant {
        self.zero + Duration::from_nanos(ns)
    }
}

/// The seconds since 1970, for what has a date.
#[must_use]
pub fn unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
