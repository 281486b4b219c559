//! An app node: serves the session contract (docker/CONTRACT.md) over one of the strategies. What a session
//! is stands in [`session`], the calls in [`contract`], and where sessions live in a file per strategy:
//!
//! | strategy | where a session lives | file |
//! | --- | --- | --- |
//! | `none`, `sticky-*` | on the node that made it; sticking is the balancer's matter | [`local`] |
//! | `replicate-all` | on every node | [`replicate_all`] |
//! | `primary-backup` | on one node and one backup; the others know where | [`primary_backup`] |
//! | `store` | in a store outside the nodes | [`store`] |
//! | `client-side` | in the client's cookie | [`client_side`] |
//!
//! [`defective`] is none of them: it does one thing wrong, for the checker to find.

mod client_side;
pub mod contract;
mod defective;
mod local;
mod members;
mod outcome;
mod primary_backup;
mod replicate_all;
pub mod session;
mod store;
mod strategy;
#[cfg(test)]
mod testing;

pub use strategy::Sessions;
