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

impl GeneratorHealth {
    /// That of several agents together. The busiest core is the busiest of all.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            offered: self.offered + other.offered,
            started: self.started + other.started,
            shed: self.shed + other.shed,
            cpu_ns: self.cpu_ns + other.cpu_ns,
            busiest_core: self.busiest_core.max(other.busiest_core),
        }
    }
}

/// One of several agents: what it sent, and how exactly it started with the first one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentHealth {
    /// Its name in lists of nodes.
    pub name: String,
    /// How well it kept its part of the schedule.
    #[serde(flatten)]
    pub health: GeneratorHealth,
    /// How far its clock was ahead of the first agent's, as far as that is more than the error of the comparison. In
    /// nanoseconds.
    pub clock_ahead_ns: i64,
    /// The most by which that can be wrong, from the start to the end of the load.
    pub clock_error_ns: i64,
    /// How long after the instant that was agreed on it started, by its own clock.
    pub late_ns: u64,
}

impl AgentHealth {
    /// The most by which its start can differ from the first agent's.
    #[must_use]
    pub const fn starts_apart_ns(&self) -> u64 {
        self.late_ns.saturating_add(self.clock_error_ns.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_agents_together_have_done_what_each_has_done_and_are_as_busy_as_the_busiest() {
        let one = GeneratorHealth { offered: 7, started: 5, shed: 2, cpu_ns: 30, busiest_core: 0.5 };
        let other = GeneratorHealth { offered: 9, started: 8, shed: 3, cpu_ns: 20, busiest_core: 0.25 };
        let both = GeneratorHealth { offered: 16, started: 13, shed: 5, cpu_ns: 50, busiest_core: 0.5 };
        assert_eq!((one.and(other), other.and(one)), (both, both));
    }
}
