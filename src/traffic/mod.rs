//! The traffic: virtual users with sessions, their connections, and the loop that starts their operations on time.
//!
//! Each thread is a [`worker`] with users, connections and records of its own; an [`Engine`] has one or more of them.
//! A [`feed`] says who is to do what and when: by a schedule, after thinking, on arrival, or to read every
//! session in the end. A [`user`] says what it really does and what it makes of the reply, in the words of a [`script`].
//! A [`connection`] carries one request at a time, and goes on when the [`reactor`] says that its socket is ready; over TLS
//! and in HTTP/2 it is a [`client`] of a library instead.
//!
//! Nothing here waits for anything but the reactor, takes a lock, or allocates for each byte: what the generator costs
//! is missing to the system under test. It knows HTTP and clocks; it knows neither who started it, nor faults or
//! verdicts: which reply is *wrong* is decided later, from the history.

mod arrival;
mod carrier;
mod classify;
mod client;
mod clock;
mod connection;
mod cookies;
mod dates;
#[cfg(test)]
mod defects;
mod engine;
mod feed;
mod pool;
mod queues;
mod reactor;
mod recorder;
mod reply;
mod script;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod user;
mod worker;

pub use classify::Shown;
pub use client::library;
pub use clock::unix_s;
pub use cookies::{CookieJar, Site};
pub use engine::{Engine, EngineError, Stopper};
pub use reactor::{Reactor, Ready};
pub use recorder::{Interval, RecorderError, Summary, spill_folder};
pub use reply::Reply;
pub use script::{Contract, Plain, Script};

use serde::{Deserialize, Serialize};

/// When an operation was to start, and when it was handed to its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// By the schedule.
    pub scheduled_ns: u64,
    /// Later only by the generator's fault.
    pub dispatched_ns: u64,
}

/// How well the generator kept its schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorHealth {
    /// Operations that the schedule asked for.
    pub offered: u64,
    /// Operations that were started; the others waited for their session until the end, or were shed.
    pub started: u64,
    /// Operations that were dropped because they had waited too long.
    pub shed: u64,
    /// The processor time of the threads that fired, in nanoseconds.
    pub cpu_ns: u64,
    /// The share of a core that the busiest of these threads took.
    pub busiest_core: f64,
}
