//! Plans the faults of a trial: draws them with the plan's seed, chooses their nodes and times, and refuses faults that
//! exclude each other. An error names the line of the profile.

use std::fmt;
use std::time::Duration;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Serialize, Serializer};

use super::{FaultSpec, NodeChoice};
use crate::fault::{Fault, FaultKind, Inventory, Nodes, Place};
use crate::files::FileError;
use crate::history::EVERY_APP_NODE;
use crate::topology::{APP_NODES, Tier};
use crate::values::Time;

/// A fault with its node and its times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedFault {
    /// The fault with its parameters.
    #[serde(flatten)]
    pub fault: Fault,
    /// The node.
    pub node: PlannedNode,
    /// When it is injected, from the start of the load.
    pub at: Time,
    /// When it is healed, from the start of the load.
    pub heal_at: Time,
}

/// The node of a planned fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedNode {
    /// The node of this name.
    Named(String),
    /// Every app node, one after the other.
    EachApp,
    /// The app node that has moved the most bytes on the front network so far.
    Busiest,
    /// The app node that is the primary of the most sessions at that time.
    PrimaryOfMostSessions,
}

impl fmt::Display for PlannedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Named(name) => name,
            Self::EachApp => EVERY_APP_NODE,
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

/// The target and the load for which faults are planned.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// The target with its nodes.
    pub inventory: Inventory<'a>,
    /// The length of the warm-up.
    pub warm_up: Time,
    /// The length of the load after the warm-up.
    pub duration: Time,
}

/// One fault with its times from the start of the load; its node is not chosen yet.
struct Occurrence<'a> {
    spec: &'a FaultSpec,
    fault: Fault,
    at: Duration,
    heal_at: Duration,
}

/// Draws the faults of one trial and chooses their nodes. Returns them in the order of time.
///
/// # Errors
/// Names the line of a fault that does not fit the target or excludes another fault, and why.
pub fn schedule(specs: &[FaultSpec], stage: Stage<'_>, rng: &mut ChaCha8Rng) -> Result<Vec<PlannedFault>, FileError> {
    let mut planned: Vec<PlannedFault> = Vec::new();
    for spec in specs.iter().filter(|spec| spec.is_for(&stage.inventory.target.name)) {
        for occurrence in occurrences(spec, stage, rng) {
            for choice in &spec.nodes {
                settle(&occurrence, choice, stage, &mut planned, rng)?;
            }
        }
    }
    planned.sort_by_key(|fault| fault.at);
    Ok(planned)
}

fn occurrences<'a>(spec: &'a FaultSpec, stage: Stage<'_>, rng: &mut ChaCha8Rng) -> Vec<Occurrence<'a>> {
    let mut occurrences = Vec::new();
    let mut nominal = spec.at.get();
    loop {
        let scatter = spec.scatter.as_millis();
        // Draws nothing if there is no choice, so that profiles without `scatter` keep the plans of their seeds.
        let put_off = Duration::from_millis(if scatter > 0 { rng.random_range(0..=scatter) } else { 0 });
        let at = nominal + put_off;
        // Without scatter the first one fits, as the file's check ensures. One that heals after the load's end is left
        // out.
        if at + spec.heal_after.get() > stage.duration.get() {
            return occurrences;
        }
        let fault = if let [only] = spec.faults.as_slice() { Some(only) } else { spec.faults.choose(rng) };
        if let Some(fault) = fault {
            let heal_after = if fault.kind().heals_by_itself { Duration::ZERO } else { spec.heal_after.get() };
            let at = stage.warm_up.get() + at;
            occurrences.push(Occurrence { spec, fault: fault.clone(), at, heal_at: at + heal_after });
        }
        match spec.every {
            Some(every) if !every.get().is_zero() => nominal += every.get(),
            _ => return occurrences,
        }
    }
}

fn settle(
    occurrence: &Occurrence<'_>,
    choice: &NodeChoice,
    stage: Stage<'_>,
    planned: &mut Vec<PlannedFault>,
    rng: &mut ChaCha8Rng,
) -> Result<(), FileError> {
    let kind = occurrence.fault.kind();
    let invalid = |key: &str, message: String| occurrence.spec.lines.invalid(key, message);
    let millis = |time: Duration| Time::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let times = (millis(occurrence.at), millis(occurrence.heal_at));
    for node in nodes(occurrence, choice, stage, times, planned, rng)? {
        if let Some(other) = planned.iter().find(|other| clashes(other, kind, &node, times)) {
            let message = format!(
                "{kind} of {node} from {} to {} and {} of {} from {} to {} exclude each other",
                times.0,
                times.1,
                other.fault.kind(),
                other.node,
                other.at,
                other.heal_at
            );
            return Err(invalid("at", message));
        }
        // If the run chooses the app node later, `app-1` is checked, because all app nodes are alike.
        let example = if let PlannedNode::Named(name) = &node { name.as_str() } else { "app-1" };
        let tier = Inventory::tier_of(example);
        if !kind.tiers.contains(&tier) {
            let tiers: Vec<String> = kind.tiers.iter().map(|tier| format!("{tier} nodes")).collect();
            return Err(invalid(
                "node",
                format!("`{kind}` can be done to {} only, not to {node}", tiers.join(" and ")),
            ));
        }
        let fault = occurrence.fault.clone().fit(&Place { inventory: stage.inventory, node: example });
        let fault = fault.map_err(|unfit| invalid(unfit.key, unfit.message))?;
        planned.push(PlannedFault { fault, node, at: times.0, heal_at: times.1 });
    }
    if leaves(planned) >= usize::from(stage.inventory.app_nodes) + joins(planned) {
        return Err(invalid("node", "every app node would have left, and none could be asked".to_owned()));
    }
    Ok(())
}

/// The nodes that `choice` selects for a fault at these times.
fn nodes(
    occurrence: &Occurrence<'_>,
    choice: &NodeChoice,
    stage: Stage<'_>,
    times: (Time, Time),
    planned: &[PlannedFault],
    rng: &mut ChaCha8Rng,
) -> Result<Vec<PlannedNode>, FileError> {
    let kind = occurrence.fault.kind();
    let invalid = |key: &str, message: String| occurrence.spec.lines.invalid(key, message);
    let app_names = || stage.inventory.names_of(Tier::App);
    Ok(match choice {
        NodeChoice::All if kind.nodes == Nodes::EachAppInTurn => vec![PlannedNode::EachApp],
        NodeChoice::All => app_names().into_iter().map(PlannedNode::Named).collect(),
        NodeChoice::Busiest => vec![PlannedNode::Busiest],
        NodeChoice::PrimaryOfMostSessions => vec![PlannedNode::PrimaryOfMostSessions],
        NodeChoice::New => {
            let number = usize::from(stage.inventory.app_nodes) + joins(planned) + 1;
            if number > usize::from(*APP_NODES.end()) {
                let message = format!("there would be {number} app nodes; it takes at most {}", APP_NODES.end());
                return Err(invalid("fault", message));
            }
            vec![PlannedNode::Named(format!("app-{number}"))]
        }
        NodeChoice::Named(name) => {
            // The name of a tier means its first node, which the others follow.
            match stage.inventory.named(name).into_iter().next() {
                Some(first) if name != "app" => vec![PlannedNode::Named(first)],
                _ => return Err(invalid("node", no_such_node(name, stage.inventory))),
            }
        }
        NodeChoice::Random => {
            let is_free = |name: &String| {
                let node = PlannedNode::Named(name.clone());
                planned.iter().all(|other| !clashes(other, kind, &node, times))
            };
            let free: Vec<String> = app_names().into_iter().filter(is_free).collect();
            let Some(name) = free.choose(rng) else {
                return Err(invalid("node", format!("at {} no app node is free of other faults", times.0)));
            };
            vec![PlannedNode::Named(name.clone())]
        }
    })
}

/// The number of nodes that leave for good.
fn leaves(planned: &[PlannedFault]) -> usize {
    planned.iter().filter(|fault| fault.fault.kind().removes_node).count()
}

/// The number of nodes that join during the load.
#[must_use]
pub fn joins(planned: &[PlannedFault]) -> usize {
    planned.iter().filter(|fault| fault.fault.kind().adds_node()).count()
}

fn no_such_node(name: &str, inventory: Inventory<'_>) -> String {
    format!(
        "{} with {} app nodes has no `{name}`; it takes \"random\", \"all\", \"busiest\", \"primary-of-most-sessions\" or one of {}",
        inventory.target.name,
        inventory.app_nodes,
        inventory.names().join(", ")
    )
}

/// Whether `other` excludes a fault of this kind on this node at these times.
fn clashes(other: &PlannedFault, kind: &FaultKind, node: &PlannedNode, (at, heal_at): (Time, Time)) -> bool {
    let overlaps = other.at <= heal_at && at <= other.heal_at;
    let may_be_the_same = match (&other.node, node) {
        (PlannedNode::Named(one), PlannedNode::Named(other)) => one == other,
        (PlannedNode::Named(name), _) | (_, PlannedNode::Named(name)) => Inventory::tier_of(name) == Tier::App,
        _ => true,
    };
    overlaps && may_be_the_same && other.fault.kind().excludes(kind)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::topology::Target;

    /// A fault from its name and its keys in TOML.
    fn fault(name: &str, keys: &str) -> Fault {
        Fault::read(FaultKind::find(name).unwrap(), &toml::from_str(keys).unwrap()).unwrap()
    }

    fn spec(fault: Fault, node: &str, at_s: u64, heal_after_s: u64) -> FaultSpec {
        FaultSpec {
            faults: vec![fault],
            targets: Vec::new(),
            nodes: vec![node.to_owned().into()],
            at: Time::from_millis(at_s * 1000),
            heal_after: Time::from_millis(heal_after_s * 1000),
            every: None,
            scatter: Time::from_millis(0),
            lines: crate::files::TableLines { file: "mine.toml".to_owned(), table: "faults", ..Default::default() },
        }
    }

    fn scheduled(target: &str, specs: &[FaultSpec], seed: u64) -> Result<Vec<PlannedFault>, String> {
        let target = Target::find(target).unwrap();
        let (warm_up, duration) = (Time::from_millis(5000), Time::from_millis(60_000));
        let stage = Stage { inventory: Inventory { target: &target, app_nodes: 3 }, warm_up, duration };
        schedule(specs, stage, &mut ChaCha8Rng::seed_from_u64(seed)).map_err(|error| match error {
            FileError::Invalid { message, .. } => message,
            other => other.to_string(),
        })
    }

    fn of(planned: &[PlannedFault]) -> Vec<String> {
        planned.iter().map(|one| format!("{} {} {}-{}", one.fault.kind(), one.node, one.at, one.heal_at)).collect()
    }

    #[test]
    fn a_fault_repeats_until_the_load_ends_and_counts_from_the_end_of_the_warm_up() {
        let every = FaultSpec { every: Some(Time::from_millis(20_000)), ..spec(fault("pause", ""), "app-2", 10, 5) };
        assert_eq!(
            of(&scheduled("tomcat-none", &[every], 1).unwrap()),
            ["pause app-2 15s-20s", "pause app-2 35s-40s", "pause app-2 55s-1m"]
        );
    }

    #[test]
    fn random_choices_follow_the_seed_and_select_free_nodes() {
        let monkey = FaultSpec {
            faults: vec![fault("kill", ""), fault("pause", "")],
            nodes: vec![NodeChoice::Random, NodeChoice::Random, NodeChoice::Random],
            every: Some(Time::from_millis(10_000)),
            scatter: Time::from_millis(4000),
            ..spec(fault("kill", ""), "random", 5, 3)
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
    fn all_hits_each_app_node_at_once_and_a_rolling_restart_hits_them_in_turn() {
        let planned = scheduled("tomcat-none", &[spec(fault("kill", ""), "all", 1, 1)], 1).unwrap();
        assert_eq!(of(&planned), ["kill app-1 6s-7s", "kill app-2 6s-7s", "kill app-3 6s-7s"]);
        let planned =
            scheduled("tomcat-none", &[spec(fault("rolling-restart", "grace = \"1ms\""), "all", 1, 0)], 1).unwrap();
        assert_eq!(of(&planned), ["rolling-restart every app node 6s-6s"]);
    }

    #[test]
    fn faults_that_exclude_each_other_are_refused_and_others_overlap() {
        let pause = spec(fault("pause", ""), "app-1", 10, 10);
        let error = |other| scheduled("tomcat-delta", &[pause.clone(), other], 1).unwrap_err();
        insta::assert_snapshot!(error(spec(fault("kill", ""), "app-1", 15, 1)), @"kill of app-1 from 20s to 21s and pause of app-1 from 15s to 25s exclude each other");
        insta::assert_snapshot!(error(spec(fault("kill", ""), "busiest", 15, 1)), @"kill of the busiest app node from 20s to 21s and pause of app-1 from 15s to 25s exclude each other");
        let fine = |other| scheduled("tomcat-redis", &[pause.clone(), other], 1).unwrap().len();
        assert_eq!(fine(spec(fault("kill", ""), "app-2", 15, 1)), 2);
        assert_eq!(fine(spec(fault("kill", ""), "store", 15, 1)), 2);
        assert_eq!(fine(spec(fault("kill", ""), "app-1", 30, 1)), 2);
    }

    #[test]
    fn a_fault_on_something_that_the_target_does_not_have_is_refused() {
        let error = |target, fault, node| scheduled(target, &[spec(fault, node, 1, 1)], 1).unwrap_err();
        insta::assert_snapshot!(error("tomcat-none", fault("kill", ""), "store"), @r#"tomcat-none with 3 app nodes has no `store`; it takes "random", "all", "busiest", "primary-of-most-sessions" or one of app-1, app-2, app-3, balancer"#);
        insta::assert_snapshot!(error("tomcat-redis", fault("partition", "networks = [\"cluster\"]"), "app-1"), @"app-1 of tomcat-redis is not in the `cluster` network");
        let from = |name: &str| fault("reject", &format!("from = \"{name}\""));
        insta::assert_snapshot!(error("tomcat-none", from("store"), "app-1"), @"tomcat-none has no `store`");
        insta::assert_snapshot!(error("tomcat-none", from("app-1"), "app-1"), @"`from` names no node but app-1 itself");
        insta::assert_snapshot!(error("reference-none", fault("memory", ""), "app-1"), @"app-1 of reference-none has no shell to fill its memory from");
        let for_another = FaultSpec { targets: vec!["tomcat-redis".into()], ..spec(fault("kill", ""), "store", 1, 1) };
        assert_eq!(scheduled("tomcat-none", &[for_another], 1).unwrap(), []);
    }

    #[test]
    fn a_tier_at_the_other_end_means_all_its_nodes_except_the_node_itself() {
        let partition = fault("partition", "from = [\"app\", \"store\"]");
        let planned = scheduled("tomcat-redis", &[spec(partition, "app-2", 1, 1)], 1).unwrap();
        assert_eq!(planned[0].fault.detail(), "from and to app-1, app-3, store");
    }

    #[test]
    fn a_fault_of_app_nodes_cannot_be_done_to_another_tier() {
        let error = scheduled("tomcat-redis", &[spec(fault("leave", ""), "store", 1, 0)], 1).unwrap_err();
        assert_eq!(error, "`leave` can be done to app nodes only, not to store");
    }
}
