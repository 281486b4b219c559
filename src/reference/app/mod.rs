//! An app node: serves the session contract (docker/CONTRACT.md) with one of the strategies. [`session`] defines a
//! session, [`contract`] the calls, and one file per strategy says where sessions live:
//!
//! | strategy | where a session lives | file |
//! | --- | --- | --- |
//! | `none`, `sticky-*` | on the node that created it; the balancer makes it sticky | [`local`] |
//! | `replicate-all` | on every node | [`replicate_all`] |
//! | `primary-backup` | on one node and one backup; the others know where | [`primary_backup`] |
//! | `store` | in a store outside the nodes | [`store`] |
//! | `client-side` | in the client's cookie | [`client_side`] |
//!
//! [`defective`] is not a strategy: it has a defect that the checker must find.

mod client_side;
pub mod contract;
mod defective;
mod local;
mod members;
mod outcome;
mod primary_backup;
mod replicate_all;
pub mod session;
pub mod shop;
mod store;
mod strategy;
#[cfg(test)]
mod testing;

pub use strategy::Sessions;
