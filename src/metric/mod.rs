//! Metrics: the named figures of a trial. Expectations, comparisons, intervals and machine-readable formats use these
//! names; `measure` computes the values.

mod name;
mod unit;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::check::Judgement;
use crate::history::Phase;
use crate::measure::{Back, Latency, Measurements};
use crate::statistics::median;
use crate::topology::{Network, Tier};

pub use name::nearest;
pub use unit::Unit;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Less of it.
    Lower,
    /// More of it.
    Higher,
    /// Neither: it describes.
    Neither,
}

/// The instant from which a latency is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clock {
    /// From the scheduled instant: response time.
    Response,
    /// From the send: service time.
    Service,
}

/// A point of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// The median.
    P50,
    /// The 90th percentile.
    P90,
    /// The 99th percentile.
    P99,
    /// The 99.9th percentile.
    P999,
    /// The highest value.
    Max,
}

/// A number of sessions, operations or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// Sessions whose creation was acknowledged.
    SessionsCreated,
    /// Sessions that were lost for good.
    SessionsLost,
    /// Lost sessions that were lost before the first fault.
    SessionsLostBeforeFault,
    /// Sessions that were unknown for a while, and known again later.
    SessionsForgotten,
    /// Operations that ended well.
    Ok,
    /// Operations that were certainly not applied.
    Fail,
    /// Operations that may have been applied.
    Indeterminate,
    /// Acknowledged writes that were lost.
    AcknowledgedWritesLost,
}

/// A recovery time of each fault of a trial; the worst value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recovering {
    /// Until the share of successes was back in the steady band.
    Success,
    /// Until the 99th percentile of response times was back in the steady band.
    P99,
    /// Until the last operation that did not end well.
    LastError,
    /// The longest wait of any user for an operation to end well.
    LongestWait,
}

/// A figure of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// A count.
    Count(Count),
    /// Alive sessions that a fault could hurt: the minimum over all faults.
    SessionsAliveAtFault,
    /// Share of the sessions alive at the first fault that was lost after it.
    SessionsLostRatio,
    /// Share of the operations after the warm-up that did not end well.
    ErrorRatio,
    /// Operations that ended well, per second, after the warm-up.
    Throughput,
    /// A latency of operations that ended well, after the warm-up or in one phase.
    Latency(Clock, Point, Option<Phase>),
    /// Bytes that crossed a network, per operation of the steady phase.
    BytesPerRequest(Network),
    /// Bytes that crossed a network, per write of the steady phase.
    BytesPerWrite(Network),
    /// CPU time of a tier, per operation of the steady phase, in µs.
    CpuPerRequest(Tier),
    /// Resident memory of an app node at the end of the steady phase.
    ResidentPerNode,
    /// Live heap of an app node at the end.
    LiveHeapPerNode,
    /// Operations of the busiest app node over the mean.
    Skew,
    /// Share of the requests of sessions that another node answered than the one before.
    AffinityBreaks,
    /// Of the sessions alive at a fault and answered after it, the share that another node answered: the highest of all faults.
    AffinityMovedByFault,
    /// A recovery time of the trial's faults.
    Recovery(Recovering),
}

impl Metric {
    /// Whether only a trial with a fault has this metric.
    #[must_use]
    pub const fn takes_a_fault(self) -> bool {
        matches!(
            self,
            Self::SessionsAliveAtFault
                | Self::SessionsLostRatio
                | Self::AffinityMovedByFault
                | Self::Recovery(_)
                | Self::Latency(_, _, Some(Phase::Fault | Phase::Recovery))
        )
    }

    /// All metrics in the order of reports. Latencies by phase are only those of the steady and the fault phase.
    #[must_use]
    pub fn all() -> Vec<Self> {
        use Count::{
            AcknowledgedWritesLost, Fail, Indeterminate, Ok, SessionsCreated, SessionsForgotten, SessionsLost,
            SessionsLostBeforeFault,
        };
        let mut all: Vec<Self> =
            [SessionsCreated, SessionsLost, SessionsLostBeforeFault, SessionsForgotten].map(Self::Count).to_vec();
        all.extend([Self::SessionsAliveAtFault, Self::SessionsLostRatio]);
        all.extend([Ok, Fail, Indeterminate, AcknowledgedWritesLost].map(Self::Count));
        all.extend([Self::ErrorRatio, Self::Throughput]);
        for clock in [Clock::Response, Clock::Service] {
            all.extend(
                [Point::P50, Point::P90, Point::P99, Point::P999, Point::Max]
                    .map(|point| Self::Latency(clock, point, None)),
            );
        }
        // Reports show the response times during a fault separately from the steady ones.
        for phase in [Phase::Steady, Phase::Fault] {
            all.extend([Point::P50, Point::P99].map(|point| Self::Latency(Clock::Response, point, Some(phase))));
        }
        all.extend(Network::ALL.map(Self::BytesPerRequest));
        all.extend(Network::ALL.map(Self::BytesPerWrite));
        all.extend([Tier::Balancer, Tier::App, Tier::Store].map(Self::CpuPerRequest));
        all.extend([Self::ResidentPerNode, Self::LiveHeapPerNode, Self::Skew]);
        all.extend([Self::AffinityBreaks, Self::AffinityMovedByFault]);
        all.extend(
            [Recovering::Success, Recovering::P99, Recovering::LastError, Recovering::LongestWait].map(Self::Recovery),
        );
        all
    }

    /// The unit of its values.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::Count(_) | Self::SessionsAliveAtFault => Unit::Count,
            Self::SessionsLostRatio
            | Self::ErrorRatio
            | Self::Skew
            | Self::AffinityBreaks
            | Self::AffinityMovedByFault => Unit::Ratio,
            Self::Throughput => Unit::PerSecond,
            Self::Latency(..) | Self::CpuPerRequest(_) | Self::Recovery(_) => Unit::Microseconds,
            Self::BytesPerRequest(_) | Self::BytesPerWrite(_) | Self::ResidentPerNode | Self::LiveHeapPerNode => {
                Unit::Bytes
            }
        }
    }

    /// Which way is better.
    #[must_use]
    pub const fn better(self) -> Better {
        match self {
            // Behind a balancer without stickiness every request may go elsewhere.
            Self::Count(Count::SessionsCreated) | Self::SessionsAliveAtFault | Self::AffinityBreaks => Better::Neither,
            Self::Count(Count::Ok) | Self::Throughput => Better::Higher,
            _ => Better::Lower,
        }
    }

    /// The value for all trials of a target: the median, or the highest if the metric is itself a maximum.
    #[must_use]
    pub fn over_trials(self, values: &[f64]) -> Option<f64> {
        match self {
            Self::Latency(_, Point::Max, _) | Self::Recovery(Recovering::LongestWait) => {
                values.iter().copied().reduce(f64::max)
            }
            _ => median(values),
        }
    }

    /// Its value in a trial; `None` if it was not measured. A recovery that never came is infinite.
    #[must_use]
    pub fn of(self, measurements: &Measurements) -> Option<f64> {
        match self {
            Self::Count(count) => Some(count.of(measurements) as f64),
            Self::SessionsAliveAtFault => {
                measurements.recoveries.iter().map(|recovery| recovery.exposed).min().map(|fewest| fewest as f64)
            }
            Self::SessionsLostRatio => measurements.sessions.lost_ratio,
            Self::ErrorRatio => {
                let counts = &measurements.operations;
                let bad = counts.fail + counts.indeterminate;
                (bad + counts.ok > 0).then(|| bad as f64 / (bad + counts.ok) as f64)
            }
            Self::Throughput => throughput(measurements),
            Self::Latency(clock, point, phase) => latency(measurements, clock, phase).and_then(|of| point.of(of)),
            Self::BytesPerRequest(network) => measurements.network_bytes_per_request.get(&network).copied(),
            Self::BytesPerWrite(network) => measurements.network_bytes_per_write.get(&network).copied(),
            Self::CpuPerRequest(tier) => measurements.cpu_us_per_request.get(&tier).copied(),
            Self::ResidentPerNode => measurements.memory_bytes_per_node.map(|bytes| bytes as f64),
            Self::LiveHeapPerNode => measurements.live_heap_bytes_per_node.map(|bytes| bytes as f64),
            Self::Skew => measurements.skew,
            Self::AffinityBreaks => measurements.affinity.and_then(|affinity| affinity.share()),
            Self::AffinityMovedByFault => {
                let shares = measurements.recoveries.iter().filter_map(|recovery| recovery.figures.rebound?.share());
                shares.reduce(f64::max)
            }
            Self::Recovery(what) => what.of(measurements),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

/// The verdict on a guarantee as a word, or the overall verdict for `None`. Returns `None` if it was not judged.
#[must_use]
pub fn verdict_word(judgement: &Judgement, guarantee: Option<crate::check::Guarantee>) -> Option<String> {
    match guarantee {
        None => Some(judgement.verdict.to_string()),
        Some(guarantee) => judgement.guarantees.get(&guarantee).map(|finding| finding.verdict.to_string()),
    }
}

impl Count {
    const fn of(self, measurements: &Measurements) -> u64 {
        let (sessions, operations) = (&measurements.sessions, &measurements.operations);
        match self {
            Self::SessionsCreated => sessions.created,
            Self::SessionsLost => sessions.lost,
            Self::SessionsLostBeforeFault => sessions.lost_before_fault,
            Self::SessionsForgotten => sessions.forgotten,
            Self::Ok => operations.ok,
            Self::Fail => operations.fail,
            Self::Indeterminate => operations.indeterminate,
            Self::AcknowledgedWritesLost => operations.acknowledged_writes_lost,
        }
    }
}

impl Point {
    fn of(self, latency: &Latency) -> Option<f64> {
        let us = match self {
            Self::P50 => latency.p50,
            Self::P90 => latency.p90,
            Self::P99 => latency.p99,
            Self::P999 => latency.p999,
            Self::Max => latency.max,
        };
        (latency.count > 0).then_some(us as f64)
    }
}

impl Recovering {
    fn of(self, measurements: &Measurements) -> Option<f64> {
        let us = |ms: u64| ms as f64 * 1000.0;
        let back = |back: Back| match back {
            Back::Unknown => None,
            Back::Never => Some(f64::INFINITY),
            Back::AfterMs(ms) => Some(us(ms)),
        };
        let worst = |values: Vec<Option<f64>>| -> Option<f64> {
            // If one value is unknown, the worst is unknown.
            values.into_iter().collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max)
        };
        let recoveries = measurements.recoveries.iter();
        match self {
            Self::Success => worst(recoveries.map(|recovery| back(recovery.figures.success)).collect()),
            Self::P99 => worst(recoveries.map(|recovery| back(recovery.figures.p99)).collect()),
            Self::LastError => {
                worst(recoveries.map(|recovery| Some(recovery.figures.last_error_ms.map_or(0.0, us))).collect())
            }
            Self::LongestWait => worst(recoveries.map(|recovery| Some(recovery.gap_us.max as f64)).collect()),
        }
    }
}

fn latency(measurements: &Measurements, clock: Clock, phase: Option<Phase>) -> Option<&Latency> {
    let of_phase = |phase: &Phase| measurements.phases.get(phase);
    match (clock, phase) {
        (Clock::Response, None) => Some(&measurements.response_us),
        (Clock::Service, None) => Some(&measurements.service_us),
        (Clock::Response, Some(phase)) => of_phase(&phase).map(|figures| &figures.response_us),
        (Clock::Service, Some(phase)) => of_phase(&phase).map(|figures| &figures.service_us),
    }
}

fn throughput(measurements: &Measurements) -> Option<f64> {
    let load = [Phase::Steady, Phase::Fault, Phase::Recovery];
    let phases: Vec<_> = load.iter().filter_map(|phase| measurements.phases.get(phase)).collect();
    let seconds: f64 = phases.iter().map(|figures| figures.seconds).sum();
    let ok: u64 = phases.iter().map(|figures| figures.ok).sum();
    (seconds > 0.0).then(|| ok as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::history::Timeline;
    use crate::measure::{
        Affinity, AgentsOfTrial, ByVictim, Circumstances, Meter, OperationCounts, PhaseFigures, Rebound, Recovery,
        RecoveryFigures, SessionCounts,
    };

    /// A trial without any figure.
    fn nothing() -> Measurements {
        let (timeline, agents) = (Timeline::default(), AgentsOfTrial::default());
        let meter = Meter::new(&timeline, &agents).unwrap();
        meter.finish(&[], 0, &Circumstances::default()).unwrap().0
    }

    fn latency(from_us: u64) -> Latency {
        let [p50, p90, p99, p999, max] = [0, 1, 2, 3, 4].map(|more| from_us + more);
        Latency { count: 1, p50, p90, p99, p999, max, histogram: String::new() }
    }

    fn recovery(from_ms: u64) -> Recovery {
        let by = |of_victim| ByVictim { of_victim, of_others: 1 };
        Recovery {
            figures: RecoveryFigures {
                success: Back::AfterMs(from_ms),
                p99: Back::AfterMs(from_ms + 1),
                last_error_ms: Some(from_ms + 2),
                rebound: Some(Rebound { seen: by(9), by_fault: by(from_ms / 1000), by_heal: by(0) }),
                ..RecoveryFigures::default()
            },
            gap_us: latency(from_ms),
            exposed: from_ms + 3,
            ..Recovery::default()
        }
    }

    /// A value for each, one more than for the one before.
    fn counted<T: Ord>(all: impl IntoIterator<Item = T>, from: u32) -> BTreeMap<T, f64> {
        all.into_iter().zip(from..).map(|(one, value)| (one, f64::from(value))).collect()
    }

    /// A trial with two faults in which no two figures are equal.
    fn everything() -> Measurements {
        let phase = |seconds, ok, from_us| PhaseFigures {
            seconds,
            ok,
            response_us: latency(from_us),
            service_us: latency(from_us + 10),
            ..PhaseFigures::default()
        };
        Measurements {
            sessions: SessionCounts {
                created: 1,
                alive_at_fault: Some(2),
                lost: 3,
                forgotten: 4,
                lost_before_fault: 5,
                lost_ratio: Some(0.25),
            },
            operations: OperationCounts {
                ok: 60,
                fail: 10,
                indeterminate: 30,
                acknowledged_writes: 6,
                acknowledged_writes_lost: 7,
            },
            response_us: latency(100),
            service_us: latency(200),
            phases: BTreeMap::from([
                (Phase::WarmUp, phase(1.0, 1000, 300)),
                (Phase::Steady, phase(2.0, 10, 400)),
                (Phase::Fault, phase(3.0, 20, 500)),
                (Phase::Recovery, phase(5.0, 30, 600)),
            ]),
            network_bytes_per_request: counted(Network::ALL, 700),
            network_bytes_per_write: counted(Network::ALL, 800),
            cpu_us_per_request: counted(Tier::ALL, 900),
            memory_bytes_per_node: Some(1001),
            live_heap_bytes_per_node: Some(1002),
            skew: Some(1.5),
            affinity: Some(Affinity { requests: 16, breaks: 2, ..Affinity::default() }),
            recoveries: vec![recovery(2000), recovery(1000)],
            ..nothing()
        }
    }

    fn told(measurements: &Measurements) -> String {
        let line = |metric: Metric| format!("{metric} {:?}", metric.of(measurements));
        Metric::all().into_iter().map(line).collect::<Vec<String>>().join("\n")
    }

    #[test]
    fn each_metric_is_a_figure_of_its_own() {
        insta::assert_snapshot!(told(&everything()));
    }

    #[test]
    fn what_was_not_measured_has_no_value() {
        insta::assert_snapshot!(told(&nothing()));
    }

    #[test]
    fn a_recovery_that_never_came_is_the_worst_and_one_that_is_unknown_makes_all_unknown() {
        let with = |back| {
            let mut measurements = everything();
            measurements.recoveries[1].figures.success = back;
            Metric::Recovery(Recovering::Success).of(&measurements)
        };
        assert_eq!(with(Back::Never), Some(f64::INFINITY));
        assert_eq!(with(Back::Unknown), None);
    }

    #[test]
    fn over_trials_a_maximum_stays_one_and_others_are_medians() {
        let over = |metric: Metric| metric.over_trials(&[1.0, 9.0, 2.0]);
        assert_eq!(over(Metric::Skew), Some(2.0));
        assert_eq!(over(Metric::Latency(Clock::Response, Point::Max, None)), Some(9.0));
        assert_eq!(over(Metric::Latency(Clock::Response, Point::P99, None)), Some(2.0));
        assert_eq!(over(Metric::Recovery(Recovering::LongestWait)), Some(9.0));
        assert_eq!(over(Metric::Recovery(Recovering::LastError)), Some(2.0));
    }

    #[test]
    fn each_metric_has_a_unit_and_a_better_way_and_says_whether_it_takes_a_fault() {
        let line =
            |metric: Metric| format!("{metric} {:?} {:?} {}\n", metric.unit(), metric.better(), metric.takes_a_fault());
        insta::assert_snapshot!(Metric::all().into_iter().map(line).collect::<String>());
    }

    #[test]
    fn the_word_of_a_guarantee_is_that_of_its_finding_and_of_the_trial_without_one() {
        use crate::check::{Finding, Guarantee, Verdict};
        let judgement = Judgement {
            verdict: Verdict::Violated,
            guarantees: BTreeMap::from([(Guarantee::Owned, Finding { verdict: Verdict::Pass, ..Finding::default() })]),
            ..Judgement::default()
        };
        assert_eq!(verdict_word(&judgement, None).as_deref(), Some("violated"));
        assert_eq!(verdict_word(&judgement, Some(Guarantee::Owned)).as_deref(), Some("pass"));
        assert_eq!(verdict_word(&judgement, Some(Guarantee::OneHistory)), None);
    }
}
