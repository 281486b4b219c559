//! The traffic: virtual users with sessions, their connections, and the loop that starts their operations on time.
//!
//! Each thread is a [`worker`] with users, connections and records of its own; an [`Engine`] has one or more of them.
//! A [`feed`] decides which user acts and when: by a schedule, after thinking, on arrival, or to read every
//! session in the end. A [`user`] has cookies and a session, and follows a [`Script`]: what requests it sends and what
//! replies mean. [`http`] carries one request at a time over a connection, which goes on when the [`reactor`] says that its
//! socket is ready; over TLS and in HTTP/2 a library does that instead. A [`recorder`] keeps every operation.
//!
//! Nothing here waits for anything but the reactor, takes a lock, or allocates for each byte: what the generator costs
//! is missing to the system under test. It knows HTTP and clocks; it knows neither who started it, nor faults or
//! verdicts: which reply is *wrong* is decided later, from the history.

#[cfg(test)]
mod defects;
mod engine;
mod feed;
mod http;
mod reactor;
mod recorder;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod user;
mod worker;

pub use engine::{Engine, EngineError, Stopper};
pub use http::client::library;
pub use http::reply::Reply;
pub use reactor::{Reactor, Ready, unix_s};
pub use recorder::{Interval, RecorderError, Summary, spill_folder};
pub use user::{Contract, CookieJar, Plain, Script, Shown, Site};
