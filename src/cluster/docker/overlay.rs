//! What really passes between the hosts of a swarm on a network of theirs. The swarm does not tell: its members hear of each
//! other at other ports than the one that carries packets. So a container on each host sends some to each other host.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use futures::future::{join_all, try_join_all};

use super::container::{self, Spec};
use super::networks::{self, AROUND_BYTES, Ownership, Reach};
use super::{Engine, Engines, exec, swarm};
use crate::cluster::ClusterError;
use crate::topology::{Network, Tier};

/// The trial that everything made here is of.
pub const TRIAL: &str = "overlay";
/// What the headers of IPv4 and of an echo take of a packet.
const HEADER_BYTES: u32 = 28;

/// What one host's packets to another one have come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The host that sent them.
    pub from: String,
    /// The host that was to answer.
    pub to: String,
    /// The largest packet that the network lets through by its own account (MTU), in bytes.
    pub mtu_bytes: u32,
    /// The largest one that was answered, in bytes; `None` if none was.
    pub largest_bytes: Option<u32>,
}

impl Path {
    /// What is wrong with it, and what to do.
    #[must_use]
    pub fn problem(&self, file: &str) -> Option<String> {
        let Self { from, to, mtu_bytes, largest_bytes } = self;
        match *largest_bytes {
            None => Some(format!(
                "{from} gets no answer from {to} on a network in common: open port 4789 (UDP) between them, both ways"
            )),
            Some(largest) if largest < *mtu_bytes => Some(format!(
                "of {from}'s packets to {to} those of more than {largest} bytes get lost, where the network in common has {mtu_bytes}: \
                 let {} bytes pass between these hosts, or write `mtu = {largest}` at the top of {file}",
                mtu_bytes + AROUND_BYTES
            )),
            Some(_) => None,
        }
    }
}

/// A container in the network in common.
struct Station<'a> {
    host: &'a str,
    engine: &'a Engine,
    container: String,
    address: Ipv4Addr,
}

/// Makes a network in common and sends packets between all pairs of hosts. What it makes is [`TRIAL`] of `run`, and is the caller's to
/// remove. Each engine has the image `toolbox`.
///
/// # Errors
/// When a container does not get into the network; names the host.
pub async fn try_paths(engines: &Engines, toolbox: &str, run: &str) -> Result<Vec<Path>, ClusterError> {
    let owner = &Ownership { run: run.to_owned(), trial: TRIAL.to_owned() };
    let (subnets, names) = networks::create(engines, owner, &[(Network::Cluster, Reach::Containers)]).await?;
    let hosts = engines.iter().filter_map(|(host, engine)| Some((host?, engine)));
    let stations = hosts.zip(1..).map(async |((host, engine), number)| {
        let address = subnets.node(Network::Cluster, Tier::App, number);
        let started = start(engine, owner, &names, (host, toolbox, address)).await;
        let container = started.map_err(|error| error.of_host(Some(host)).advise(swarm::NEEDED_TO_ATTACH))?;
        Ok::<_, ClusterError>(Station { host, engine, container, address })
    });
    let stations = try_join_all(stations).await?;
    let asked = join_all(stations.iter().map(async |station| paths_from(station, &stations).await)).await;
    Ok(asked.into_iter().collect::<Result<Vec<_>, ClusterError>>()?.into_iter().flatten().collect())
}

async fn start(
    engine: &Engine,
    owner: &Ownership,
    networks: &BTreeMap<Network, String>,
    (host, toolbox, address): (&str, &str, Ipv4Addr),
) -> Result<String, ClusterError> {
    let no_files = BTreeMap::new();
    let name = format!("at-{host}");
    let spec = Spec::station(&name, toolbox, BTreeMap::from([(Network::Cluster, address)]), &no_files);
    let (container, _) = container::create(engine, owner, networks, &spec).await?;
    let started = engine.start_container(&container).await;
    started.map_err(|error| ClusterError::new(format!("starting {container}"), error.to_string()))?;
    Ok(container)
}

/// Asks all others at once; each answers a line: address, MTU, and the largest packet that came back, or 0.
async fn paths_from(station: &Station<'_>, all: &[Station<'_>]) -> Result<Vec<Path>, ClusterError> {
    let others: Vec<&Station> = all.iter().filter(|other| other.host != station.host).collect();
    let addresses: Vec<String> = others.iter().map(|other| other.address.to_string()).collect();
    let script = script(&addresses);
    let asked = exec::execute(station.engine, &station.container, &["bash".to_owned(), "-c".to_owned(), script]).await;
    let failed =
        |reason: String| ClusterError::new("sending packets to the other hosts", reason).of_host(Some(station.host));
    let (code, said) = asked.map_err(|error| failed(error.to_string()))?;
    if code != 0 {
        return Err(failed(said));
    }
    let of_other = |other: &&Station| {
        let (mtu_bytes, largest) = answer(&said, other.address)?;
        Some(Path {
            from: station.host.to_owned(),
            to: other.host.to_owned(),
            mtu_bytes,
            largest_bytes: (largest > 0).then_some(largest),
        })
    };
    let paths: Option<Vec<Path>> = others.iter().map(of_other).collect();
    paths.ok_or_else(|| failed(format!("not all of them are in its answer: {said}")))
}

/// A host that has just come into a network is found by the others after a moment, so the first packet is sent until it is
/// answered. Then the largest is tried, and where that gets lost the least size that does is searched.
fn script(addresses: &[String]) -> String {
    format!(
        "mtu=$(cat /sys/class/net/eth0/mtu)\n\
         passes() {{ ping -q -n -c 1 -w \"$3\" -i 0.2 -M do -s $(($2 - {HEADER_BYTES})) \"$1\" > /dev/null 2>&1; }}\n\
         try() {{\n\
           least=100; most=$mtu\n\
           if ! passes \"$1\" $least 10; then echo \"$1 $mtu 0\"; return; fi\n\
           if passes \"$1\" \"$most\" 2; then echo \"$1 $mtu $mtu\"; return; fi\n\
           while [ $((most - least)) -gt 1 ]; do\n\
             middle=$(((least + most) / 2))\n\
             if passes \"$1\" $middle 1; then least=$middle; else most=$middle; fi\n\
           done\n\
           echo \"$1 $mtu $least\"\n\
         }}\n\
         for other in {}; do try $other & done\n\
         wait\n",
        addresses.join(" ")
    )
}

/// The MTU and the largest size in the line of an address.
fn answer(said: &str, address: Ipv4Addr) -> Option<(u32, u32)> {
    let address = address.to_string();
    let line = said.lines().find(|line| line.split(' ').next() == Some(address.as_str()))?;
    let mut sizes = line.split(' ').skip(1).map(|size| size.trim().parse::<u32>().ok());
    Some((sizes.next()??, sizes.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(largest_bytes: Option<u32>) -> Path {
        Path { from: "left".to_owned(), to: "right".to_owned(), mtu_bytes: 1450, largest_bytes }
    }

    #[test]
    fn a_path_that_loses_packets_is_named_with_what_mends_it() {
        assert_eq!(path(Some(1450)).problem("hosts.toml"), None);
        insta::assert_snapshot!(path(None).problem("hosts.toml").unwrap_or_default(), @"left gets no answer from right on a network in common: open port 4789 (UDP) between them, both ways");
        insta::assert_snapshot!(path(Some(1330)).problem("hosts.toml").unwrap_or_default(), @"of left's packets to right those of more than 1330 bytes get lost, where the network in common has 1450: let 1500 bytes pass between these hosts, or write `mtu = 1330` at the top of hosts.toml");
    }

    #[test]
    fn each_line_answers_for_its_own_address() {
        let said = "10.77.128.12 1450 0\n10.77.128.1 1450 1399\n";
        assert_eq!(answer(said, Ipv4Addr::new(10, 77, 128, 1)), Some((1450, 1399)));
        assert_eq!(answer(said, Ipv4Addr::new(10, 77, 128, 12)), Some((1450, 0)));
        assert_eq!(answer(said, Ipv4Addr::new(10, 77, 128, 2)), None);
        assert_eq!(answer("10.77.128.2 1450", Ipv4Addr::new(10, 77, 128, 2)), None);
    }
}
