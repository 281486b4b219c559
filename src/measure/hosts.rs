//! Where nodes ran, and what each host did in the steady phase. Empty where no file names hosts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::resources::{Sampled, Span, SteadyTally, seconds_of, steady_spans};
use crate::statistics::median;

/// One host with its nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HostFigures {
    /// The nodes that ran there, the agent among them.
    pub nodes: Vec<String>,
    /// Cores that they kept busy, on average; `None` if there are no two samples of one of them.
    pub busy_cores: Option<f64>,
    /// Bytes that they sent into all networks, per operation; what went to nodes of the same host is among them.
    pub sent_bytes_per_request: Option<f64>,
}

/// The figures of each host, by its name.
pub fn figures(
    sampled: Sampled,
    steady: &SteadyTally,
    hosts: &BTreeMap<String, String>,
) -> BTreeMap<String, HostFigures> {
    let spans = steady_spans(sampled);
    let requests = steady.requests_per_second(sampled.timeline);
    let mut figures: BTreeMap<String, HostFigures> = BTreeMap::new();
    for (node, host) in hosts {
        figures.entry(host.clone()).or_default().nodes.push(node.clone());
    }
    for host in figures.values_mut() {
        let of_nodes = host.nodes.iter().map(|node| spans.get(node.as_str()).map(Vec::as_slice).unwrap_or_default());
        let of_nodes: Vec<&[Span<'_>]> = of_nodes.collect();
        // The sum without one would be too low.
        if of_nodes.iter().any(|spans| spans.is_empty()) {
            continue;
        }
        host.busy_cores = of_nodes.iter().map(|spans| busy_cores(spans)).sum();
        let sent_per_second: f64 = of_nodes.iter().map(|spans| sent_per_second(spans)).sum();
        host.sent_bytes_per_request = requests.map(|requests| sent_per_second / requests);
    }
    figures
}

fn sent_per_second(spans: &[Span<'_>]) -> f64 {
    sent_bytes(spans) / seconds_of(spans)
}

fn busy_cores(spans: &[Span<'_>]) -> Option<f64> {
    let of_one = |(first, last): &Span<'_>| Some(last.cpu_ns?.saturating_sub(first.cpu_ns?) as f64 / 1e9);
    let seconds: Option<f64> = spans.iter().map(of_one).sum();
    Some(seconds? / seconds_of(spans))
}

fn sent_bytes(spans: &[Span<'_>]) -> f64 {
    let of_one = |(first, last): &Span<'_>| {
        let sent = last.networks.iter().map(|(network, traffic)| {
            let before = first.networks.get(network).copied().unwrap_or_default();
            traffic.sent_bytes.saturating_sub(before.sent_bytes)
        });
        sent.sum::<u64>() as f64
    };
    spans.iter().map(of_one).sum()
}

/// The figures over several trials: medians. Nodes are dealt out alike in each.
pub fn over_trials<'a>(
    trials: impl Iterator<Item = &'a BTreeMap<String, HostFigures>>,
) -> BTreeMap<String, HostFigures> {
    let mut all: BTreeMap<&String, Vec<&HostFigures>> = BTreeMap::new();
    for (host, figures) in trials.flatten() {
        all.entry(host).or_default().push(figures);
    }
    let one = |(host, trials): (&String, Vec<&HostFigures>)| {
        let figures = HostFigures {
            nodes: trials.first().map(|figures| figures.nodes.clone()).unwrap_or_default(),
            busy_cores: median_of(&trials, |figures| figures.busy_cores),
            sent_bytes_per_request: median_of(&trials, |figures| figures.sent_bytes_per_request),
        };
        (host.clone(), figures)
    };
    all.into_iter().map(one).collect()
}

fn median_of(trials: &[&HostFigures], figure: impl Fn(&HostFigures) -> Option<f64>) -> Option<f64> {
    median(&trials.iter().filter_map(|figures| figure(figures)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{NodeSample, Traffic};
    use crate::topology::Network;

    fn sample(second: u64, cpu_ns: u64, sent_bytes: u64) -> NodeSample {
        NodeSample {
            node: "app-1".into(),
            unix_ns: second * 1_000_000_000,
            starts: 1,
            resident_bytes: None,
            cpu_ns: Some(cpu_ns),
            networks: BTreeMap::from([(Network::Front, Traffic { received_bytes: 0, sent_bytes })]),
        }
    }

    #[test]
    fn a_node_that_used_half_of_the_time_kept_half_a_core_busy() {
        let (first, last) = (sample(10, 1_000_000_000, 500), sample(14, 3_000_000_000, 2500));
        assert_eq!(busy_cores(&[(&first, &last)]), Some(0.5));
        assert!((sent_bytes(&[(&first, &last)]) - 2000.0).abs() < 1e-9);
        assert!((sent_per_second(&[(&first, &last)]) - 500.0).abs() < 1e-9);
    }

    #[test]
    fn several_trials_give_medians() {
        let trial = |cores: f64| {
            let figures =
                HostFigures { nodes: vec!["app-1".into()], busy_cores: Some(cores), sent_bytes_per_request: None };
            BTreeMap::from([("host-2".to_owned(), figures)])
        };
        let trials = [trial(0.1), trial(0.5), trial(0.2)];
        let host = &over_trials(trials.iter())["host-2"];
        assert_eq!((host.nodes.len(), host.busy_cores, host.sent_bytes_per_request), (1, Some(0.2), None));
    }
}
