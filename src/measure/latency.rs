//! Latencies: `HdrHistograms` with three significant digits from 1 µs, separate for successes and failures.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::serialization::{Serializer, V2Serializer};
use hdrhistogram::{Counter, Histogram};
use serde::{Deserialize, Serialize};

use super::MeasureError;
use crate::history::{HIGHEST_LATENCY_US, Operation, Outcome, Phase, Timeline};

/// A distribution, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Number of values.
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

/// Figures of the operations of one phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseFigures {
    /// Length of the phase, in seconds.
    pub seconds: f64,
    /// Operations that ended well.
    pub ok: u64,
    /// Operations that were certainly not applied.
    pub fail: u64,
    /// Operations that may have been applied.
    pub indeterminate: u64,
    /// Operations sent in this phase, per second.
    pub sent_per_second: f64,
    /// From the scheduled instant, of operations that ended well.
    pub response_us: Latency,
    /// From the send, of operations that ended well.
    pub service_us: Latency,
    /// From the scheduled instant, of operations that did not end well.
    pub failed_response_us: Latency,
}

impl Latency {
    pub(super) fn of(histogram: &Histogram<u64>) -> Result<Self, MeasureError> {
        let at = |quantile: f64| if histogram.is_empty() { 0 } else { histogram.value_at_quantile(quantile) };
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(histogram, &mut bytes)?;
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

pub(super) fn empty() -> Result<Histogram<u64>, MeasureError> {
    let mut histogram = Histogram::new_with_bounds(1, HIGHEST_LATENCY_US, 3)?;
    histogram.auto(true);
    Ok(histogram)
}

/// Records a value, however high.
pub(super) fn record<C: Counter>(histogram: &mut Histogram<C>, us: u64) {
    // The histogram resizes itself. If it cannot, it records its highest trackable value instead.
    if histogram.record(us).is_err() {
        histogram.saturating_record(us);
    }
}

/// Base64 as in RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Values of one phase.
struct PhaseTally {
    counts: PhaseFigures,
    sent: u64,
    response: Histogram<u64>,
    service: Histogram<u64>,
    failed: Histogram<u64>,
    connect: Histogram<u64>,
}

impl PhaseTally {
    fn new() -> Result<Self, MeasureError> {
        Ok(Self {
            counts: PhaseFigures::default(),
            sent: 0,
            response: empty()?,
            service: empty()?,
            failed: empty()?,
            connect: empty()?,
        })
    }

    fn add(&mut self, operation: &Operation, ended_well: bool) {
        match operation.outcome {
            _ if ended_well => self.counts.ok += 1,
            Outcome::Indeterminate(_) => self.counts.indeterminate += 1,
            Outcome::Ok(_) | Outcome::Done | Outcome::Fail(_) => self.counts.fail += 1,
        }
        if let Some(connect_ns) = operation.times.connect_ns {
            record(&mut self.connect, connect_ns / 1000);
        }
        if ended_well {
            record(&mut self.response, operation.response_us());
            operation.service_us().into_iter().for_each(|us| record(&mut self.service, us));
        } else {
            record(&mut self.failed, operation.response_us());
        }
    }

    fn finish(&self, seconds: f64) -> Result<PhaseFigures, MeasureError> {
        Ok(PhaseFigures {
            seconds,
            sent_per_second: if seconds > 0.0 { self.sent as f64 / seconds } else { 0.0 },
            response_us: Latency::of(&self.response)?,
            service_us: Latency::of(&self.service)?,
            failed_response_us: Latency::of(&self.failed)?,
            ..self.counts.clone()
        })
    }
}

/// Latencies by phase. Latency counts in the phase in which an operation was scheduled, throughput in the phase of the
/// send.
pub struct LatencyTally {
    phases: BTreeMap<Phase, PhaseTally>,
}

/// The latencies of a trial.
pub struct Latencies {
    /// Response times of the operations that ended well after the warm-up.
    pub response_us: Latency,
    /// Service times of the same operations.
    pub service_us: Latency,
    /// Time to connect, of operations after the warm-up that needed a new connection, failures included.
    pub connect_us: Latency,
    /// All figures by phase.
    pub phases: BTreeMap<Phase, PhaseFigures>,
}

impl LatencyTally {
    pub fn new() -> Result<Self, MeasureError> {
        let counted = Phase::ALL.into_iter().filter(|phase| *phase != Phase::Final);
        Ok(Self { phases: counted.map(|phase| Ok((phase, PhaseTally::new()?))).collect::<Result<_, MeasureError>>()? })
    }

    pub fn add(&mut self, operation: &Operation, phase: Phase, ended_well: bool, timeline: &Timeline) {
        if let Some(tally) = self.phases.get_mut(&phase) {
            tally.add(operation, ended_well);
        }
        let sent_in = operation.times.sent_ns.map(|sent| timeline.phase_at(sent));
        if let Some(tally) = sent_in.and_then(|phase| self.phases.get_mut(&phase)) {
            tally.sent += 1;
        }
    }

    pub fn finish(&self, timeline: &Timeline) -> Result<Latencies, MeasureError> {
        let (mut response, mut service, mut connect) = (empty()?, empty()?, empty()?);
        for (_, tally) in self.phases.iter().filter(|(phase, _)| **phase != Phase::WarmUp) {
            response.add(&tally.response)?;
            service.add(&tally.service)?;
            connect.add(&tally.connect)?;
        }
        let is_empty = |counts: &PhaseFigures| counts.ok + counts.fail + counts.indeterminate == 0;
        let phases = self.phases.iter().filter(|(_, tally)| !is_empty(&tally.counts));
        let phases = phases.map(|(phase, tally)| Ok((*phase, tally.finish(length(timeline, *phase).as_secs_f64())?)));
        Ok(Latencies {
            response_us: Latency::of(&response)?,
            service_us: Latency::of(&service)?,
            connect_us: Latency::of(&connect)?,
            phases: phases.collect::<Result<_, MeasureError>>()?,
        })
    }
}

/// Total length of a phase: the sum of its stretches between the instants at which phases change.
fn length(timeline: &Timeline, phase: Phase) -> Duration {
    let end = u64::try_from(timeline.load_end.as_nanos()).unwrap_or(u64::MAX);
    let mut changes = vec![0, u64::try_from(timeline.warm_up.as_nanos()).unwrap_or(u64::MAX), end];
    changes.extend(timeline.faults.iter().flat_map(|fault| [fault.effective_from_ns(), fault.healed_ns]).flatten());
    changes.retain(|at| *at <= end);
    changes.sort_unstable();
    let stretches = changes.windows(2).filter(|stretch| timeline.phase_at(stretch[0]) == phase);
    Duration::from_nanos(stretches.map(|stretch| stretch[1] - stretch[0]).sum())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use hdrhistogram::serialization::Deserializer;

    use super::*;

    fn latency_of(values: impl Iterator<Item = u64>) -> Latency {
        let mut histogram = empty().unwrap();
        values.for_each(|value| record(&mut histogram, value));
        Latency::of(&histogram).unwrap()
    }

    #[test]
    fn percentiles_are_those_of_the_values_and_the_histogram_can_be_read_back() {
        let latency = latency_of(1..=1000);
        assert_eq!((latency.count, latency.p50, latency.p90, latency.p99, latency.max), (1000, 500, 900, 990, 1000));
        let bytes = base64::engine::general_purpose::STANDARD.decode(latency.histogram).unwrap();
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!(read.len(), 1000);
    }

    #[test]
    fn a_value_of_ten_minutes_is_recorded_as_ten_minutes() {
        let latency = latency_of([HIGHEST_LATENCY_US * 10].into_iter());
        assert_eq!(latency.count, 1);
        assert!((600_000_000..601_000_000).contains(&latency.max), "{}", latency.max);
    }

    #[test]
    fn only_phases_with_operations_are_shown_and_the_warm_up_is_in_no_total() {
        let operations = crate::check::testing::history(|builder| builder.create().write());
        let timeline = Timeline::default();
        let mut tally = LatencyTally::new().unwrap();
        tally.add(&operations[0], Phase::WarmUp, true, &timeline);
        tally.add(&operations[1], Phase::Steady, true, &timeline);
        let latencies = tally.finish(&timeline).unwrap();
        assert_eq!(latencies.phases.keys().copied().collect::<Vec<_>>(), [Phase::WarmUp, Phase::Steady]);
        assert_eq!((latencies.phases[&Phase::Steady].ok, latencies.response_us.count), (1, 1));
    }

    #[test]
    fn no_values_make_an_empty_distribution() {
        assert_eq!(latency_of(std::iter::empty()).count, 0);
    }
}
