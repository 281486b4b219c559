//! The agent: the process that sends the traffic, on the cluster's front network.
//!
//! It is this program, started as `steadfast agent` in an empty image. The driver sends commands to its standard input
//! and reads messages from its standard output ([`protocol`]); [`remote`] is the driver's side. [`crate::traffic`]
//! generates the load. The agent does not know Docker, faults or verdicts.

mod addresses;
mod clock_offset;
pub mod fleet;
mod preflight;
mod probe;
mod process;
pub mod protocol;
pub mod readiness;
mod register;
pub mod remote;
mod walk;

pub use process::run;
