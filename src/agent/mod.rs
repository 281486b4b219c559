//! The agent: the process that fires the traffic, beside the cluster, on its front network.
//!
//! It is this same program, started as `steadfast agent` in an empty image. The driver speaks to it
//! over its standard input and output ([`protocol`]); [`remote`] is the driver's end. What it fires is
//! [`crate::traffic`]. It does not know Docker, faults or verdicts.

mod addresses;
mod preflight;
mod probe;
mod process;
pub mod protocol;
pub mod readiness;
pub mod remote;

pub use process::run;
