//! What the balancers publish: whether they marked an app node down, how often they tried again, what they counted. An image
//! names its format in `image.toml`; each format has its parser, a file.

mod haproxy_csv;
mod nginx_stub_status;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::agent::remote::{Probe, Prober};
use crate::measure::{BalancerTotals, BalancerView};
use crate::topology::{StatisticsFormat, Tier, Topology};

/// How long a balancer may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What one page of statistics says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Page {
    /// By app node; empty if the format does not tell them apart.
    nodes: BTreeMap<String, BalancerView>,
    /// None if the page cannot be read.
    totals: Option<BalancerTotals>,
}

/// What all balancers of a target say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BalancerStatistics {
    /// By app node, all balancers together.
    pub nodes: BTreeMap<String, BalancerView>,
    /// By balancer.
    pub totals: BTreeMap<String, BalancerTotals>,
}

/// Asks every balancer that publishes statistics. A balancer that does not answer is left out.
pub async fn ask(topology: &Topology, prober: &Prober) -> BalancerStatistics {
    let mut all = BalancerStatistics::default();
    for balancer in topology.tier(Tier::Balancer) {
        let Some((statistics, address)) = balancer.image.statistics.as_ref().zip(balancer.address()) else { continue };
        let url = format!("http://{address}:{}{}", statistics.port, statistics.path);
        if let Probe::Answered { status: 200, body } = prober.probe(&url, TIMEOUT).await {
            let page = read(statistics.format, &body);
            for (node, view) in page.nodes {
                let so_far = all.nodes.remove(&node);
                all.nodes.insert(node, so_far.map_or(view, |so_far: BalancerView| so_far.and(view)));
            }
            all.totals.extend(page.totals.map(|totals| (balancer.name.clone(), totals)));
        }
    }
    all
}

/// Whether some balancer tells which app nodes it has marked down.
pub fn tells_nodes(topology: &Topology) -> bool {
    let formats = topology.tier(Tier::Balancer).filter_map(|balancer| Some(balancer.image.statistics.as_ref()?.format));
    formats.into_iter().any(|format| match format {
        StatisticsFormat::HaproxyCsv => true,
        StatisticsFormat::NginxStubStatus => false,
    })
}

/// Empty if the text is not in that format.
fn read(format: StatisticsFormat, text: &str) -> Page {
    match format {
        StatisticsFormat::HaproxyCsv => haproxy_csv::read(text),
        StatisticsFormat::NginxStubStatus => nginx_stub_status::read(text),
    }
}
