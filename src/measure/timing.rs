//! The time until the last failure after a fault, and the lag of the generator.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::MeasureError;
use super::latency::{empty, record};
use crate::history::{ErrorKind, GeneratorHealth, Operation, Outcome, Phase, Timeline};

/// How late the generator started operations in the steady phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Lag {
    /// The median.
    pub p50_us: u64,
    /// The 99th percentile.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// How well the generator kept its schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GeneratorFigures {
    /// Operations that the schedule asked for.
    pub offered: u64,
    /// Operations that were started.
    pub started: u64,
    /// Operations that were dropped because they had waited too long for a slow system.
    pub shed: u64,
    /// Operations for which the generator had no socket left.
    pub without_socket: u64,
    /// Operations for which the generator's own address, or its route to the nodes, was gone.
    #[serde(default, skip_serializing_if = "is_none")]
    pub without_network: u64,
    /// How late operations were handed to their sessions.
    pub lag: Lag,
    /// CPU time of the generator per operation, in microseconds.
    pub cpu_us_per_operation: f64,
    /// The share of a core that the busiest thread used. Near 1 the generator is saturated and measures itself.
    pub busiest_core: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

impl GeneratorFigures {
    /// Those of two trials: sums of operations, and the worse of each other figure.
    #[must_use]
    pub fn and_worst(&self, other: &Self) -> Self {
        Self {
            offered: self.offered + other.offered,
            started: self.started + other.started,
            shed: self.shed + other.shed,
            without_socket: self.without_socket + other.without_socket,
            without_network: self.without_network + other.without_network,
            lag: Lag {
                p50_us: self.lag.p50_us.max(other.lag.p50_us),
                p99_us: self.lag.p99_us.max(other.lag.p99_us),
                max_us: self.lag.max_us.max(other.lag.max_us),
            },
            cpu_us_per_operation: self.cpu_us_per_operation.max(other.cpu_us_per_operation),
            busiest_core: self.busiest_core.max(other.busiest_core),
        }
    }

    /// Why the trial is invalid, or `None` if the generator kept within its limits.
    #[must_use]
    pub fn past_limits(&self, least_share: f64, most_lag: Duration) -> Option<String> {
        if self.without_socket > 0 {
            return Some(format!("the generator had no socket left for {} operations", self.without_socket));
        }
        if self.without_network > 0 {
            return Some(format!(
                "the generator's network was gone for {} operations: was it removed meanwhile?",
                self.without_network
            ));
        }
        // Shed operations count: the generator handed them over in time, and the system was too slow.
        let share = (self.started + self.shed) as f64 / self.offered.max(1) as f64;
        if self.offered == 0 || share < least_share {
            return Some(format!(
                "the generator started {} of {} operations, less than {least_share} of them",
                self.started, self.offered
            ));
        }
        let limit_us = u64::try_from(most_lag.as_micros()).unwrap_or(u64::MAX);
        (self.lag.p99_us > limit_us).then(|| {
            format!("the generator was {} µs late at its 99th percentile, more than {limit_us} µs", self.lag.p99_us)
        })
    }
}

/// Measures from the order of the first fault to the last operation of the load that did not end well, in ms.
#[derive(Default)]
pub struct LastFailureTally {
    last_failure_ns: Option<u64>,
}

impl LastFailureTally {
    pub fn add(&mut self, operation: &Operation, phase: Phase, ended_well: bool) {
        if !ended_well && phase != Phase::Final {
            self.last_failure_ns = self.last_failure_ns.max(Some(operation.times.completed_ns));
        }
    }

    pub fn finish(self, timeline: &Timeline) -> Option<u64> {
        let injected = timeline.first_injection_ns()?;
        self.last_failure_ns.filter(|last| *last >= injected).map(|last| (last - injected) / 1_000_000)
    }
}

/// The generator's lag in the steady phase, and its own failures in all phases.
pub struct PunctualityTally {
    late_us: Histogram<u64>,
    without_socket: u64,
    without_network: u64,
}

impl PunctualityTally {
    pub fn new() -> Result<Self, MeasureError> {
        Ok(Self { late_us: empty()?, without_socket: 0, without_network: 0 })
    }

    pub fn add(&mut self, operation: &Operation, phase: Phase) {
        self.without_socket += u64::from(operation.outcome == Outcome::Fail(ErrorKind::NoSocket));
        self.without_network += u64::from(operation.outcome == Outcome::Fail(ErrorKind::NoNetwork));
        if phase == Phase::Steady {
            let late = operation.times.dispatched_ns.saturating_sub(operation.times.scheduled_ns) / 1000;
            record(&mut self.late_us, late);
        }
    }

    pub fn finish(&self, health: &GeneratorHealth) -> GeneratorFigures {
        let GeneratorHealth { offered, started, shed, cpu_ns, busiest_core } = *health;
        let at = |quantile: f64| if self.late_us.is_empty() { 0 } else { self.late_us.value_at_quantile(quantile) };
        let lag = Lag { p50_us: at(0.5), p99_us: at(0.99), max_us: self.late_us.max() };
        GeneratorFigures {
            offered,
            started,
            shed,
            without_socket: self.without_socket,
            without_network: self.without_network,
            lag,
            cpu_us_per_operation: cpu_ns as f64 / 1000.0 / started.max(1) as f64,
            busiest_core,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_that_was_late_or_skipped_operations_makes_the_trial_invalid() {
        let past_limits = |figures: GeneratorFigures| figures.past_limits(0.95, Duration::from_millis(50));
        let good = GeneratorFigures {
            offered: 1000,
            started: 1000,
            lag: Lag { p50_us: 50, p99_us: 1000, max_us: 90_000 },
            ..GeneratorFigures::default()
        };
        assert_eq!(past_limits(good), None);
        assert!(past_limits(GeneratorFigures { started: 949, ..good }).is_some());
        assert_eq!(past_limits(GeneratorFigures { started: 949, shed: 51, ..good }), None, "the system was too slow");
        assert!(past_limits(GeneratorFigures { without_socket: 1, ..good }).is_some());
        let reason = past_limits(GeneratorFigures { without_network: 3, ..good }).unwrap();
        assert!(reason.starts_with("the generator's network was gone for 3 operations"), "{reason}");
        assert!(past_limits(GeneratorFigures { lag: Lag { p99_us: 50_001, ..good.lag }, ..good }).is_some());
        assert!(past_limits(GeneratorFigures { offered: 0, started: 0, ..good }).is_some());
    }
}
