//! The steady band: the range of success and response time, second by second, before the first fault; and when the
//! system returned to it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::history::Timeline;
use crate::measure::series::Interval;

/// Minimum number of seconds in the steady phase that the band is computed from.
const FEWEST: usize = 3;
/// How far the share of operations that ended well may fall below that of the worst steady second.
const SHARE_TOLERANCE: f64 = 0.01;
/// Limit of the 99th percentile, as a multiple of the worst steady second. Of a hundred values, the 99th percentile is
/// nearly the highest, so it varies much.
const P99_FACTOR: u64 = 2;

/// When a figure was back in its band.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Back {
    /// It cannot be said: the steady phase was too short to know the band, or too little came after the fault.
    #[default]
    Unknown,
    /// Not before the next fault or the end of the load.
    Never,
    /// So many milliseconds after the order; 0 where it never left. To the second.
    AfterMs(u64),
}

/// The limits of the band: the lowest share of operations that ended well, and the highest 99th percentile in µs.
pub struct Steady {
    band: Option<(f64, u64)>,
}

impl Steady {
    /// Computes the band from the seconds that lie within the steady phase.
    pub fn of(intervals: &[Interval], interval_ns: u64, timeline: &Timeline) -> Self {
        let (from, to) = timeline.steady_ns();
        let steady: Vec<&Interval> =
            intervals.iter().filter(|one| from <= start(one) && start(one) + interval_ns <= to).collect();
        let worst_share = steady.iter().filter_map(|one| share(one)).min_by(f64::total_cmp);
        let worst_p99 = steady.iter().map(|one| one.p99_us).max();
        let band = worst_share.zip(worst_p99).filter(|_| steady.len() >= FEWEST);
        Self { band: band.map(|(share, p99)| (share - SHARE_TOLERANCE, p99 * P99_FACTOR)) }
    }

    /// When success and the 99th percentile returned to the band and stayed there for the rest of the scope.
    pub fn back(
        &self,
        intervals: &[Interval],
        interval_ns: u64,
        scope: &Range<u64>,
        timeline: &Timeline,
    ) -> (Back, Back) {
        let Some((least_share, most_p99)) = self.band else { return (Back::Unknown, Back::Unknown) };
        let end = scope.end.min(u64::try_from(timeline.load_end.as_nanos()).unwrap_or(u64::MAX));
        // The second of the order belongs to the scope. A second cut off by the end does not: it has few operations.
        let seconds =
            || intervals.iter().filter(|one| start(one) + interval_ns > scope.start && start(one) + interval_ns <= end);
        let of = |is_out: &dyn Fn(&Interval) -> bool| {
            let (Some(last), last_out) = (seconds().next_back(), seconds().rfind(|one| is_out(one))) else {
                return Back::Unknown;
            };
            match last_out {
                None => Back::AfterMs(0),
                Some(out) if start(out) == start(last) => Back::Never,
                Some(out) => Back::AfterMs((start(out) + interval_ns).saturating_sub(scope.start) / 1_000_000),
            }
        };
        (
            of(&|one| share(one).is_some_and(|share| share < least_share)),
            // A second in which no operation ended well has no percentile, and still counts as out of the band.
            of(&|one| one.p99_us > most_p99 || (one.ok == 0 && one.failed > 0)),
        )
    }
}

const fn start(interval: &Interval) -> u64 {
    interval.at_s * 1_000_000_000
}

fn share(interval: &Interval) -> Option<f64> {
    let all = interval.ok + interval.failed;
    (all > 0).then(|| interval.ok as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::history::FaultRecord;

    const SECOND: u64 = 1_000_000_000;

    /// Returns to the band after these seconds, each given as failures of 100 operations and 99th percentile in µs.
    fn backs(seconds: &[(u64, u64)], fault_at_s: u64) -> (Back, Back) {
        let interval = |(at_s, (failed, p99_us)): (usize, &(u64, u64))| Interval {
            at_s: at_s as u64,
            ok: 100 - failed,
            failed: *failed,
            p99_us: *p99_us,
            ..Interval::default()
        };
        let intervals: Vec<Interval> = seconds.iter().enumerate().map(interval).collect();
        let fault = FaultRecord { injected_ns: Some(fault_at_s * SECOND), ..FaultRecord::planned("kill", "app-1") };
        let load_end = Duration::from_secs(seconds.len() as u64);
        let timeline = Timeline { faults: vec![fault], warm_up: Duration::ZERO, load_end, ..Timeline::default() };
        let steady = Steady::of(&intervals, SECOND, &timeline);
        steady.back(&intervals, SECOND, &(fault_at_s * SECOND..u64::MAX), &timeline)
    }

    const GOOD: (u64, u64) = (0, 100);

    #[test]
    fn a_figure_is_back_after_the_last_second_in_which_it_was_out_of_its_band() {
        let seconds = [GOOD, GOOD, GOOD, (50, 900), (0, 900), (3, 100), GOOD, GOOD];
        assert_eq!(backs(&seconds, 3), (Back::AfterMs(3000), Back::AfterMs(2000)));
    }

    #[test]
    fn a_figure_that_never_left_is_back_at_once_and_one_that_stays_out_never() {
        assert_eq!(backs(&[GOOD, GOOD, GOOD, GOOD, (0, 190)], 3), (Back::AfterMs(0), Back::AfterMs(0)));
        assert_eq!(backs(&[GOOD, GOOD, GOOD, GOOD, (9, 999)], 3), (Back::Never, Back::Never));
    }

    #[test]
    fn a_band_is_as_wide_as_the_steady_phase_was_and_takes_three_seconds() {
        assert_eq!(backs(&[GOOD, (30, 100), GOOD, (30, 100), GOOD], 3).0, Back::AfterMs(0));
        assert_eq!(backs(&[GOOD, GOOD, (50, 100), GOOD], 2), (Back::Unknown, Back::Unknown));
    }
}
