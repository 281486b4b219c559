//! Faults: injected into a cluster, and healed. Each fault has one file with its parameters, its facts, and how it is
//! injected, healed and verified. A fault whose effect is not seen is an error, never a success.
//!
//! To add a fault, add a file next to `kill.rs` with a type that implements [`Definition`], a `mod` line, and a line in
//! the list below. The list generates the keys in profiles, the entry in `steadfast list`, the name in the schema of
//! `summary.json`, and the calls.

pub mod attached;
mod clear;
mod command;
mod corrupt;
mod cpu;
mod definition;
mod delay;
mod drain;
mod failover;
mod flush;
mod full;
mod host_kill;
mod host_partition;
mod host_pause;
mod join;
mod kill;
mod kill_process;
mod kind;
mod leave;
mod list;
mod loss;
mod memory;
mod parameters;
mod partition;
mod pause;
mod place;
mod rate;
mod reject;
mod reorder;
mod restart;
mod rolling_restart;
mod site;
mod steps;
mod stop;
#[cfg(test)]
mod testing;
mod unplug;
mod upgrade;

pub use definition::{Definition, Unfit};
pub use kind::{Claim, FaultKind, Hurts, Nodes};
pub use place::{Inventory, Place};
pub use site::{Site, Verified};

list::faults! {
    kill::Kill,
    kill_process::KillProcess,
    stop::Stop,
    restart::Restart,
    rolling_restart::RollingRestart,
    upgrade::Upgrade,
    pause::Pause,
    partition::Partition,
    loss::Loss,
    reject::Reject,
    unplug::Unplug,
    host_kill::HostKill,
    host_pause::HostPause,
    host_partition::HostPartition,
    rate::Rate,
    delay::Delay,
    reorder::Reorder,
    corrupt::Corrupt,
    cpu::Cpu,
    memory::Memory,
    clear::Clear,
    flush::Flush,
    full::Full,
    failover::Failover,
    join::Join,
    leave::Leave,
    drain::Drain,
    command::Command,
}
