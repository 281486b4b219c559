//! How well the generator kept its schedule: without it no latency can be believed.

use serde::{Deserialize, Serialize};

/// How well the generator kept its schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorHealth {
    /// Operations that the schedule asked for.
    pub offered: u64,
    /// Operations that were started; the others waited for their session until the end, or were shed.
    pub started: u64,
    /// Operations that were dropped because they had waited too long.
    pub shed: u64,
    /// The processor time of the threads that fired, in nanoseconds.
    #[serde(rename = "generator_cpu_ns")]
    pub cpu_ns: u64,
    /// The share of a core that the busiest of these threads took.
    pub busiest_core: f64,
}
