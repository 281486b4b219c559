//! Recovery after a fault, and the generator's own punctuality.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::history::{History, Operation, Phase};

/// How late the generator was, in microseconds, in the steady phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// The median.
    pub p50_us: u64,
    /// The 99th percentile.
    pub p99_us: u64,
    /// The worst.
    pub max_us: u64,
}

/// How well the generator kept its schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratorFigures {
    /// Operations that the schedule asked for.
    pub offered: u64,
    /// Operations that were started.
    pub started: u64,
    /// How late they were handed to their sessions.
    pub lag: Lag,
}

impl GeneratorFigures {
    /// Why the figures of this trial must not be believed; none where they may.
    #[must_use]
    pub fn beyond(&self, least_share: f64, most_lag: Duration) -> Option<String> {
        let share = self.started as f64 / self.offered.max(1) as f64;
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

/// From the injection of the first fault to the last operation of the load that did not end well.
#[must_use]
pub fn recovery_ms(history: &History) -> Option<u64> {
    let injected = history.first_injection_ns()?;
    let after = |operation: &&Operation| {
        operation.times.completed_ns >= injected && history.phase_at(operation.times.scheduled_ns) != Phase::Final
    };
    let failed = history.operations.iter().filter(|operation| !operation.is_ok()).filter(after);
    let last = failed.map(|operation| operation.times.completed_ns).max()?;
    Some((last - injected) / 1_000_000)
}

/// The generator's punctuality in the steady phase.
#[must_use]
pub fn generator(history: &History, offered: u64, started: u64) -> GeneratorFigures {
    let steady =
        history.operations.iter().filter(|operation| history.phase_at(operation.times.scheduled_ns) == Phase::Steady);
    let mut late: Vec<u64> = steady
        .map(|operation| operation.times.dispatched_ns.saturating_sub(operation.times.scheduled_ns) / 1000)
        .collect();
    late.sort_unstable();
    let at = |hundredths: usize| {
        late.get((late.len() * hundredths / 100).min(late.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    GeneratorFigures { offered, started, lag: Lag { p50_us: at(50), p99_us: at(99), max_us: at(100) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_that_was_late_or_left_out_operations_is_not_believed() {
        let beyond = |figures: GeneratorFigures| figures.beyond(0.95, Duration::from_millis(50));
        let good =
            GeneratorFigures { offered: 1000, started: 1000, lag: Lag { p50_us: 50, p99_us: 1000, max_us: 90_000 } };
        assert_eq!(beyond(good), None);
        assert!(beyond(GeneratorFigures { started: 949, ..good }).is_some());
        assert!(beyond(GeneratorFigures { lag: Lag { p99_us: 50_001, ..good.lag }, ..good }).is_some());
        assert!(beyond(GeneratorFigures { offered: 0, started: 0, ..good }).is_some());
    }
}
