//! Network, CPU, memory and load by node. Rates are computed between two samples of the same start of a node, because
//! a restart resets the counters and must not look like traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Circumstances;
use crate::history::{NodeSample, Operation, OperationKind, Timeline};
use crate::topology::{Network, Tier};

/// What an app node reports about itself (docker/CONTRACT.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Internals {
    /// Live heap after a collection.
    pub heap_bytes: u64,
    /// Sessions by role.
    pub sessions: Roles,
}

/// Sessions that a node holds, by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// Sessions of which the node is the primary.
    pub primary: u64,
    /// Copies of sessions of other nodes.
    pub backup: u64,
    /// Sessions of which the node knows only where they are.
    pub proxy: u64,
}

/// Memory of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMemory {
    /// Resident memory at the end of the steady phase.
    pub resident_bytes: Option<u64>,
    /// What the node reported about itself at the end.
    pub internals: Option<Internals>,
}

/// Samples of all nodes, and the time of the trial.
#[derive(Clone, Copy)]
pub struct Sampled<'a> {
    /// The samples in the order in which they were taken.
    pub samples: &'a [NodeSample],
    /// The wall clock at the start of the load, in nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// Faults and phases of the trial.
    pub timeline: &'a Timeline,
}

/// Operations sent and answered in the steady phase.
#[derive(Default)]
pub struct SteadyTally {
    sent: u64,
    /// Sent operations that create or change a session.
    writes: u64,
    answered: BTreeMap<String, u64>,
}

impl SteadyTally {
    pub fn add(&mut self, operation: &Operation, steady: &Range<u64>) {
        let is_sent = operation.times.sent_ns.is_some_and(|sent| steady.contains(&sent));
        self.sent += u64::from(is_sent);
        self.writes += u64::from(is_sent && matches!(operation.kind, OperationKind::Create | OperationKind::Write));
        let Some(answer) = operation.answer.as_ref().filter(|_| steady.contains(&operation.times.completed_ns)) else {
            return;
        };
        match self.answered.get_mut(&answer.node) {
            Some(count) => *count += 1,
            None => drop(self.answered.insert(answer.node.clone(), 1)),
        }
    }

    /// Operations sent in the steady phase, per second.
    pub fn requests_per_second(&self, timeline: &Timeline) -> Option<f64> {
        let (from, to) = timeline.steady_ns();
        (self.sent > 0 && to > from).then(|| self.sent as f64 / ((to - from) as f64 / 1e9))
    }

    /// Bytes per write instead of per request. The bytes of reads and of idle networks are counted as the writes', too.
    pub fn per_write(&self, per_request: &BTreeMap<Network, f64>) -> BTreeMap<Network, f64> {
        let writes = self.writes as f64;
        let of = |(network, bytes): (&Network, &f64)| (*network, bytes * self.sent as f64 / writes);
        per_request.iter().filter(|_| writes > 0.0).map(of).collect()
    }

    /// Number of operations that each app node answered.
    pub fn answered_per_node(&self, app_nodes: &[&str]) -> BTreeMap<String, u64> {
        let of = |node: &&str| ((*node).to_owned(), self.answered.get(*node).copied().unwrap_or_default());
        app_nodes.iter().map(of).collect()
    }

    /// Answers of the busiest app node over the mean of all app nodes; nodes without answers count in the mean.
    pub fn skew(&self, app_nodes: &[&str]) -> Option<f64> {
        let answered = || app_nodes.iter().map(|node| self.answered.get(*node).copied().unwrap_or_default());
        let (most, all) = (answered().max()?, answered().sum::<u64>());
        (all > 0).then(|| most as f64 / (all as f64 / app_nodes.len() as f64))
    }
}

/// Two samples of the same start of the same node.
pub type Span<'a> = (&'a NodeSample, &'a NodeSample);

/// The first and the last sample of each start of a node in the steady phase, by node. The rate of a restarted node is
/// taken over all its starts together. A node that has no start with two samples has an empty list.
pub fn steady_spans(sampled: Sampled<'_>) -> BTreeMap<&str, Vec<Span<'_>>> {
    let (from, to) = sampled.timeline.steady_ns();
    let at = |sample: &NodeSample| sample.unix_ns.checked_sub(sampled.started_unix_ns);
    let mut by_start: BTreeMap<(&str, u32), Vec<&NodeSample>> = BTreeMap::new();
    for sample in sampled.samples.iter().filter(|sample| at(sample).is_some_and(|at| from <= at && at <= to)) {
        by_start.entry((&sample.node, sample.starts)).or_default().push(sample);
    }
    let mut spans: BTreeMap<&str, Vec<Span<'_>>> = BTreeMap::new();
    for ((node, _), samples) in by_start {
        spans.entry(node).or_default().extend(first_and_last(&samples));
    }
    spans
}

fn first_and_last<'a>(samples: &[&'a NodeSample]) -> Option<(&'a NodeSample, &'a NodeSample)> {
    let first = samples.iter().min_by_key(|sample| sample.unix_ns)?;
    let last = samples.iter().max_by_key(|sample| sample.unix_ns)?;
    (first.unix_ns < last.unix_ns).then_some((*first, *last))
}

pub fn seconds_of(spans: &[Span<'_>]) -> f64 {
    spans.iter().map(|(first, last)| (last.unix_ns - first.unix_ns) as f64 / 1e9).sum()
}

/// Bytes that all nodes and the agent sent into each network, per operation. Only sent bytes count, so that each byte
/// counts once. If the bytes of one node are unknown, the network is left out, because the sum would be too low.
pub fn network_bytes_per_request(sampled: Sampled, steady: &SteadyTally) -> BTreeMap<Network, f64> {
    let mut bytes_per_second: BTreeMap<Network, f64> = BTreeMap::new();
    let by_node = steady_spans(sampled);
    let is_unknown = |network: &Network| {
        let was_on = |sample: &NodeSample| sample.networks.contains_key(network);
        let mut unsampled = by_node.iter().filter(|(_, spans)| spans.is_empty()).map(|(node, _)| *node);
        unsampled.any(|node| sampled.samples.iter().any(|sample| sample.node == node && was_on(sample)))
    };
    for spans in by_node.values() {
        for (first, last) in spans {
            for (network, traffic) in &last.networks {
                let before = first.networks.get(network).copied().unwrap_or_default();
                let bytes = traffic.sent_bytes.saturating_sub(before.sent_bytes) as f64;
                *bytes_per_second.entry(*network).or_default() += bytes / seconds_of(spans);
            }
        }
    }
    bytes_per_second.retain(|network, _| !is_unknown(network));
    let Some(requests) = steady.requests_per_second(sampled.timeline) else { return BTreeMap::new() };
    bytes_per_second.into_iter().map(|(network, bytes)| (network, bytes / requests)).collect()
}

/// CPU time of each tier, per operation. A tier is left out if the CPU time of one of its nodes is unknown.
pub fn cpu_us_per_request(
    sampled: Sampled,
    steady: &SteadyTally,
    tiers: &BTreeMap<String, Tier>,
) -> BTreeMap<Tier, f64> {
    let mut cpu_per_second: BTreeMap<Tier, f64> = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    for (node, spans) in steady_spans(sampled) {
        let Some(tier) = tiers.get(node) else { continue };
        if spans.is_empty() {
            unknown.insert(*tier);
        }
        for (first, last) in &spans {
            let (Some(before), Some(after)) = (first.cpu_ns, last.cpu_ns) else {
                unknown.insert(*tier);
                continue;
            };
            let cpu_us = after.saturating_sub(before) as f64 / 1000.0;
            *cpu_per_second.entry(*tier).or_default() += cpu_us / seconds_of(&spans);
        }
    }
    cpu_per_second.retain(|tier, _| !unknown.contains(tier));
    let Some(requests) = steady.requests_per_second(sampled.timeline) else { return BTreeMap::new() };
    cpu_per_second.into_iter().map(|(tier, cpu)| (tier, cpu / requests)).collect()
}

fn resident(sampled: Sampled, node: &str) -> Option<u64> {
    let (_, to) = sampled.timeline.steady_ns();
    let before = |sample: &&NodeSample| sample.node == node && sample.unix_ns <= sampled.started_unix_ns + to;
    sampled.samples.iter().filter(before).max_by_key(|sample| sample.unix_ns)?.resident_bytes
}

/// Memory of each app node.
pub fn memory(sampled: Sampled, circumstances: &Circumstances, app_nodes: &[&str]) -> BTreeMap<String, NodeMemory> {
    let memory = |node: &str| NodeMemory {
        resident_bytes: resident(sampled, node),
        internals: circumstances.internals.get(node).copied(),
    };
    app_nodes.iter().map(|node| ((*node).to_owned(), memory(node))).collect()
}

fn mean(values: &[u64]) -> Option<u64> {
    values.iter().sum::<u64>().checked_div(values.len() as u64)
}

/// Mean resident memory of the app nodes.
pub fn resident_per_node(sampled: Sampled, app_nodes: &[&str]) -> Option<u64> {
    let values: Vec<u64> = app_nodes.iter().filter_map(|node| resident(sampled, node)).collect();
    mean(&values)
}

/// Mean live heap of the app nodes that report it.
pub fn live_heap_per_node(circumstances: &Circumstances) -> Option<u64> {
    let values: Vec<u64> = circumstances.internals.values().map(|internals| internals.heap_bytes).collect();
    mean(&values)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::history::{Answer, ErrorKind, Moved, OperationId, OperationKind, Outcome, Times, Traffic};

    fn sample(node: &str, second: u64, starts: u32, sent_bytes: u64) -> NodeSample {
        NodeSample {
            node: node.into(),
            unix_ns: 1_000_000_000_000 + second * 1_000_000_000,
            starts,
            resident_bytes: Some(sent_bytes),
            cpu_ns: Some(sent_bytes * 1000),
            networks: BTreeMap::from([(Network::Cluster, Traffic { received_bytes: 0, sent_bytes })]),
        }
    }

    /// One operation per second for ten seconds.
    fn steady() -> SteadyTally {
        let operation = |number: u32| Operation {
            id: OperationId { session: 1, life: 1, number },
            kind: OperationKind::Read,
            times: Times {
                sent_ns: Some(u64::from(number) * 1_000_000_000),
                completed_ns: u64::from(number) * 1_000_000_000,
                ..Times::default()
            },
            moved: Moved::default(),
            outcome: Outcome::Indeterminate(ErrorKind::Timeout),
            status: None,
            answer: Some(Arc::new(Answer {
                node: if number < 3 { "app-1".into() } else { "app-2".into() },
                boot: String::new(),
            })),
            is_resent: false,
        };
        let mut tally = SteadyTally::default();
        (0..10).for_each(|number| tally.add(&operation(number), &(0..10_000_000_000)));
        tally
    }

    fn bytes_per_request(samples: &[NodeSample]) -> BTreeMap<Network, f64> {
        let timeline = Timeline { load_end: Duration::from_secs(10), ..Timeline::default() };
        let sampled = Sampled { samples, started_unix_ns: 1_000_000_000_000, timeline: &timeline };
        network_bytes_per_request(sampled, &steady())
    }

    #[test]
    fn bytes_per_request_come_from_counters_of_the_same_start() {
        let bytes = bytes_per_request(&[
            sample("app-1", 0, 1, 1000),
            sample("app-1", 5, 1, 6000),
            // The node was restarted: its counters begin at zero, which is neither traffic nor negative traffic.
            sample("app-1", 6, 2, 10),
            sample("app-2", 0, 1, 0),
            sample("app-2", 10, 1, 5000),
        ]);
        assert!((bytes[&Network::Cluster] - 1500.0).abs() < 1e-6, "{bytes:?}");
    }

    #[test]
    fn a_node_that_was_started_again_counts_once() {
        // 1000 bytes per second in each of its two starts.
        let again = bytes_per_request(&[
            sample("app-1", 0, 1, 0),
            sample("app-1", 4, 1, 4000),
            sample("app-1", 6, 2, 0),
            sample("app-1", 10, 2, 4000),
        ]);
        assert!((again[&Network::Cluster] - 1000.0).abs() < 1e-6, "{again:?}");
    }

    #[test]
    fn without_two_samples_the_figure_is_absent_and_not_zero() {
        assert_eq!(bytes_per_request(&[sample("app-1", 1, 1, 7)]), BTreeMap::new());
    }

    #[test]
    fn the_sum_is_unknown_if_one_node_is_unknown() {
        let samples = [
            sample("app-1", 0, 1, 1000),
            sample("app-1", 5, 1, 6000),
            // Two samples of the same instant.
            sample("app-2", 4, 1, 2000),
            sample("app-2", 4, 1, 2000),
        ];
        assert_eq!(bytes_per_request(&samples), BTreeMap::new());
        let timeline = Timeline { load_end: Duration::from_secs(10), ..Timeline::default() };
        let sampled = Sampled { samples: &samples, started_unix_ns: 1_000_000_000_000, timeline: &timeline };
        let tiers = ["app-1", "app-2"].map(|node| (node.to_owned(), Tier::App)).into();
        assert_eq!(cpu_us_per_request(sampled, &steady(), &tiers), BTreeMap::new());
    }

    #[test]
    fn figures_that_the_runtime_does_not_report_are_absent_and_never_zero() {
        let unmeasured = |second| NodeSample { resident_bytes: None, cpu_ns: None, ..sample("app-1", second, 1, 7) };
        let timeline = Timeline { load_end: Duration::from_secs(10), ..Timeline::default() };
        let samples = [unmeasured(0), unmeasured(10)];
        let sampled = Sampled { samples: &samples, started_unix_ns: 1_000_000_000_000, timeline: &timeline };
        let tiers = BTreeMap::from([("app-1".to_owned(), Tier::App)]);
        assert_eq!(cpu_us_per_request(sampled, &steady(), &tiers), BTreeMap::new());
        assert_eq!(resident_per_node(sampled, &["app-1"]), None);
    }

    #[test]
    fn skew_is_the_busiest_over_the_mean_and_idle_nodes_count() {
        assert!((steady().skew(&["app-1", "app-2", "app-3"]).unwrap() - 2.1).abs() < 1e-9);
        assert_eq!(SteadyTally::default().skew(&["app-1"]), None);
    }
}
