//! Clusters of child processes on the loopback, where no Docker engine is at hand. Only targets whose nodes
//! are all this program run here: the reference targets.
//!
//! Each node has an address of its own in 127.0.0.0/8, takes its configuration from its standard input, and
//! ends when that ends: whatever kills the driver ends its nodes. Signals are real; so are the sockets.

mod addresses;
mod child;
mod cluster;
mod usage;

pub use addresses::is_whole_loopback;
pub use cluster::ProcessCluster;
