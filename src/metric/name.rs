//! The names of metrics, such as `response.p99{phase=steady}`. The error for an unknown name suggests the nearest one.

use std::str::FromStr;

use super::{Clock, Count, Metric, Point, Recovering};
use crate::history::Phase;

impl Metric {
    /// Its name in expectations, files and comparisons.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Count(count) => count.name().to_owned(),
            Self::SessionsAliveAtFault => "sessions.alive_at_fault".to_owned(),
            Self::SessionsLostRatio => "sessions.lost_ratio".to_owned(),
            Self::ErrorRatio => "operations.error_ratio".to_owned(),
            Self::Throughput => "throughput".to_owned(),
            Self::Latency(clock, point, phase) => {
                let phase = phase.map(|phase| format!("{{phase={}}}", phase.word())).unwrap_or_default();
                format!("{}.{}{phase}", clock.name(), point.name())
            }
            Self::BytesPerRequest(network) => format!("network.{network}.bytes_per_request"),
            Self::BytesPerWrite(network) => format!("network.{network}.bytes_per_write"),
            Self::CpuPerRequest(tier) => format!("cpu.{tier}.per_request"),
            Self::ResidentPerNode => "memory.resident_per_node".to_owned(),
            Self::LiveHeapPerNode => "memory.live_heap_per_node".to_owned(),
            Self::Skew => "skew".to_owned(),
            Self::AffinityBreaks => "affinity.breaks".to_owned(),
            Self::AffinityMovedByFault => "affinity.moved_by_fault".to_owned(),
            Self::Recovery(what) => format!("recovery.{}", what.name()),
        }
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (bare, phase) = match text.strip_suffix('}').and_then(|text| text.split_once('{')) {
            Some((bare, filter)) => (bare, Some(parse_phase(text, filter)?)),
            None => (text, None),
        };
        let all = Self::all();
        let is_bare = |metric: &&Self| metric.name() == bare && !matches!(metric, Self::Latency(_, _, Some(_)));
        let Some(metric) = all.iter().find(is_bare) else {
            return Err(unknown(text, bare, &all));
        };
        match (*metric, phase) {
            (Self::Latency(clock, point, _), phase) => Ok(Self::Latency(clock, point, phase)),
            (metric, None) => Ok(metric),
            (_, Some(_)) => Err(format!("`{text}`: only response and service times have phases")),
        }
    }
}

fn parse_phase(text: &str, filter: &str) -> Result<Phase, String> {
    let word = filter.strip_prefix("phase=");
    word.and_then(|word| Phase::ALL.into_iter().find(|phase| phase.word() == word)).ok_or_else(|| {
        let phases = Phase::ALL.map(Phase::word).join(", ");
        format!("`{text}`: it can be narrowed to {{phase=…}} alone, one of {phases}")
    })
}

fn unknown(text: &str, bare: &str, all: &[Metric]) -> String {
    let names: Vec<String> = all.iter().map(|metric| metric.name()).collect();
    let nearest = nearest(bare, names.iter().map(String::as_str));
    match nearest {
        Some(name) => format!("`{text}` is not a metric; did you mean `{name}`?"),
        None => format!("`{text}` is not a metric; there are: {}", names.join(", ")),
    }
}

/// The name that is most similar to `text`, if one is similar enough.
pub fn nearest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LIKE: f64 = 0.75;
    let scored = names.map(|name| (strsim::jaro_winkler(text, name), name));
    scored.filter(|(score, _)| *score > LIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

impl Count {
    const fn name(self) -> &'static str {
        match self {
            Self::SessionsCreated => "sessions.created",
            Self::SessionsLost => "sessions.lost",
            Self::SessionsLostBeforeFault => "sessions.lost_before_fault",
            Self::SessionsForgotten => "sessions.forgotten",
            Self::Ok => "operations.ok",
            Self::Fail => "operations.fail",
            Self::Indeterminate => "operations.indeterminate",
            Self::AcknowledgedWritesLost => "operations.acknowledged_writes_lost",
        }
    }
}

impl Clock {
    const fn name(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Service => "service",
        }
    }
}

impl Point {
    const fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p999",
            Self::Max => "max",
        }
    }
}

impl Recovering {
    const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::P99 => "p99",
            Self::LastError => "last_error",
            Self::LongestWait => "longest_wait",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_found_by_its_name() {
        for metric in Metric::all() {
            assert_eq!(metric.name().parse(), Ok(metric));
        }
        let of_a_phase = Metric::Latency(Clock::Response, Point::P99, Some(Phase::WarmUp));
        assert_eq!(of_a_phase.name(), "response.p99{phase=warm-up}");
        assert_eq!(of_a_phase.name().parse(), Ok(of_a_phase));
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_name_as_a_suggestion() {
        let error = |text: &str| text.parse::<Metric>().unwrap_err();
        insta::assert_snapshot!(error("session.lost"), @"`session.lost` is not a metric; did you mean `sessions.lost`?");
        assert!(error("xyz").starts_with("`xyz` is not a metric; there are: sessions.created, "));
        insta::assert_snapshot!(error("response.p99{phase=stead}"), @"`response.p99{phase=stead}`: it can be narrowed to {phase=…} alone, one of warm-up, steady, fault, recovery, final");
        insta::assert_snapshot!(error("skew{phase=steady}"), @"`skew{phase=steady}`: only response and service times have phases");
    }
}
