//! The reference stack: each strategy in its plainest form, as servers that are this same program.
//!
//! It is for three things: a run where no Docker engine is at hand, strategies without a JVM's noise, and
//! reading how each strategy works. A node is one process with one thread:
//!
//! - [`app`] serves the session contract; one file per strategy says where sessions live.
//! - [`balancer`] hands requests to app nodes: by turns, by cookie, by address, or by consistent hashing.
//! - [`store`] keeps sessions for app nodes, in memory and optionally in a file.
//!
//! Below them, [`http`] serves HTTP with limits, [`link`] carries questions and answers between nodes over
//! TCP, [`counters`] counts the bytes of each network, and [`supervised`] ties a node to its driver.
//!
//! They are not the real products, and no report lets them pass as such. The stack knows nothing of
//! profiles, faults, verdicts, or of the runtime that started it.

mod app;
mod balancer;
mod config;
pub mod counters;
#[cfg(test)]
mod hostile;
mod http;
mod identity;
mod link;
mod listener;
mod node;
mod store;
pub mod supervised;

pub use node::{NodeError, Origin, Role, is_up, run};
