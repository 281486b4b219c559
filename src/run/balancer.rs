//! What the balancer thinks of its app nodes, where it tells: whether it holds one for dead, how often it tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::agent::remote::{Probe, Prober};
use crate::measure::BalancerView;
use crate::topology::{Tier, Topology};

/// How long it may take to tell.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The table of servers that has the app nodes.
const TABLE: &str = "apps";

/// By app node; empty where the balancer does not tell, or does not answer.
pub async fn ask(topology: &Topology, prober: &Prober) -> BTreeMap<String, BalancerView> {
    let mut views = BTreeMap::new();
    for balancer in topology.tier(Tier::Balancer) {
        let Some((statistics, address)) = balancer.image.statistics.as_ref().zip(balancer.address()) else { continue };
        let url = format!("http://{address}:{}{}", statistics.port, statistics.path);
        if let Probe::Answered { status: 200, body } = prober.probe(&url, TIMEOUT).await {
            for (node, view) in read(&body) {
                let so_far = views.remove(&node);
                views.insert(node, so_far.map_or(view, |so_far: BalancerView| so_far.and(view)));
            }
        }
    }
    views
}

/// Reads HAProxy's statistics: a line of heads, and one a server.
fn read(text: &str) -> BTreeMap<String, BalancerView> {
    let mut lines = text.lines();
    let heads: Vec<&str> = lines.next().unwrap_or_default().trim_start_matches("# ").split(',').collect();
    let column = |name: &str| heads.iter().position(|head| *head == name);
    let read_line = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let cell = |name: &str| cells.get(column(name)?).copied();
        let number = |name: &str| cell(name).and_then(|text| text.parse().ok()).unwrap_or_default();
        let view = BalancerView {
            is_up: cell("status")?.starts_with("UP"),
            times_down: number("chkdown"),
            down_s: number("downtime"),
            retries: number("wretr"),
            redispatches: number("wredis"),
        };
        (cell("pxname")? == TABLE).then_some((cell("svname")?.to_owned(), view))
    };
    lines.filter_map(read_line).filter(|(name, _)| name.starts_with("app-")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistics_of_haproxy_are_read_by_their_heads() {
        let text = "# pxname,svname,scur,wretr,wredis,status,chkdown,downtime,\n\
            clients,FRONTEND,3,,,OPEN,,,\n\
            apps,app-1,1,4,2,UP,1,7,\n\
            apps,app-2,0,0,0,DOWN 1/2,2,9,\n\
            apps,BACKEND,1,4,2,UP,0,0,\n";
        let views = read(text);
        let up = BalancerView { is_up: true, times_down: 1, down_s: 7, retries: 4, redispatches: 2 };
        let down = BalancerView { is_up: false, times_down: 2, down_s: 9, retries: 0, redispatches: 0 };
        assert_eq!(views, BTreeMap::from([("app-1".to_owned(), up), ("app-2".to_owned(), down)]));
        assert!(read("").is_empty() && read("<html>").is_empty());
    }
}
