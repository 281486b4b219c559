//! Creates a cluster's networks: internal, each in a range that no other network overlaps, and closed to the engine's
//! machine (exceptions: `is_closed`). Of several hosts they are overlay networks, which their manager makes.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use bollard::query_parameters::{InspectNetworkOptions, ListNetworksOptions};
use tokio::time::{Duration, Instant, sleep};

use super::driver::{DRIVER_LABEL, Driver};
use super::{Engine, Engines, LASTING_RUN, RUN_LABEL, TRIAL_LABEL, routes};
use crate::cluster::ClusterError;
use crate::topology::{Network, Subnet, Subnets};

/// The run and trial that own a cluster's objects.
#[derive(Clone, Debug)]
pub struct Ownership {
    /// The run.
    pub run: String,
    /// The trial within it.
    pub trial: String,
}

impl Ownership {
    /// The labels that every object carries.
    pub fn labels(&self) -> HashMap<String, String> {
        let mut labels =
            HashMap::from([(RUN_LABEL.to_owned(), self.run.clone()), (TRIAL_LABEL.to_owned(), self.trial.clone())]);
        if self.run != LASTING_RUN {
            labels.insert(DRIVER_LABEL.to_owned(), Driver::this().to_string());
        }
        labels
    }

    /// The name of one of its objects.
    pub fn name(&self, of: &str) -> String {
        format!("steadfast-{}-{}-{of}", self.run, self.trial)
    }
}

/// Creates the networks in the first free address ranges.
///
/// # Returns
/// The ranges, and each network's name in the engine.
pub async fn create(
    engines: &Engines,
    owner: &Ownership,
    networks: &[(Network, Reach)],
) -> Result<(Subnets, BTreeMap<Network, String>), ClusterError> {
    let doing = || format!("making the networks of {}", owner.trial);
    let chosen = engines.manager().addresses();
    // A range that the user chose is used even if this machine has a route to it.
    let elsewhere = if chosen.is_some() { Vec::new() } else { routes::known() };
    // An engine refuses a bridge whose range is taken, but makes an overlay all the same.
    let taken = if engines.has_hosts() { taken(engines).await? } else { Vec::new() };
    let mut candidates = Subnets::candidates(chosen);
    if engines.has_hosts() {
        // A swarm's manager frees addresses some time after their network is gone. Until then it gives them to nobody in the next
        // network of that range, and a start there fails after 20 s (seen with 20.10, about once in three). So ranges are taken
        // in turn by the clock: no cluster is made within one turn, and 174 ranges come round in six minutes.
        let turn = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / TURN_SECONDS;
        let first = usize::try_from(turn).unwrap_or_default() % candidates.len().max(1);
        candidates.rotate_left(first);
    }
    let mut reason = "no address range was tried".to_owned();
    for subnets in candidates {
        if let Some(route) = elsewhere.iter().find(|route| route.overlaps(subnets.whole())) {
            reason = format!("this machine reaches {route} elsewhere");
            continue;
        }
        if let Some((network, range)) = taken.iter().find(|(_, range)| range.overlaps(subnets.whole())) {
            reason = format!("network {network} has {range}");
            continue;
        }
        match try_create(engines, owner, networks, subnets).await {
            Ok(names) => return Ok((subnets, names)),
            Err(error) if is_overlap(&error) => reason = error.to_string(),
            Err(error) => return Err(ClusterError::new(doing(), error.to_string())),
        }
    }
    let tried = chosen.map_or_else(|| "10.77.0.0 to 10.250.0.0".to_owned(), |range| range.to_string());
    Err(ClusterError::new(doing(), format!("no range within {tried} is free: {reason}"))
        .advise("choose another with --addresses, or remove networks that nobody needs: `steadfast clean`, `docker network prune`"))
}

/// How long a range of an overlay has its turn.
const TURN_SECONDS: u64 = 2;

async fn try_create(
    engines: &Engines,
    owner: &Ownership,
    networks: &[(Network, Reach)],
    subnets: Subnets,
) -> Result<BTreeMap<Network, String>, bollard::errors::Error> {
    let (engine, is_overlay) = (engines.manager(), engines.has_hosts());
    let mut names: BTreeMap<Network, String> = BTreeMap::new();
    for (network, reach) in networks {
        let name = owner.name(&network.to_string());
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some(if is_overlay { "overlay" } else { "bridge" }.to_owned()),
            // Containers join it by themselves, not as tasks of a service.
            attachable: is_overlay.then_some(true),
            internal: Some(*reach != Reach::Outside),
            options: if is_overlay {
                engines.mtu_bytes().map(of_at_most)
            } else {
                (*reach == Reach::Containers).then(without_an_address_of_the_machine)
            },
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(subnets.of(*network).to_string()),
                    // What gets no fixed address must not take that of a node which does not run yet. On an overlay
                    // each engine takes an address for itself.
                    ip_range: (is_overlay || matches!(reach, Reach::Project | Reach::Outside))
                        .then(|| subnets.others(*network).to_string()),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            }),
            labels: Some(owner.labels()),
            ..NetworkCreateRequest::default()
        };
        let created = async {
            engine.docker.create_network(request).await?;
            if is_overlay { has_range(engine, &name).await } else { Ok(()) }
        };
        if let Err(error) = created.await {
            let _: Result<(), _> = engine.docker.remove_network(&name).await;
            for made in names.values() {
                let _: Result<(), _> = engine.docker.remove_network(made).await;
            }
            return Err(error);
        }
        names.insert(*network, name);
    }
    Ok(names)
}

/// The ranges of all networks of all engines, each with its network's name.
async fn taken(engines: &Engines) -> Result<Vec<(String, Subnet)>, ClusterError> {
    let of_one = async |engine: &Engine| {
        let networks = engine.docker.list_networks(None::<ListNetworksOptions>).await;
        networks.map_err(|error| ClusterError::new("listing networks", error.to_string()))
    };
    let networks = engines.on_all(of_one).await?.into_iter().flatten();
    let ranges = networks.flat_map(|network| {
        let name = network.name.unwrap_or_default();
        let configs = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        configs.into_iter().filter_map(move |config| Some((name.clone(), config.subnet?.parse().ok()?)))
    });
    Ok(ranges.collect())
}

/// How long a swarm's manager may take to give an overlay its range.
const ALLOCATION: Duration = Duration::from_secs(3);

/// Checks that an overlay has got a range: of two with the same one, the second is made and has none (seen with 20.10 and 26).
async fn has_range(engine: &Engine, name: &str) -> Result<(), bollard::errors::Error> {
    let deadline = Instant::now() + ALLOCATION;
    // The swarm gives it its range after the request that makes it has returned.
    while Instant::now() < deadline {
        let network = engine.docker.inspect_network(name, None::<InspectNetworkOptions>).await?;
        if network.ipam.and_then(|ipam| ipam.config).is_some_and(|config| !config.is_empty()) {
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Err(bollard::errors::Error::DockerResponseServerError {
        status_code: 409,
        message: format!("the range of {name} overlaps with another one in the swarm"),
    })
}

/// Who can be reached through a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Its containers alone.
    Containers,
    /// Its containers and the engine's machine.
    Machine,
    /// Its containers and the engine's machine; some containers have no fixed address.
    Project,
    /// Whatever the engine's machine reaches; some containers have no fixed address.
    Outside,
}

impl Reach {
    /// Of a network of our own: stores and balancers' administration need no password. Users may reach the front network of
    /// `up`. Podman has no network without the machine.
    pub fn of(engine: &Engine, owner: &Ownership, network: Network) -> Self {
        let is_closed = !engine.facts().is_podman() && (owner.run != LASTING_RUN || network != Network::Front);
        if is_closed { Self::Containers } else { Self::Machine }
    }
}

/// Gives the machine no address in the network, so that its users cannot reach it.
fn without_an_address_of_the_machine() -> HashMap<String, String> {
    HashMap::from([("com.docker.network.bridge.inhibit_ipv4".to_owned(), "true".to_owned())])
}

/// What an overlay puts around each packet: the headers of Ethernet, VXLAN, UDP and IPv4 (RFC 7348, section 5).
pub const AROUND_BYTES: u32 = 50;

/// Packets of at most so many bytes. The engine wants to know what passes between the hosts (seen with 20.10).
fn of_at_most(mtu_bytes: u32) -> HashMap<String, String> {
    HashMap::from([("com.docker.network.driver.mtu".to_owned(), (mtu_bytes + AROUND_BYTES).to_string())])
}

fn is_overlap(error: &bollard::errors::Error) -> bool {
    says_overlap(&error.to_string())
}

/// Recognises the messages of Docker 20.10, Docker 26 and Podman.
fn says_overlap(text: &str) -> bool {
    let text = text.to_lowercase();
    ["overlap", "conflicts with network", "is already used on the host"].iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engines_message_for_a_taken_range_is_recognised() {
        for text in [
            "could not find an available, non-overlapping IPv4 address pool among the defaults",
            "Pool overlaps with other one on this address space",
            "subnet 10.91.1.0/24 is already used on the host or by another config",
            "cannot create network a (br-1): conflicts with network b (br-2): networks have overlapping IPv4",
        ] {
            assert!(says_overlap(text), "{text}");
        }
        assert!(!says_overlap("permission denied"));
    }
}
