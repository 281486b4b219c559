//! Deals the nodes of a target out to hosts. Pure: asks no engine, starts nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Host;
use crate::topology::{Node, Tier};

/// The host of each node, by the node's name.
pub type Placement = BTreeMap<String, String>;

/// How nodes are dealt out to the hosts that they may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Each on the host with the fewest nodes of its tier, then with the fewest nodes.
    #[default]
    Spread,
    /// On one host until its cores are given away, then on the next one.
    Pack,
    /// Each tier on a host of its own.
    HostPerTier,
}

/// A host that may have nodes, and the cores that it gives them.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// The host.
    pub host: &'a Host,
    /// Cores that its nodes may use together; only [`Policy::Pack`] asks.
    pub cores: f64,
}

/// A node that no host can take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Unplaced(String);

/// The host of each node. `rooms` are all hosts but the manager, in the order of the file. A tier's nodes use the hosts that have
/// the tier's name among their tags; without one, those that no tier and no agent has claimed so.
///
/// # Errors
/// When a node finds no host, with what would help.
pub fn place(policy: Policy, rooms: &[Room<'_>], nodes: &[Node]) -> Result<Placement, Unplaced> {
    let mut dealt = Dealt(Vec::new());
    for node in nodes {
        let open = open_to(node.tier, rooms);
        if open.is_empty() {
            let why = if rooms.is_empty() {
                "there is no host but the manager, which takes none; add one".to_owned()
            } else {
                format!("other tiers and agents have all hosts; add one, or give one the tag `{}`", node.tier)
            };
            return Err(Unplaced(format!("no host can take {}: {why}", node.name)));
        }
        let host = dealt.host_for(policy, node, &open)?;
        dealt.0.push((node, host));
    }
    Ok(dealt.0.into_iter().map(|(node, host)| (node.name.clone(), host.name.clone())).collect())
}

fn open_to<'a>(tier: Tier, rooms: &[Room<'a>]) -> Vec<Room<'a>> {
    let claimed = |room: &Room, tier: Tier| room.host.tags.iter().any(|tag| *tag == tier.to_string());
    let of_the_tier: Vec<_> = rooms.iter().copied().filter(|room| claimed(room, tier)).collect();
    if !of_the_tier.is_empty() {
        return of_the_tier;
    }
    let is_free = |room: &Room| !room.host.is_for_agents() && !Tier::ALL.into_iter().any(|tier| claimed(room, tier));
    rooms.iter().copied().filter(is_free).collect()
}

/// The nodes that have been dealt out so far.
struct Dealt<'a>(Vec<(&'a Node, &'a Host)>);

impl<'a> Dealt<'a> {
    fn host_for(&self, policy: Policy, node: &Node, open: &[Room<'a>]) -> Result<&'a Host, Unplaced> {
        let chosen = match policy {
            Policy::Spread => open.iter().min_by_key(|room| {
                (self.on(room).filter(|there| there.tier == node.tier).count(), self.on(room).count())
            }),
            Policy::Pack => open
                .iter()
                .find(|room| self.on(room).map(|there| there.image.cpus).sum::<f64>() + node.image.cpus <= room.cores),
            Policy::HostPerTier => open.iter().find(|room| self.on(room).all(|there| there.tier == node.tier)),
        };
        let chosen = chosen.ok_or_else(|| match policy {
            Policy::Pack => Unplaced(format!(
                "no host has {} cores left for {}: give hosts more `cores`, add a host, or say placement = \"spread\"",
                node.image.cpus, node.name
            )),
            Policy::Spread | Policy::HostPerTier => Unplaced(format!(
                "no host is left for the tier {}: placement = \"host-per-tier\" takes a host for each tier besides the manager; add one, or say \"spread\"",
                node.tier
            )),
        })?;
        Ok(chosen.host)
    }

    fn on(&self, room: &Room<'_>) -> impl Iterator<Item = &Node> {
        let name = room.host.name.as_str();
        self.0.iter().filter(move |(_, host)| host.name == name).map(|(node, _)| *node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Source;
    use crate::hosts::Hosts;
    use crate::topology::{Subnets, Target, Topology};

    const THREE: &str = "[[hosts]]\nname = \"a\"\nengine = \"unix:///a\"\ntags = []\n\
        [[hosts]]\nname = \"b\"\nengine = \"unix:///b\"\ntags = []\n\
        [[hosts]]\nname = \"c\"\nengine = \"unix:///c\"\ntags = []\n";

    /// Deals `tomcat-redis` with three app nodes out to `hosts`, each with four cores.
    fn dealt(policy: Policy, hosts: &str) -> String {
        let source = Source { name: "hosts".into(), file: "hosts.toml".into(), text: hosts.into() };
        let hosts = Hosts::from_source(&source).unwrap();
        dealt_to(policy, &hosts.iter().map(|host| Room { host, cores: 4.0 }).collect::<Vec<_>>())
    }

    fn dealt_to(policy: Policy, rooms: &[Room<'_>]) -> String {
        let target = Target::find("tomcat-redis").unwrap();
        let topology = Topology::resolve(&target, 3u8, Subnets::candidates(None)[0]).unwrap();
        match place(policy, rooms, &topology.nodes) {
            Ok(placement) => {
                placement.iter().map(|(node, host)| format!("{node} {host}")).collect::<Vec<_>>().join(", ")
            }
            Err(unplaced) => unplaced.to_string(),
        }
    }

    #[test]
    fn nodes_are_spread_by_tier_and_then_by_number() {
        insta::assert_snapshot!(dealt(Policy::Spread, THREE), @"app-1 b, app-2 c, app-3 a, balancer b, store a");
    }

    #[test]
    fn packed_nodes_fill_one_host_before_the_next() {
        insta::assert_snapshot!(dealt(Policy::Pack, THREE), @"app-1 a, app-2 b, app-3 b, balancer a, store a");
    }

    #[test]
    fn each_tier_has_a_host_of_its_own_if_asked_for() {
        insta::assert_snapshot!(dealt(Policy::HostPerTier, THREE), @"app-1 b, app-2 b, app-3 b, balancer c, store a");
    }

    #[test]
    fn a_tag_keeps_a_host_for_its_tier() {
        let tagged = THREE.replacen("tags = []", "tags = [\"store\"]", 1);
        insta::assert_snapshot!(dealt(Policy::Spread, &tagged), @"app-1 b, app-2 c, app-3 b, balancer c, store a");
    }

    #[test]
    fn what_finds_no_host_is_told_with_what_would_help() {
        let first = &THREE[..THREE.len() / 3];
        insta::assert_snapshot!(dealt(Policy::Pack, first), @r#"no host has 2 cores left for app-2: give hosts more `cores`, add a host, or say placement = "spread""#);
        insta::assert_snapshot!(dealt(Policy::HostPerTier, first), @r#"no host is left for the tier app: placement = "host-per-tier" takes a host for each tier besides the manager; add one, or say "spread""#);
        insta::assert_snapshot!(dealt_to(Policy::Spread, &[]), @"no host can take store: there is no host but the manager, which takes none; add one");
        insta::assert_snapshot!(dealt(Policy::Spread, &first.replace("[]", "[\"store\"]")), @"no host can take app-1: other tiers and agents have all hosts; add one, or give one the tag `app`");
        insta::assert_snapshot!(dealt(Policy::Spread, &first.replace("[]", "[\"agent\"]")), @"no host can take store: other tiers and agents have all hosts; add one, or give one the tag `store`");
    }
}
