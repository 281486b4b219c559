//! Figures of each second of the load. Latency counts in the second in which an operation was scheduled, throughput in
//! the second in which it was sent. Otherwise a system that works off a backlog would look faster than the load asks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use serde::{Deserialize, Serialize};

use super::MeasureError;
use super::latency::record;
use crate::history::Operation;

/// One interval of the load: one second, or more if the load is longer than [`MAX_INTERVALS`] seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// Start of the interval, in seconds from the start of the load.
    pub at_s: u64,
    /// Operations that were sent in the interval.
    pub sent: u64,
    /// Operations that were scheduled in the interval and ended well.
    pub ok: u64,
    /// Operations that were scheduled in the interval and did not end well.
    pub failed: u64,
    /// Median response time of the operations that ended well.
    pub p50_us: u64,
    /// 99th percentile of the same response times.
    pub p99_us: u64,
    /// 99.9th percentile of the same response times.
    pub p999_us: u64,
    /// The longest response time, failures included.
    pub max_us: u64,
}

/// A longer load has longer intervals, so that its histograms fit into memory.
const MAX_INTERVALS: u64 = 3600;
const SECOND_NS: u64 = 1_000_000_000;

/// Values of one interval. The histograms grow on demand, because a trial keeps thousands of them in memory.
struct IntervalTally {
    sent: u64,
    ok: Histogram<u32>,
    failed: Histogram<u32>,
}

/// Assigns operations to intervals. Operations may come in any order.
pub struct SeriesTally {
    interval_ns: u64,
    intervals: BTreeMap<u64, IntervalTally>,
}

/// The series of a trial.
pub struct Series {
    /// The intervals in the order of time.
    pub intervals: Vec<Interval>,
    /// The same intervals with their whole distributions of response times, in microseconds, tagged `ok` and `failed`:
    /// a log in `HdrHistogram`'s own format.
    pub log: Vec<u8>,
}

impl IntervalTally {
    fn new() -> Result<Self, MeasureError> {
        let empty = || {
            let mut histogram = Histogram::new_with_max(2, 3)?;
            histogram.auto(true);
            Ok::<_, MeasureError>(histogram)
        };
        Ok(Self { sent: 0, ok: empty()?, failed: empty()? })
    }
}

impl SeriesTally {
    /// An empty tally for a load of this length.
    pub fn new(length: Duration) -> Self {
        let seconds = length.as_secs().max(1);
        Self { interval_ns: seconds.div_ceil(MAX_INTERVALS) * SECOND_NS, intervals: BTreeMap::new() }
    }

    /// Length of each interval.
    pub const fn interval_ns(&self) -> u64 {
        self.interval_ns
    }

    fn at(&mut self, instant_ns: u64) -> Result<&mut IntervalTally, MeasureError> {
        match self.intervals.entry(instant_ns / self.interval_ns) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(IntervalTally::new()?)),
        }
    }

    /// Adds an operation of the load.
    pub fn add(&mut self, operation: &Operation, ended_well: bool) -> Result<(), MeasureError> {
        if let Some(sent_ns) = operation.times.sent_ns {
            self.at(sent_ns)?.sent += 1;
        }
        let interval = self.at(operation.times.scheduled_ns)?;
        let histogram = if ended_well { &mut interval.ok } else { &mut interval.failed };
        record(histogram, operation.response_us().max(1));
        Ok(())
    }

    pub fn finish(self, started_unix_ns: u64) -> Result<Series, MeasureError> {
        let intervals = self.intervals.iter().map(|(index, tally)| {
            let at = |quantile: f64| if tally.ok.is_empty() { 0 } else { tally.ok.value_at_quantile(quantile) };
            Interval {
                at_s: index * self.interval_ns / SECOND_NS,
                sent: tally.sent,
                ok: tally.ok.len(),
                failed: tally.failed.len(),
                p50_us: at(0.5),
                p99_us: at(0.99),
                p999_us: at(0.999),
                max_us: tally.ok.max().max(tally.failed.max()),
            }
        });
        Ok(Series { intervals: intervals.collect(), log: self.log(started_unix_ns)? })
    }

    fn log(&self, started_unix_ns: u64) -> Result<Vec<u8>, MeasureError> {
        let (mut log, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
        let started = std::time::UNIX_EPOCH + Duration::from_nanos(started_unix_ns);
        let mut writer = IntervalLogWriterBuilder::new()
            .add_comment("response times in microseconds, by the second in which operations were to start")
            .with_start_time(started)
            .with_base_time(started)
            .begin_log_with(&mut log, &mut serializer)?;
        let length = Duration::from_nanos(self.interval_ns);
        for (index, tally) in &self.intervals {
            let at = Duration::from_nanos(index * self.interval_ns);
            for (histogram, tag) in [(&tally.ok, Tag::new("ok")), (&tally.failed, Tag::new("failed"))] {
                if !histogram.is_empty() {
                    writer.write_histogram(histogram, at, length, tag)?;
                }
            }
        }
        drop(writer);
        Ok(log)
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::history::{Moved, OperationId, OperationKind, Outcome, Times};

    /// An operation that was scheduled, sent and completed at these milliseconds.
    fn operation(scheduled: u64, sent: u64, ended: u64) -> Operation {
        let ns = |ms: u64| ms * 1_000_000;
        let times =
            Times { scheduled_ns: ns(scheduled), sent_ns: Some(ns(sent)), completed_ns: ns(ended), ..Times::default() };
        let id = OperationId { session: 1, life: 1, number: 1 };
        let (kind, moved) = (OperationKind::Read, Moved::default());
        Operation { id, kind, times, moved, outcome: Outcome::Done, status: None, answer: None, is_resent: false }
    }

    fn series() -> Series {
        let mut tally = SeriesTally::new(Duration::from_secs(10));
        // Ten operations that were scheduled in the first second and sent in the third, after a stall.
        (0..10).for_each(|index| tally.add(&operation(100 * index, 2100, 2200), true).unwrap());
        tally.add(&operation(2500, 2500, 2510), true).unwrap();
        tally.add(&operation(2600, 2600, 2900), false).unwrap();
        tally.finish(1_700_000_000_000_000_000).unwrap()
    }

    #[test]
    fn latency_counts_in_the_scheduled_second_and_throughput_in_the_second_of_the_send() {
        // Some generators count both by the schedule, and a backlog looks like throughput.
        let intervals = series().intervals;
        assert_eq!(intervals.len(), 2);
        let (first, third) = (intervals[0], intervals[1]);
        assert_eq!((first.at_s, first.sent, first.ok, first.failed), (0, 0, 10, 0));
        assert!(first.p50_us > 1_700_000 && first.max_us >= 2_199_000, "{first:?}");
        assert_eq!((third.at_s, third.sent, third.ok, third.failed), (2, 12, 1, 1));
        assert!(third.p99_us < 11_000 && third.max_us >= 299_000, "a failure has its latency: {third:?}");
    }

    #[test]
    fn the_log_can_be_read_as_an_interval_log() {
        let log = series().log;
        let intervals: Vec<_> = IntervalLogIterator::new(&log)
            .filter_map(|entry| match entry.unwrap() {
                LogEntry::Interval(interval) => Some(interval),
                _ => None,
            })
            .collect();
        let shown: Vec<_> = intervals
            .iter()
            .map(|interval| (interval.start_timestamp().as_secs(), interval.tag().unwrap().as_str()))
            .collect();
        assert_eq!(shown, [(0, "ok"), (2, "ok"), (2, "failed")]);
    }

    #[test]
    fn a_day_has_intervals_of_24_seconds() {
        assert_eq!(SeriesTally::new(Duration::from_secs(86_400)).interval_ns, 24 * SECOND_NS);
        assert_eq!(SeriesTally::new(Duration::from_millis(300)).interval_ns, SECOND_NS);
    }
}
