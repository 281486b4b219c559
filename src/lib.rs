//! steadfast answers where user sessions should live when there is more than one server, and what
//! happens when one dies: it starts real topologies, drives them with session traffic, crashes
//! parts of them, checks every reply, and reports per strategy what survived and what it cost.
//!
//! The flow, which the imports follow:
//!
//! ```text
//! profile + target -> plan -> cluster -> run (agent + faults) -> history -> check   -> verdict
//!                                                                        -> measure -> measurements
//!                                                 verdict + measurements -> record -> report
//! ```
//!
//! Everything before *history* does I/O and is async; everything after it is pure.

pub mod agent;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod compare;
pub mod conclude;
#[cfg(test)]
mod damage;
mod digest;
pub mod expect;
pub mod fault;
pub mod files;
pub mod history;
pub mod hosts;
mod init;
pub mod load;
mod lock;
pub mod mapping;
pub mod measure;
pub mod metric;
pub mod parameters;
pub mod payload;
pub mod plan;
pub mod profile;
pub mod record;
pub mod reference;
pub mod report;
pub mod run;
mod secrets;
pub mod statistics;
pub mod topology;
pub mod traffic;
pub mod values;
