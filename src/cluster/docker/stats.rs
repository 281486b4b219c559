//! Memory, CPU time and traffic of a container, from the kernel's counters.
//!
//! The engine names interfaces eth0, eth1 … in an undocumented order, so an interface is matched to its network by
//! hardware address, which is read inside the container.

use std::collections::BTreeMap;

use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::{InspectContainerOptions, StatsOptionsBuilder};
use futures::StreamExt;

use super::{Engine, EngineFacts, exec};
use crate::history::{NodeSample, Traffic};
use crate::topology::Network;

/// The network of each interface, by name.
pub type Interfaces = BTreeMap<String, Network>;

const WITH_A_SHELL: [&str; 3] =
    ["sh", "-c", r#"for path in /sys/class/net/*; do echo "${path##*/} $(cat "$path/address")"; done"#];
const WITHOUT_A_SHELL: [&str; 2] = ["/steadfast", "interfaces"];

/// A container whose interfaces are looked for.
pub struct Interfaced<'a> {
    /// Its name.
    pub container: &'a str,
    /// The container whose network it uses.
    pub place: &'a str,
    /// The networks that are counted.
    pub of: &'a [Network],
    /// Whether it has a shell, as far as is known.
    pub has_shell: bool,
    /// Whether it is a service of the user's, which may stand in further networks and lack a shell.
    pub is_service: bool,
}

/// Finds the network of each interface of a running container. `None`: it is starting or ending. A service whose interfaces
/// cannot be listed has none that are counted.
pub async fn interfaces(
    engine: &Engine,
    networks: &BTreeMap<Network, String>,
    asked: &Interfaced<'_>,
) -> Result<Option<Interfaces>, bollard::errors::Error> {
    let alone = |only: Network| Some(Interfaces::from([("eth0".to_owned(), only)]));
    if let ([only], false) = (asked.of, asked.is_service) {
        return Ok(alone(*only));
    }
    let inspected = engine.docker.inspect_container(asked.place, None::<InspectContainerOptions>).await?;
    let endpoints = inspected.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    if let ([only], 1) = (asked.of, endpoints.len()) {
        return Ok(alone(*only));
    }
    let hardware_address = |network: &Network| endpoints.get(networks.get(network)?)?.mac_address.clone();
    let by_address: BTreeMap<String, Network> =
        asked.of.iter().filter_map(|network| Some((hardware_address(network)?.to_lowercase(), *network))).collect();
    let command: &[&str] = if asked.has_shell { &WITH_A_SHELL } else { &WITHOUT_A_SHELL };
    let command: Vec<String> = command.iter().map(ToString::to_string).collect();
    let (code, listing) = exec::execute(engine, asked.container, &command).await?;
    let found = match_interfaces(&listing, &by_address);
    let is_hopeless = asked.is_service && code != 0;
    Ok((found.len() == asked.of.len() || is_hopeless).then_some(found))
}

fn match_interfaces(listing: &str, by_address: &BTreeMap<String, Network>) -> Interfaces {
    let pairs = listing.lines().filter_map(|line| line.trim().split_once(' '));
    pairs.filter_map(|(name, address)| Some((name.to_owned(), *by_address.get(&address.to_lowercase())?))).collect()
}

/// Samples one container; `None` if it is not running.
pub async fn sample(
    engine: &Engine,
    container: &str,
    node: &str,
    starts: u32,
    interfaces: &Interfaces,
) -> Result<Option<NodeSample>, bollard::errors::Error> {
    let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
    let mut stats = engine.docker.stats(container, Some(options));
    let Some(stats) = stats.next().await.transpose()? else { return Ok(None) };
    let sample = node_sample(&stats, node, starts, interfaces);
    Ok(sample.map(|sample| {
        let sample = without_what_it_cannot_count(engine.facts(), sample);
        NodeSample { unix_ns: engine.by_the_runs_clock(sample.unix_ns), ..sample }
    }))
}

/// Removes figures that the engine cannot count: they are zero, or those of the whole machine.
fn without_what_it_cannot_count(facts: &EngineFacts, sample: NodeSample) -> NodeSample {
    NodeSample {
        resident_bytes: sample.resident_bytes.filter(|_| facts.control_groups.counts_memory),
        cpu_ns: sample.cpu_ns.filter(|_| facts.control_groups.counts_cpu),
        ..sample
    }
}

/// `None` if there are no counters: the container is not running.
fn node_sample(stats: &ContainerStatsResponse, node: &str, starts: u32, interfaces: &Interfaces) -> Option<NodeSample> {
    let read: jiff::Timestamp = stats.read.as_ref()?.parse().ok()?;
    // Podman reports no details, and its total includes file caches.
    let details = stats.memory_stats.as_ref()?.stats.as_ref();
    // Control groups v1 name it rss, v2 anon.
    let resident_bytes = details.and_then(|details| details.get("rss").or_else(|| details.get("anon")).copied());
    let mut networks: BTreeMap<Network, Traffic> = BTreeMap::new();
    for (name, counters) in stats.networks.iter().flatten() {
        let Some(network) = interfaces.get(name) else { continue };
        let traffic = networks.entry(*network).or_default();
        traffic.received_bytes += counters.rx_bytes.unwrap_or_default();
        traffic.sent_bytes += counters.tx_bytes.unwrap_or_default();
    }
    Some(NodeSample {
        node: node.to_owned(),
        unix_ns: u64::try_from(read.as_nanosecond()).ok().filter(|ns| *ns > 0)?,
        starts,
        resident_bytes,
        cpu_ns: Some(stats.cpu_stats.as_ref()?.cpu_usage.as_ref()?.total_usage?),
        networks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_matched_by_hardware_address_in_any_order() {
        let by_address = BTreeMap::from([
            ("02:42:0a:4d:00:0b".to_owned(), Network::Front),
            ("02:42:0a:4d:80:0b".to_owned(), Network::Cluster),
        ]);
        let listing = "eth0 02:42:0a:4d:80:0b\neth1 02:42:0A:4D:00:0B\nlo 00:00:00:00:00:00\n";
        let expected = Interfaces::from([("eth0".to_owned(), Network::Cluster), ("eth1".to_owned(), Network::Front)]);
        assert_eq!(match_interfaces(listing, &by_address), expected);
    }

    #[test]
    fn both_versions_of_control_groups_are_read() {
        for key in ["rss", "anon"] {
            let text = format!(
                r#"{{"read":"2026-01-01T00:00:00.5Z","cpu_stats":{{"cpu_usage":{{"total_usage":7}}}},
                "memory_stats":{{"usage":9,"stats":{{"{key}":5}}}},"networks":{{"eth0":{{"rx_bytes":1,"tx_bytes":2}}}}}}"#
            );
            let stats: ContainerStatsResponse = serde_json::from_str(&text).unwrap();
            let interfaces = Interfaces::from([("eth0".to_owned(), Network::Front)]);
            let sample = node_sample(&stats, "app-1", 1, &interfaces).unwrap();
            assert_eq!((sample.resident_bytes, sample.cpu_ns), (Some(5), Some(7)));
            assert_eq!(sample.networks[&Network::Front], Traffic { received_bytes: 1, sent_bytes: 2 });
        }
    }

    #[test]
    fn podman_reports_everything_but_resident_memory() {
        let text = r#"{"read":"2026-01-01T00:00:00.5Z","cpu_stats":{"cpu_usage":{"total_usage":7}},
            "memory_stats":{"usage":9,"limit":99},"networks":{"eth0":{"rx_bytes":1,"tx_bytes":2}}}"#;
        let stats: ContainerStatsResponse = serde_json::from_str(text).unwrap();
        let sample = node_sample(&stats, "app-1", 1, &Interfaces::from([("eth0".to_owned(), Network::Front)])).unwrap();
        assert_eq!((sample.resident_bytes, sample.cpu_ns), (None, Some(7)));
        assert_eq!(sample.networks[&Network::Front], Traffic { received_bytes: 1, sent_bytes: 2 });
    }

    #[test]
    fn figures_of_an_engine_without_control_groups_are_left_out() {
        let text = r#"{"read":"2026-01-01T00:00:00.5Z","cpu_stats":{"cpu_usage":{"total_usage":7}},
            "memory_stats":{"usage":497025024,"stats":{"rss":497025024}}}"#;
        let stats: ContainerStatsResponse = serde_json::from_str(text).unwrap();
        let sample = node_sample(&stats, "app-1", 1, &Interfaces::new()).unwrap();
        let sample = without_what_it_cannot_count(&EngineFacts::default(), sample);
        assert_eq!((sample.resident_bytes, sample.cpu_ns), (None, None));
    }

    #[test]
    fn a_container_that_is_not_running_has_no_sample() {
        let stats: ContainerStatsResponse =
            serde_json::from_str(r#"{"read":"0001-01-01T00:00:00Z","cpu_stats":{},"memory_stats":{}}"#).unwrap();
        assert_eq!(node_sample(&stats, "app-1", 1, &Interfaces::new()), None);
    }
}
