//! What crossed between hosts in the steady phase, by the pair of hosts: what one machine would not pay for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Circumstances;
use super::resources::{Sampled, SteadyTally, steady_spans};
use crate::history::{LinkSample, Traffic};
use crate::statistics::median;
use crate::topology::{Network, Tier};

/// The bytes that one host sent to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LinkFigures {
    /// The host that sent them.
    pub from: String,
    /// The host that they went to; several with a comma where a client's balancers are on several, and nobody counts each.
    pub to: String,
    /// Bytes per operation, with the headers of Ethernet and without those that an overlay adds.
    pub bytes_per_request: f64,
}

/// The figures of each pair of hosts; empty where no file names hosts.
pub fn figures(sampled: Sampled, steady: &SteadyTally, circumstances: &Circumstances) -> Vec<LinkFigures> {
    let Some(requests) = steady.requests_per_second(sampled.timeline) else { return Vec::new() };
    let mut per_second: BTreeMap<(String, String), f64> = BTreeMap::new();
    let host_of = |node: &String| circumstances.hosts.get(node).cloned();
    let on_hosts = |((from, to), rate): ((String, String), f64)| Some(((host_of(&from)?, host_of(&to)?), rate));
    let of_nodes = between_nodes(sampled, &circumstances.links).into_iter().filter_map(on_hosts);
    for ((from, to), rate) in of_nodes.chain(of_clients(sampled, circumstances)) {
        if from != to {
            *per_second.entry((from, to)).or_default() += rate;
        }
    }
    let figure =
        |((from, to), rate): ((String, String), f64)| LinkFigures { from, to, bytes_per_request: rate / requests };
    per_second.into_iter().map(figure).collect()
}

/// Bytes a second between two nodes, from the first and the last reading in the steady phase.
fn between_nodes(sampled: Sampled, samples: &[LinkSample]) -> BTreeMap<(String, String), f64> {
    let (from, to) = sampled.timeline.steady_ns();
    let is_steady = |sample: &&LinkSample| {
        sample.unix_ns.checked_sub(sampled.started_unix_ns).is_some_and(|at| from <= at && at <= to)
    };
    let mut pairs: BTreeMap<(String, String), (&LinkSample, &LinkSample)> = BTreeMap::new();
    for sample in samples.iter().filter(is_steady) {
        let pair = pairs.entry((sample.from.clone(), sample.to.clone())).or_insert((sample, sample));
        pair.1 = sample;
    }
    let rate = |(first, last): (&LinkSample, &LinkSample)| {
        let seconds = last.unix_ns.saturating_sub(first.unix_ns) as f64 / 1e9;
        // A counter that went back is another one.
        (seconds > 0.0 && last.sent_bytes >= first.sent_bytes)
            .then(|| (last.sent_bytes - first.sent_bytes) as f64 / seconds)
    };
    pairs.into_iter().filter_map(|(pair, samples)| Some((pair, rate(samples)?))).collect()
}

/// Bytes a second between hosts of agents and of balancers, by the agents' own interfaces. The other end is the hosts of all
/// balancers.
fn of_clients(sampled: Sampled, circumstances: &Circumstances) -> Vec<((String, String), f64)> {
    let balancers = circumstances.tiers.iter().filter(|(_, tier)| **tier == Tier::Balancer);
    let mut hosts: Vec<&String> = balancers.filter_map(|(balancer, _)| circumstances.hosts.get(balancer)).collect();
    hosts.sort();
    hosts.dedup();
    let hosts = hosts.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut rates = Vec::new();
    for (agent, spans) in steady_spans(sampled) {
        if circumstances.tiers.contains_key(agent) || hosts.is_empty() {
            continue;
        }
        let (Some((first, last)), Some(of_agent)) = (spans.first(), circumstances.hosts.get(agent)) else { continue };
        let seconds = (last.unix_ns - first.unix_ns) as f64 / 1e9;
        let on = |networks: &BTreeMap<Network, _>| networks.get(&Network::Front).copied().unwrap_or_default();
        let (before, after): (Traffic, Traffic) = (on(&first.networks), on(&last.networks));
        let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
        rates.push(((of_agent.clone(), hosts.clone()), rate(before.sent_bytes, after.sent_bytes)));
        rates.push(((hosts.clone(), of_agent.clone()), rate(before.received_bytes, after.received_bytes)));
    }
    rates
}

/// The figures over several trials: medians. A pair that a trial does not have is left out of its median.
pub fn over_trials<'a>(trials: impl Iterator<Item = &'a Vec<LinkFigures>>) -> Vec<LinkFigures> {
    let mut all: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    for link in trials.flatten() {
        all.entry((link.from.clone(), link.to.clone())).or_default().push(link.bytes_per_request);
    }
    let one = |((from, to), bytes): ((String, String), Vec<f64>)| {
        Some(LinkFigures { from, to, bytes_per_request: median(&bytes)? })
    };
    all.into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{HistoryBuilder, history};
    use crate::history::{NodeSample, Timeline};

    const SECOND: u64 = 1_000_000_000;

    fn link(from: &str, to: &str, second: u64, sent_bytes: u64) -> LinkSample {
        LinkSample { from: from.into(), to: to.into(), unix_ns: second * SECOND, sent_bytes }
    }

    /// A sample of an agent.
    fn sample(second: u64, sent_bytes: u64, received_bytes: u64) -> NodeSample {
        NodeSample {
            node: "agent".into(),
            unix_ns: second * SECOND,
            starts: 1,
            resident_bytes: None,
            cpu_ns: None,
            networks: BTreeMap::from([(Network::Front, Traffic { received_bytes, sent_bytes })]),
        }
    }

    fn on_two_hosts(links: Vec<LinkSample>) -> Circumstances {
        let named =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(one, other)| ((*one).into(), (*other).into())).collect();
        Circumstances {
            tiers: [("app-1", Tier::App), ("app-2", Tier::App), ("balancer", Tier::Balancer), ("store", Tier::Store)]
                .map(|(node, tier)| (node.to_owned(), tier))
                .into(),
            hosts: named(&[("app-1", "a"), ("app-2", "b"), ("balancer", "b"), ("store", "a"), ("agent", "c")]),
            links,
            ..Circumstances::default()
        }
    }

    fn timeline() -> Timeline {
        let second = std::time::Duration::from_secs;
        Timeline { warm_up: second(2), load_end: second(10), ..Timeline::default() }
    }

    #[test]
    fn pairs_of_nodes_on_the_same_two_hosts_are_one_link() {
        let links = vec![
            link("app-2", "store", 2, 1000),
            link("balancer", "app-1", 2, 100),
            // In the warm-up, after the load, and by a counter that began anew.
            link("app-2", "store", 1, 0),
            link("app-2", "store", 11, 1_000_000),
            link("store", "app-2", 2, 500),
            link("store", "app-2", 6, 100),
            link("app-2", "store", 6, 5000),
            link("balancer", "app-1", 6, 900),
        ];
        let timeline = timeline();
        let sampled = Sampled { samples: &[], started_unix_ns: 0, timeline: &timeline };
        let rates = between_nodes(sampled, &links);
        let rate = |from: &str, to: &str| rates.get(&(from.to_owned(), to.to_owned())).copied();
        assert_eq!((rate("app-2", "store"), rate("balancer", "app-1")), (Some(1000.0), Some(200.0)));
        assert_eq!(rate("store", "app-2"), None);
    }

    #[test]
    fn agents_exchange_what_their_own_interfaces_count_with_the_hosts_of_balancers() {
        let samples = [sample(2, 100, 1000), sample(4, 300, 5000)];
        let timeline = timeline();
        let sampled = Sampled { samples: &samples, started_unix_ns: 0, timeline: &timeline };
        let rates = of_clients(sampled, &on_two_hosts(Vec::new()));
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(rates, [(pair("c", "b"), 100.0), (pair("b", "c"), 2000.0)]);
    }

    #[test]
    fn what_stays_on_a_host_is_no_link() {
        let timeline = timeline();
        let (from, to) = timeline.steady_ns();
        let mut steady = SteadyTally::default();
        let mut operation = history(HistoryBuilder::create).remove(0);
        for _ in 0..80 {
            (operation.times.sent_ns, operation.times.completed_ns) = (Some(3 * SECOND), 3 * SECOND + 1);
            steady.add(&operation, &(from..to));
        }
        let sampled = Sampled { samples: &[], started_unix_ns: 0, timeline: &timeline };
        let links = vec![
            link("app-1", "store", 2, 0),
            link("app-1", "store", 6, 4000),
            link("app-1", "app-2", 2, 0),
            link("app-1", "app-2", 6, 4000),
        ];
        let links = figures(sampled, &steady, &on_two_hosts(links));
        // A thousand bytes a second, at ten operations a second.
        assert_eq!(links, [LinkFigures { from: "a".into(), to: "b".into(), bytes_per_request: 100.0 }]);
    }

    #[test]
    fn several_trials_give_medians() {
        let figure = |bytes_per_request| vec![LinkFigures { from: "a".into(), to: "b".into(), bytes_per_request }];
        assert_eq!(over_trials([figure(1.0), figure(9.0), figure(2.0)].iter()), figure(2.0));
    }
}
