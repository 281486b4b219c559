//! Clusters of child processes on the loopback, without a Docker engine. Only reference targets run here, because all
//! their nodes are this program.
//!
//! Each node has its own address in 127.0.0.0/8, or its own port on 127.0.0.1. It reads its configuration from standard
//! input and ends when that closes, so it ends with the driver. Signals and sockets are real.

mod addresses;
mod child;
mod cluster;
mod usage;

pub use addresses::is_whole_loopback;
pub(super) use child::{Child, Log};
pub use cluster::ProcessCluster;
