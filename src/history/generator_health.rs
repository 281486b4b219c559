//! How well the generator kept its schedule. Latencies are only valid if it did.

use serde::{Deserialize, Serialize};

/// How well the generator kept its schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorHealth {
    /// Operations that the schedule requested.
    pub offered: u64,
    /// Operations that were started; the others were shed, or waited for their session until the end.
    pub started: u64,
    /// Operations that were dropped because they had waited too long.
    pub shed: u64,
    /// The CPU time of the threads that sent the load, in nanoseconds.
    #[serde(rename = "generator_cpu_ns")]
    pub cpu_ns: u64,
    /// The share of a core that the busiest of these threads used; 1 is a full core.
    pub busiest_core: f64,
}
