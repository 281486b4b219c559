//! The agent: the process that fires the traffic, beside the cluster, on its front network.
//!
//! It is this same program, started as `steadfast agent` in an empty image. The driver speaks to it
//! over its standard input and output ([`protocol`]); [`remote`] is the driver's end. Inside,
//! [`generator`] starts operations on schedule, a [`user`] performs them on its
//! own [`connection`], and [`classify`] says how each ended. It knows HTTP and the session contract;
//! it does not know Docker, faults or verdicts: which reply is *wrong* is decided later, from the history.

mod addresses;
mod classify;
mod connection;
mod cookies;
mod generator;
mod pacer;
mod probe;
mod process;
pub mod protocol;
pub mod readiness;
mod recorder;
pub mod remote;
mod reply;
mod user;

pub use process::run;
