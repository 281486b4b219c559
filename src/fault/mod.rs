//! Faults: what is done to a cluster, and undone. One file a fault says all there is to say of it: parameters, facts, how it
//! is done and seen, how it is undone and seen. A fault whose effect cannot be seen is an error, never a success.
//!
//! A new fault is a file beside `kill.rs` with a type that implements [`Definition`], its `mod` line and its line in the list
//! below. That gives its keys in profiles, `steadfast list`, its name in the schema of `summary.json`, and what calls it.

mod clear;
mod command;
mod corrupt;
mod cpu;
mod definition;
mod delay;
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
    pause::Pause,
    partition::Partition,
    loss::Loss,
    reject::Reject,
    unplug::Unplug,
    rate::Rate,
    delay::Delay,
    reorder::Reorder,
    corrupt::Corrupt,
    cpu::Cpu,
    memory::Memory,
    clear::Clear,
    join::Join,
    leave::Leave,
    command::Command,
}
