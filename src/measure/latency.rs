//! Latencies: `HdrHistograms` of three significant digits from 1 µs to 60 s, successes apart from failures.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};
use serde::{Deserialize, Serialize};

use crate::history::{HIGHEST_LATENCY_US, History, Operation, Outcome, Phase};

/// A distribution, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// How many values.
    pub count: u64,
    /// The median.
    pub p50: u64,
    /// The 90th percentile.
    pub p90: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The 99.9th percentile.
    pub p999: u64,
    /// The highest value.
    pub max: u64,
    /// The whole distribution: HdrHistogram V2, base64.
    pub histogram: String,
}

/// One phase's operations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseFigures {
    /// How long it was, in seconds.
    pub seconds: f64,
    /// Operations that ended well.
    pub ok: u64,
    /// Operations that were certainly not applied.
    pub fail: u64,
    /// Operations that may have been applied.
    pub indeterminate: u64,
    /// Sent in this phase, per second.
    pub sent_per_second: f64,
    /// Of those that ended well, waits included.
    pub response_us: Latency,
    /// Of those that ended well, from the send.
    pub service_us: Latency,
    /// Of the others, waits included.
    pub failed_response_us: Latency,
}

impl Latency {
    fn of(values_us: impl Iterator<Item = u64>) -> Result<Self, String> {
        let mut histogram =
            Histogram::<u64>::new_with_bounds(1, HIGHEST_LATENCY_US, 3).map_err(|error| error.to_string())?;
        values_us.for_each(|value| histogram.saturating_record(value));
        let at = |quantile: f64| if histogram.is_empty() { 0 } else { histogram.value_at_quantile(quantile) };
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&histogram, &mut bytes).map_err(|error| error.to_string())?;
        Ok(Self {
            count: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max(),
            histogram: base64(&bytes),
        })
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn after_warm_up(history: &History) -> impl Iterator<Item = &Operation> {
    let counts = |operation: &&Operation| {
        !matches!(history.phase_at(operation.times.scheduled_ns), Phase::WarmUp | Phase::Final)
    };
    history.operations.iter().filter(counts)
}

/// Response times of the operations that ended well after the warm-up.
pub fn responses(history: &History) -> Result<Latency, String> {
    Latency::of(after_warm_up(history).filter(|operation| operation.is_ok()).map(Operation::response_us))
}

/// Service times of the operations that ended well after the warm-up.
pub fn services(history: &History) -> Result<Latency, String> {
    Latency::of(after_warm_up(history).filter(|operation| operation.is_ok()).filter_map(Operation::service_us))
}

/// Everything by phase. Latency belongs to the phase in which an operation was to start, throughput to the
/// one in which it was sent.
pub fn by_phase(history: &History) -> Result<BTreeMap<Phase, PhaseFigures>, String> {
    let mut phases = BTreeMap::new();
    for phase in Phase::ALL.into_iter().filter(|phase| *phase != Phase::Final) {
        let operations: Vec<&Operation> = history
            .operations
            .iter()
            .filter(|operation| history.phase_at(operation.times.scheduled_ns) == phase)
            .collect();
        if operations.is_empty() {
            continue;
        }
        let sent = history
            .operations
            .iter()
            .filter(|operation| operation.times.sent_ns.is_some_and(|sent| history.phase_at(sent) == phase));
        let (seconds, sent) = (length(history, phase).as_secs_f64(), sent.count());
        let count =
            |is: fn(&Outcome) -> bool| operations.iter().filter(|operation| is(&operation.outcome)).count() as u64;
        let ok = || operations.iter().filter(|operation| operation.is_ok());
        phases.insert(
            phase,
            PhaseFigures {
                seconds,
                ok: count(|outcome| matches!(outcome, Outcome::Ok(_))),
                fail: count(|outcome| matches!(outcome, Outcome::Fail(_))),
                indeterminate: count(|outcome| matches!(outcome, Outcome::Indeterminate(_))),
                sent_per_second: if seconds > 0.0 { sent as f64 / seconds } else { 0.0 },
                response_us: Latency::of(ok().map(|operation| operation.response_us()))?,
                service_us: Latency::of(ok().filter_map(|operation| operation.service_us()))?,
                failed_response_us: Latency::of(
                    operations.iter().filter(|operation| !operation.is_ok()).map(|operation| operation.response_us()),
                )?,
            },
        );
    }
    Ok(phases)
}

/// How long a phase lasted, with every one of its stretches: the instants where phases change, summed.
fn length(history: &History, phase: Phase) -> Duration {
    let end = u64::try_from(history.load_end.as_nanos()).unwrap_or(u64::MAX);
    let mut changes = vec![0, u64::try_from(history.warm_up.as_nanos()).unwrap_or(u64::MAX), end];
    changes.extend(history.faults.iter().flat_map(|fault| [fault.effective_from_ns(), fault.healed_ns]).flatten());
    changes.retain(|at| *at <= end);
    changes.sort_unstable();
    let stretches = changes.windows(2).filter(|stretch| history.phase_at(stretch[0]) == phase);
    Duration::from_nanos(stretches.map(|stretch| stretch[1] - stretch[0]).sum())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use hdrhistogram::serialization::Deserializer;

    use super::*;

    #[test]
    fn percentiles_are_those_of_the_values_and_the_histogram_can_be_read_back() {
        let latency = Latency::of(1..=1000).unwrap();
        assert_eq!((latency.count, latency.p50, latency.p90, latency.p99, latency.max), (1000, 500, 900, 990, 1000));
        let bytes = base64::engine::general_purpose::STANDARD.decode(latency.histogram).unwrap();
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!(read.len(), 1000);
    }

    #[test]
    fn a_value_beyond_the_highest_is_kept_as_the_highest() {
        let latency = Latency::of([HIGHEST_LATENCY_US * 10].into_iter()).unwrap();
        assert_eq!(latency.count, 1);
        assert!(latency.max >= HIGHEST_LATENCY_US);
    }

    #[test]
    fn no_values_make_an_empty_distribution() {
        assert_eq!(Latency::of(std::iter::empty()).unwrap().count, 0);
    }
}
