//! The reference stack: each strategy in its plainest form, as servers that are this program itself.
//!
//! It has three uses: runs without a Docker engine, strategies without a JVM's noise, and code that shows how each
//! strategy works. A node is one process with one thread:
//!
//! - [`app`] serves the session contract, with one file per strategy.
//! - [`balancer`] forwards requests to app nodes: in turn, by cookie, by address, or by consistent hashing.
//! - [`store`] keeps sessions for app nodes, in memory and optionally in a file.
//!
//! They use these modules: [`http`] serves HTTP with limits, [`link`] carries questions and answers between nodes over
//! TCP, [`counters`] counts the bytes of each network, and [`supervised`] ends a node when its driver is gone.
//!
//! These servers are not the real products, and no report presents them as such. The stack does not know profiles,
//! faults, verdicts, or the runtime that started it.

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
