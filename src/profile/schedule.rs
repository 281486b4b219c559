//! The faults of a trial: drawn, given their nodes and times, and kept apart where they exclude each other. Reading a
//! profile makes sure that it can be done; the plan does it with its own seed.

use std::fmt;
use std::time::Duration;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Serialize, Serializer};

use super::{FaultSpec, NodeChoice, Time};
use crate::history::{Ability, Fault, FaultKind, Packets};
use crate::topology::{APP_NODES, Network, Target, Tier};

/// A fault with its node and its times settled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedFault {
    /// What is done.
    #[serde(flatten)]
    pub fault: Fault,
    /// To whom.
    pub node: PlannedNode,
    /// When it is injected, from the start of the load.
    pub at: Time,
    /// When it is undone, from the start of the load.
    pub heal_at: Time,
}

/// Whom a fault hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedNode {
    /// The node of this name.
    Named(String),
    /// Every app node, one after the other.
    EachApp,
    /// The app node that has moved the most bytes on the front network until then.
    Busiest,
    /// The app node that holds the most sessions as their primary at that time.
    PrimaryOfMostSessions,
}

impl fmt::Display for PlannedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Named(name) => name,
            Self::EachApp => "every app node",
            Self::Busiest => "the busiest app node",
            Self::PrimaryOfMostSessions => "the primary of most sessions",
        })
    }
}

impl Serialize for PlannedNode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A fault that cannot be done to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Which of the profile's faults, counted from 0.
    pub index: usize,
    /// Which of its keys is to blame.
    pub key: MisfitKey,
    /// Why.
    pub message: String,
}

/// A key of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MisfitKey {
    /// `fault`
    Fault,
    /// `node`
    Node,
    /// `from`
    From,
    /// `networks`
    Networks,
    /// `at`
    At,
}

impl MisfitKey {
    /// With its table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fault => "faults.fault",
            Self::Node => "faults.node",
            Self::From => "faults.from",
            Self::Networks => "faults.networks",
            Self::At => "faults.at",
        }
    }
}

/// What faults are fitted to.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// The target.
    pub target: &'a Target,
    /// How many app nodes it has.
    pub app_nodes: u8,
    /// When the load begins to count.
    pub warm_up: Time,
    /// How long it goes on then.
    pub duration: Time,
}

const TIERS: [Tier; 3] = [Tier::App, Tier::Balancer, Tier::Store];

impl Stage<'_> {
    fn app_names(&self) -> Vec<String> {
        self.names_of(Tier::App)
    }

    fn names_of(&self, tier: Tier) -> Vec<String> {
        let Some(spec) = self.target.tiers.get(&tier) else { return Vec::new() };
        let nodes = if tier == Tier::App { self.app_nodes } else { spec.nodes };
        (1..=nodes).map(|number| spec.node_name(tier, number)).collect()
    }

    /// The nodes of a tier, or the node of this name; none where there are none.
    fn named(&self, name: &str) -> Vec<String> {
        if let Some(tier) = TIERS.into_iter().find(|tier| tier.to_string() == name) {
            return self.names_of(tier);
        }
        TIERS.into_iter().flat_map(|tier| self.names_of(tier)).filter(|node| node == name).collect()
    }

    fn tier_of(node: &str) -> Tier {
        TIERS.into_iter().find(|tier| node.starts_with(&tier.to_string())).unwrap_or(Tier::App)
    }

    fn networks_of(&self, node: &str) -> &[Network] {
        self.target.tiers.get(&Self::tier_of(node)).map_or(&[], |tier| &tier.networks)
    }

    /// Why a fault cannot be done to a node of this target; none where it can.
    fn refuses(&self, fault: &Fault, node: &str) -> Option<(MisfitKey, String)> {
        let networks = match fault {
            Fault::Partition(packets) | Fault::Reject(packets) | Fault::Loss { packets, .. } => &packets.networks,
            Fault::Rate { networks, .. }
            | Fault::Delay { networks, .. }
            | Fault::Reorder { networks, .. }
            | Fault::Corrupt { networks, .. } => networks,
            _ => &Vec::new(),
        };
        let stands_in = self.networks_of(node);
        if let Some(network) = networks.iter().find(|network| !stands_in.contains(network)) {
            let message = format!("{node} of {} does not stand in the `{network}` network", self.target.name);
            return Some((MisfitKey::Networks, message));
        }
        let image = self.target.tiers.get(&Self::tier_of(node)).map(|tier| &tier.image);
        let balancer = self.target.tiers.get(&Tier::Balancer).map(|tier| &tier.image);
        if fault.kind() == FaultKind::Join && balancer.is_some_and(|image| image.admit.is_empty()) {
            let name = balancer.map_or("", |image| image.name.as_str());
            return Some((
                MisfitKey::Fault,
                format!("the balancer `{name}` cannot be told of a node that comes later"),
            ));
        }
        if fault.kind().needs().contains(&Ability::Shell) && image.is_some_and(|image| image.reference.is_some()) {
            let message = format!("{node} of {} has no shell to fill its memory from", self.target.name);
            return Some((MisfitKey::Fault, message));
        }
        None
    }

    /// With the names of its packets' other ends, the node itself left out.
    fn resolved(&self, fault: &Fault, node: &str) -> Result<Fault, String> {
        let resolve = |packets: &Packets| {
            let mut from = Vec::new();
            for name in &packets.from {
                let nodes = self.named(name);
                if nodes.is_empty() {
                    return Err(format!("{} has no `{name}`", self.target.name));
                }
                from.extend(nodes.into_iter().filter(|other| other != node));
            }
            if from.is_empty() && !packets.from.is_empty() {
                return Err(format!("nobody is left of `from` but {node} itself"));
            }
            Ok(Packets { from, ..packets.clone() })
        };
        Ok(match fault {
            Fault::Partition(packets) => Fault::Partition(resolve(packets)?),
            Fault::Reject(packets) => Fault::Reject(resolve(packets)?),
            Fault::Loss { packets, share } => Fault::Loss { packets: resolve(packets)?, share: *share },
            other => other.clone(),
        })
    }
}

/// One fault at its time, its node not settled yet.
struct Occurrence {
    index: usize,
    fault: Fault,
    at: Duration,
    heal_at: Duration,
}

/// Draws and settles the faults of one trial. In the order of time.
///
/// # Errors
/// Which of them does not fit the target, or another one, and why.
pub fn schedule(specs: &[FaultSpec], stage: Stage<'_>, rng: &mut ChaCha8Rng) -> Result<Vec<PlannedFault>, Misfit> {
    let mut planned: Vec<PlannedFault> = Vec::new();
    for (index, spec) in specs.iter().enumerate().filter(|(_, spec)| spec.is_for(&stage.target.name)) {
        for occurrence in occurrences(index, spec, stage, rng) {
            for choice in &spec.nodes {
                settle(&occurrence, choice, stage, &mut planned, rng)?;
            }
        }
    }
    planned.sort_by_key(|fault| fault.at);
    Ok(planned)
}

fn occurrences(index: usize, spec: &FaultSpec, stage: Stage<'_>, rng: &mut ChaCha8Rng) -> Vec<Occurrence> {
    let mut occurrences = Vec::new();
    let mut nominal = spec.at.get();
    loop {
        let scatter = u64::try_from(spec.scatter.get().as_millis()).unwrap_or(u64::MAX);
        // Nothing is drawn where there is no choice: profiles without one keep the plans that their seeds had.
        let put_off = Duration::from_millis(if scatter > 0 { rng.random_range(0..=scatter) } else { 0 });
        let at = nominal + put_off;
        // The file's check has seen the first one; one that is put off too far is left out.
        if at + spec.heal_after.get() > stage.duration.get() {
            return occurrences;
        }
        let fault = if let [only] = spec.faults.as_slice() { Some(only) } else { spec.faults.choose(rng) };
        if let Some(fault) = fault {
            let heal_after = if fault.kind().heals_at_once() { Duration::ZERO } else { spec.heal_after.get() };
            let at = stage.warm_up.get() + at;
            occurrences.push(Occurrence { index, fault: fault.clone(), at, heal_at: at + heal_after });
        }
        match spec.every {
            Some(every) if !every.get().is_zero() => nominal += every.get(),
            _ => return occurrences,
        }
    }
}

fn settle(
    occurrence: &Occurrence,
    choice: &NodeChoice,
    stage: Stage<'_>,
    planned: &mut Vec<PlannedFault>,
    rng: &mut ChaCha8Rng,
) -> Result<(), Misfit> {
    let kind = occurrence.fault.kind();
    let misfit = |key: MisfitKey, message: String| Misfit { index: occurrence.index, key, message };
    let millis = |time: Duration| Time::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let (at, heal_at) = (millis(occurrence.at), millis(occurrence.heal_at));
    let nodes = match choice {
        NodeChoice::All if kind == FaultKind::RollingRestart => vec![PlannedNode::EachApp],
        NodeChoice::All => stage.app_names().into_iter().map(PlannedNode::Named).collect(),
        NodeChoice::Busiest => vec![PlannedNode::Busiest],
        NodeChoice::PrimaryOfMostSessions => vec![PlannedNode::PrimaryOfMostSessions],
        NodeChoice::New => {
            let number = usize::from(stage.app_nodes) + joins(planned) + 1;
            if number > usize::from(*APP_NODES.end()) {
                let message = format!("there would be {number} app nodes, and {} is the most", APP_NODES.end());
                return Err(misfit(MisfitKey::Fault, message));
            }
            vec![PlannedNode::Named(format!("app-{number}"))]
        }
        NodeChoice::Named(name) => {
            // A tier's name is its first node: the one that the others follow.
            match stage.named(name).into_iter().next() {
                Some(first) if name != "app" => vec![PlannedNode::Named(first)],
                _ => return Err(misfit(MisfitKey::Node, no_such_node(name, stage))),
            }
        }
        NodeChoice::Random => {
            let is_free = |name: &String| {
                let node = PlannedNode::Named(name.clone());
                planned.iter().all(|other| !clashes(other, kind, &node, (at, heal_at)))
            };
            let free: Vec<String> = stage.app_names().into_iter().filter(is_free).collect();
            let Some(name) = free.choose(rng) else {
                return Err(misfit(MisfitKey::Node, format!("at {at} no app node is free of other faults")));
            };
            vec![PlannedNode::Named(name.clone())]
        }
    };
    for node in nodes {
        if let Some(other) = planned.iter().find(|other| clashes(other, kind, &node, (at, heal_at))) {
            let message = format!(
                "{kind} of {node} from {at} to {heal_at} and {} of {} from {} to {} exclude each other",
                other.fault.kind(),
                other.node,
                other.at,
                other.heal_at
            );
            return Err(misfit(MisfitKey::At, message));
        }
        // Whom the run will choose is an app node, and those are alike.
        let example = if let PlannedNode::Named(name) = &node { name.as_str() } else { "app-1" };
        if let Some((key, reason)) = stage.refuses(&occurrence.fault, example) {
            return Err(misfit(key, reason));
        }
        let fault = stage.resolved(&occurrence.fault, example);
        let fault = fault.map_err(|message| misfit(MisfitKey::From, message))?;
        planned.push(PlannedFault { fault, node, at, heal_at });
    }
    if leaves(planned) >= usize::from(stage.app_nodes) + joins(planned) {
        return Err(misfit(MisfitKey::Node, "every app node would have left, and nobody could be asked".to_owned()));
    }
    Ok(())
}

/// How many nodes go for good.
fn leaves(planned: &[PlannedFault]) -> usize {
    planned.iter().filter(|fault| fault.fault.kind() == FaultKind::Leave).count()
}

/// How many nodes come that were not there from the start.
#[must_use]
pub fn joins(planned: &[PlannedFault]) -> usize {
    planned.iter().filter(|fault| fault.fault.kind() == FaultKind::Join).count()
}

fn no_such_node(name: &str, stage: Stage<'_>) -> String {
    let known: Vec<String> = TIERS.into_iter().flat_map(|tier| stage.names_of(tier)).collect();
    format!(
        "{} with {} app nodes has no `{name}`; it takes \"random\", \"all\", \"busiest\", \"primary-of-most-sessions\" or one of {}",
        stage.target.name,
        stage.app_nodes,
        known.join(", ")
    )
}

/// Whether a fault of this kind cannot be done to a node at a time because of another one.
fn clashes(other: &PlannedFault, kind: FaultKind, node: &PlannedNode, (at, heal_at): (Time, Time)) -> bool {
    let overlaps = other.at <= heal_at && at <= other.heal_at;
    let may_be_the_same = match (&other.node, node) {
        (PlannedNode::Named(one), PlannedNode::Named(other)) => one == other,
        (PlannedNode::Named(name), _) | (_, PlannedNode::Named(name)) => Stage::tier_of(name) == Tier::App,
        _ => true,
    };
    overlaps && may_be_the_same && other.fault.kind().excludes(kind)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn spec(fault: Fault, node: &str, at_s: u64, heal_after_s: u64) -> FaultSpec {
        FaultSpec {
            faults: vec![fault],
            targets: Vec::new(),
            nodes: vec![node.to_owned().into()],
            at: Time::from_millis(at_s * 1000),
            heal_after: Time::from_millis(heal_after_s * 1000),
            every: None,
            scatter: Time::from_millis(0),
        }
    }

    fn scheduled(target: &str, specs: &[FaultSpec], seed: u64) -> Result<Vec<PlannedFault>, String> {
        let target = Target::find(target).unwrap();
        let (warm_up, duration) = (Time::from_millis(5000), Time::from_millis(60_000));
        let stage = Stage { target: &target, app_nodes: 3, warm_up, duration };
        schedule(specs, stage, &mut ChaCha8Rng::seed_from_u64(seed)).map_err(|misfit| misfit.message)
    }

    fn of(planned: &[PlannedFault]) -> Vec<String> {
        planned.iter().map(|one| format!("{} {} {}-{}", one.fault.kind(), one.node, one.at, one.heal_at)).collect()
    }

    #[test]
    fn a_fault_repeats_until_the_load_ends_and_counts_from_the_end_of_the_warm_up() {
        let every = FaultSpec { every: Some(Time::from_millis(20_000)), ..spec(Fault::Pause, "app-2", 10, 5) };
        assert_eq!(
            of(&scheduled("tomcat-none", &[every], 1).unwrap()),
            ["pause app-2 15s-20s", "pause app-2 35s-40s", "pause app-2 55s-1m"]
        );
    }

    #[test]
    fn what_is_drawn_follows_the_seed_and_finds_nodes_that_are_free() {
        let monkey = FaultSpec {
            faults: vec![Fault::Kill, Fault::Pause],
            nodes: vec![NodeChoice::Random, NodeChoice::Random, NodeChoice::Random],
            every: Some(Time::from_millis(10_000)),
            scatter: Time::from_millis(4000),
            ..spec(Fault::Kill, "random", 5, 3)
        };
        let of_seed = |seed| of(&scheduled("tomcat-none", std::slice::from_ref(&monkey), seed).unwrap());
        assert_eq!(of_seed(1), of_seed(1));
        assert_ne!(of_seed(1), of_seed(2));
        for seed in 0..50 {
            let planned = scheduled("tomcat-none", std::slice::from_ref(&monkey), seed).unwrap();
            assert!(planned.len() >= 12, "{}", planned.len());
            for three in planned.chunks(3) {
                let mut nodes: Vec<String> = three.iter().map(|fault| fault.node.to_string()).collect();
                nodes.sort();
                assert_eq!(nodes, ["app-1", "app-2", "app-3"]);
            }
        }
    }

    #[test]
    fn all_hits_each_app_node_and_a_rolling_restart_all_in_turn() {
        let planned = scheduled("tomcat-none", &[spec(Fault::Kill, "all", 1, 1)], 1).unwrap();
        assert_eq!(of(&planned), ["kill app-1 6s-7s", "kill app-2 6s-7s", "kill app-3 6s-7s"]);
        let planned = scheduled("tomcat-none", &[spec(Fault::RollingRestart { grace_ms: 1 }, "all", 1, 0)], 1).unwrap();
        assert_eq!(of(&planned), ["rolling-restart every app node 6s-6s"]);
    }

    #[test]
    fn faults_that_exclude_each_other_are_refused_and_others_overlap() {
        let pause = spec(Fault::Pause, "app-1", 10, 10);
        let error = |other| scheduled("tomcat-delta", &[pause.clone(), other], 1).unwrap_err();
        insta::assert_snapshot!(error(spec(Fault::Kill, "app-1", 15, 1)), @"kill of app-1 from 20s to 21s and pause of app-1 from 15s to 25s exclude each other");
        insta::assert_snapshot!(error(spec(Fault::Kill, "busiest", 15, 1)), @"kill of the busiest app node from 20s to 21s and pause of app-1 from 15s to 25s exclude each other");
        let fine = |other| scheduled("tomcat-redis", &[pause.clone(), other], 1).unwrap().len();
        assert_eq!(fine(spec(Fault::Kill, "app-2", 15, 1)), 2);
        assert_eq!(fine(spec(Fault::Kill, "store", 15, 1)), 2);
        assert_eq!(fine(spec(Fault::Kill, "app-1", 30, 1)), 2);
    }

    #[test]
    fn what_a_target_does_not_have_is_refused() {
        let error = |target, fault, node| scheduled(target, &[spec(fault, node, 1, 1)], 1).unwrap_err();
        insta::assert_snapshot!(error("tomcat-none", Fault::Kill, "store"), @r#"tomcat-none with 3 app nodes has no `store`; it takes "random", "all", "busiest", "primary-of-most-sessions" or one of app-1, app-2, app-3, balancer"#);
        let cluster = Packets { networks: vec![Network::Cluster], ..Packets::default() };
        insta::assert_snapshot!(error("tomcat-redis", Fault::Partition(cluster), "app-1"), @"app-1 of tomcat-redis does not stand in the `cluster` network");
        let from = |name: &str| Fault::Reject(Packets { from: vec![name.into()], ..Packets::default() });
        insta::assert_snapshot!(error("tomcat-none", from("store"), "app-1"), @"tomcat-none has no `store`");
        insta::assert_snapshot!(error("tomcat-none", from("app-1"), "app-1"), @"nobody is left of `from` but app-1 itself");
        insta::assert_snapshot!(error("reference-none", Fault::Memory, "app-1"), @"app-1 of reference-none has no shell to fill its memory from");
        let for_another = FaultSpec { targets: vec!["tomcat-redis".into()], ..spec(Fault::Kill, "store", 1, 1) };
        assert_eq!(scheduled("tomcat-none", &[for_another], 1).unwrap(), []);
    }

    #[test]
    fn the_other_end_of_packets_is_every_node_of_a_tier_but_the_node_itself() {
        let fault = Fault::Partition(Packets { from: vec!["app".into(), "store".into()], ..Packets::default() });
        let planned = scheduled("tomcat-redis", &[spec(fault, "app-2", 1, 1)], 1).unwrap();
        let Fault::Partition(packets) = &planned[0].fault else { panic!("{planned:?}") };
        assert_eq!(packets.from, ["app-1", "app-3", "store"]);
    }
}
