//! The traffic: virtual users with sessions, their connections, and the loop that starts their operations on time.
//!
//! Each thread is a [`worker`] with its own users, connections and records; a [`LoadGenerator`] has one or more workers. A
//! [`feed`] decides which user acts and when: on a schedule, after a think time, on arrival, or in the final read. A
//! [`user`] has cookies and a session and follows a [`Script`], which writes requests and interprets replies. [`http`]
//! sends one request at a time over a connection and resumes when the [`reactor`] reports that the socket is ready;
//! over TLS and HTTP/2 an HTTP library does that instead. A [`recorder`] keeps every operation.
//!
//! A worker with plain HTTP/1.1 waits only for the reactor, takes no lock and does not allocate per byte, because the
//! system under test misses the CPU time that the generator uses. This module knows HTTP and clocks. It does not know
//! its caller, faults or verdicts: the checker decides later, from the history, which replies are wrong.

#[cfg(test)]
mod defects;
mod feed;
mod http;
mod load_generator;
mod reactor;
mod recorder;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod user;
mod worker;

pub use http::client::{Whole, library, request_of};
pub use http::reply::Reply;
pub use load_generator::{GeneratorError, LoadGenerator, Stopper};
pub use reactor::{Reactor, Ready, unix_s};
pub use recorder::{Interval, RecorderError, Summary, spill_folder};
pub use user::{
    Asking, Contract, CookieJar, Mapped, Plain, Script, Shown, Site, StepEnd, StepPlace, Variables, made_up,
};
