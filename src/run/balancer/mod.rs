//! What the balancer says of its app nodes, where it tells: whether it marked one down, how often it tried again. An image
//! names the format in its `image.toml`; each format has its parser, a file.

mod haproxy_csv;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::agent::remote::{Probe, Prober};
use crate::measure::BalancerView;
use crate::topology::{StatisticsFormat, Tier, Topology};

/// How long it may take to tell.
const TIMEOUT: Duration = Duration::from_secs(1);
/// By app node; empty where the balancer does not tell, or does not answer.
pub async fn ask(topology: &Topology, prober: &Prober) -> BTreeMap<String, BalancerView> {
    let mut views = BTreeMap::new();
    for balancer in topology.tier(Tier::Balancer) {
        let Some((statistics, address)) = balancer.image.statistics.as_ref().zip(balancer.address()) else { continue };
        let url = format!("http://{address}:{}{}", statistics.port, statistics.path);
        if let Probe::Answered { status: 200, body } = prober.probe(&url, TIMEOUT).await {
            for (node, view) in read(statistics.format, &body) {
                let so_far = views.remove(&node);
                views.insert(node, so_far.map_or(view, |so_far: BalancerView| so_far.and(view)));
            }
        }
    }
    views
}

/// What a page of statistics says of each app node; empty where it says nothing that is understood.
fn read(format: StatisticsFormat, text: &str) -> BTreeMap<String, BalancerView> {
    match format {
        StatisticsFormat::HaproxyCsv => haproxy_csv::read(text),
    }
}
