//! The machines that a run may use, each with its engine: a file that the user writes. Connects to none of them.

mod placement;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use crate::files::{FileError, Source, name_problem};

pub use placement::{Placement, Policy, Room, Unplaced, place};

use crate::topology::Tier;

/// Hosts with this tag have agents, and no nodes. Without one, the manager has them.
const AGENT: &str = "agent";
/// The host with this tag, or else the first one, manages the swarm.
const MANAGER: &str = "manager";
const MIN_CORES: f64 = 0.1;
const MAX_CORES: f64 = 4096.0;
/// From what each host takes (RFC 791, section 3.2) to what an IPv4 packet can have less what an overlay puts around it.
const MTU_BYTES: RangeInclusive<u32> = 576..=65_485;

/// One machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Its name in reports and messages.
    pub name: String,
    /// Its engine: `unix://PATH`, `tcp://HOST:PORT` or `ssh://USER@HOST`.
    pub engine: String,
    /// The folder with the certificates of an engine behind TLS.
    pub certificates: Option<PathBuf>,
    /// The address at which the other hosts reach it.
    pub address: Option<IpAddr>,
    /// How many of its cores nodes may use; `None`: all.
    pub cores: Option<f64>,
    /// `manager`, `agent`, and the tiers whose nodes it takes; other words are the user's own.
    pub tags: Vec<String>,
}

impl Host {
    /// Whether it is kept for agents.
    #[must_use]
    pub fn is_for_agents(&self) -> bool {
        self.tags.iter().any(|tag| tag == AGENT)
    }
}

/// All machines, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Hosts {
    /// The path as the user typed it.
    pub file: String,
    /// How nodes are dealt out to them.
    pub placement: Policy,
    /// The largest packet of the networks in common, if the engines are not to choose it.
    pub mtu_bytes: Option<u32>,
    /// At least one.
    all: Vec<Host>,
    /// The place of the manager.
    manager: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostsFile {
    #[serde(default)]
    placement: Policy,
    mtu: Option<Spanned<u32>>,
    #[serde(default)]
    hosts: Vec<HostFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostFile {
    name: Spanned<String>,
    engine: Spanned<String>,
    certificates: Option<PathBuf>,
    address: Option<IpAddr>,
    cores: Option<Spanned<f64>>,
    #[serde(default)]
    tags: Vec<String>,
}

impl Hosts {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read; names the line and the key that is wrong.
    pub fn read(path: &str) -> Result<Self, FileError> {
        let unreadable =
            |error: std::io::Error| FileError::Unreadable { file: path.to_owned(), message: error.to_string() };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::from_source(&Source { name: path.to_owned(), file: path.to_owned(), text })
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// Names the line and the key that is wrong.
    pub fn from_source(source: &Source) -> Result<Self, FileError> {
        let file: HostsFile = source.parse()?;
        let mut hosts: Vec<Host> = Vec::new();
        let mut manager = None;
        for host in file.hosts {
            let (name, engine) = (host.name.get_ref(), host.engine.get_ref());
            let invalid_name = |message: String| source.invalid(host.name.span(), Some("hosts.name"), message);
            if let Some(problem) = name_problem(name) {
                return Err(invalid_name(problem));
            }
            if hosts.iter().any(|other| other.name == *name) {
                return Err(invalid_name(format!("two hosts are called `{name}`")));
            }
            if let Some(other) = hosts.iter().find(|other| other.engine == *engine) {
                let message = format!("it is the engine of `{}`, too: each host has an engine of its own", other.name);
                return Err(source.invalid(host.engine.span(), Some("hosts.engine"), message));
            }
            if host.tags.iter().any(|tag| tag == MANAGER) && manager.replace(hosts.len()).is_some() {
                return Err(invalid_name(format!("a second host has the tag `{MANAGER}`; one host manages the swarm")));
            }
            let tier = Tier::ALL.into_iter().find(|tier| host.tags.contains(&tier.to_string()));
            if let Some(tier) = tier.filter(|_| host.tags.iter().any(|tag| tag == AGENT)) {
                let message = format!("it has the tags `{AGENT}` and `{tier}`; nodes would slow its agents down");
                return Err(invalid_name(message));
            }
            if let Some(cores) = host.cores.as_ref().filter(|cores| !(MIN_CORES..=MAX_CORES).contains(cores.get_ref()))
            {
                let message = format!("it takes {MIN_CORES} to {MAX_CORES} cores");
                return Err(source.invalid(cores.span(), Some("hosts.cores"), message));
            }
            hosts.push(Host {
                name: host.name.into_inner(),
                engine: host.engine.into_inner(),
                certificates: host.certificates,
                address: host.address,
                cores: host.cores.map(Spanned::into_inner),
                tags: host.tags,
            });
        }
        if hosts.is_empty() {
            let message = "it names no host: `[[hosts]]` with `name` and `engine`";
            return Err(source.invalid(0..0, Some("hosts"), message));
        }
        if let Some(mtu) = file.mtu.as_ref().filter(|mtu| !MTU_BYTES.contains(mtu.get_ref())) {
            let message = format!("it takes {} to {} bytes", MTU_BYTES.start(), MTU_BYTES.end());
            return Err(source.invalid(mtu.span(), Some("mtu"), message));
        }
        let mtu_bytes = file.mtu.map(Spanned::into_inner);
        let manager = manager.unwrap_or_default();
        Ok(Self { file: source.file.clone(), placement: file.placement, mtu_bytes, all: hosts, manager })
    }

    /// All of them, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Host> {
        self.all.iter()
    }

    /// The hosts that agents are dealt out to, in the order of the file.
    pub fn of_agents(&self) -> impl Iterator<Item = &Host> {
        let has_tagged = self.all.iter().any(Host::is_for_agents);
        self.all.iter().filter(move |host| if has_tagged { host.is_for_agents() } else { self.is_manager(host) })
    }

    /// The host that manages the swarm.
    #[must_use]
    pub fn manager(&self) -> Option<&Host> {
        self.all.get(self.manager)
    }

    /// Whether this host manages the swarm. It hosts no node that a fault can hit: while it is away, no container on an overlay
    /// network can be started anywhere.
    #[must_use]
    pub fn is_manager(&self, host: &Host) -> bool {
        self.manager().is_some_and(|manager| manager.name == host.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Hosts, FileError> {
        Hosts::from_source(&Source { name: "hosts".into(), file: "hosts.toml".into(), text: text.into() })
    }

    const TWO: &str = "[[hosts]]\nname = \"a\"\nengine = \"unix:///a.sock\"\naddress = \"10.0.0.1\"\n\
        [[hosts]]\nname = \"b\"\nengine = \"ssh://root@b\"\ntags = [\"manager\", \"store\"]\n";

    #[test]
    fn the_host_with_the_tag_manages_the_swarm_or_else_the_first_one() {
        let managers = |text: &str| {
            let hosts = read(text).unwrap();
            hosts.iter().filter(|host| hosts.is_manager(host)).map(|host| host.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(managers(TWO), ["b"]);
        assert_eq!(managers(&TWO.replace("\"manager\", ", "")), ["a"]);
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_line() {
        let refused = |from: &str, to: &str| read(&TWO.replace(from, to)).unwrap_err().to_string();
        insta::assert_snapshot!(refused("\"b\"", "\"a\""), @"hosts.toml:6: `hosts.name`: two hosts are called `a`");
        insta::assert_snapshot!(refused("\"b\"", "\"b/c\""), @"hosts.toml:6: `hosts.name`: `b/c` is not a name: it is made of letters, digits, `.`, `_` and `-`, begins with a letter or a digit, and has at most 64 of them");
        insta::assert_snapshot!(refused("ssh://root@b", "unix:///a.sock"), @"hosts.toml:7: `hosts.engine`: it is the engine of `a`, too: each host has an engine of its own");
        insta::assert_snapshot!(refused("address = \"10.0.0.1\"", "tags = [\"manager\"]"), @"hosts.toml:6: `hosts.name`: a second host has the tag `manager`; one host manages the swarm");
        insta::assert_snapshot!(refused("address = \"10.0.0.1\"", "address = \"here\""), @"hosts.toml:4: `hosts[0].address`: invalid IP address syntax");
        insta::assert_snapshot!(refused("address = \"10.0.0.1\"", "cores = 0"), @"hosts.toml:4: `hosts.cores`: it takes 0.1 to 4096 cores");
        insta::assert_snapshot!(refused("[[hosts]]\nname = \"a\"", "placement = \"dense\"\n[[hosts]]\nname = \"a\""), @"hosts.toml:1: `placement`: unknown variant `dense`, expected one of `spread`, `pack`, `host-per-tier`");
        insta::assert_snapshot!(refused("tags", "tag"), @"hosts.toml:8: `hosts[1].tag`: unknown field `tag`, expected one of `name`, `engine`, `certificates`, `address`, `cores`, `tags`");
        insta::assert_snapshot!(refused("\"manager\", ", "\"agent\", "), @"hosts.toml:6: `hosts.name`: it has the tags `agent` and `store`; nodes would slow its agents down");
        insta::assert_snapshot!(refused("[[hosts]]\nname = \"a\"", "mtu = 9\n[[hosts]]\nname = \"a\""), @"hosts.toml:1: `mtu`: it takes 576 to 65485 bytes");
        insta::assert_snapshot!(read("").unwrap_err(), @"hosts.toml:1: `hosts`: it names no host: `[[hosts]]` with `name` and `engine`");
    }
}
