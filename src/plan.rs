//! The plan: a profile, its targets and a seed, resolved to trials. Pure data: it can be printed
//! without touching anything, and the same seed gives the same plan.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use thiserror::Error;

use crate::check::{Guarantee, judgeable};
use crate::expect::{Expectation, Reference};
use crate::fault::{self, Inventory};
use crate::files::FileError;
use crate::load::Connections;
use crate::profile::{
    Agent, AgentCount, Case, GeneratorLimits, Load, MinExamined, PlannedFault, PlannedNode, Profile, Sessions, Stage,
    StandIn, joins, schedule,
};
use crate::topology::{CoreSets, Granularity, Shape, Target, Tier};
use crate::values::{NodeCounts, Share, Time, Within};

/// Why there is no plan.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// An override from the command line, or the machine's number of cores, does not fit the profile.
    #[error("{0}")]
    Override(String),
    /// Something in the profile does not fit its targets or those from the command line.
    #[error(transparent)]
    Profile(#[from] FileError),
}

/// Changes to a profile from the command line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Other numbers of app nodes.
    pub nodes: Option<NodeCounts>,
    /// Only these targets, which the profile need not have; empty: all targets of the profile.
    pub targets: Vec<Target>,
    /// The stand-in of a target, by the target's name.
    pub stand_ins: BTreeMap<String, Target>,
    /// Another rate.
    pub rate: Option<f64>,
    /// Another length of the load after the warm-up.
    pub duration: Option<Time>,
    /// Multiplies the profile's times and its number of users by this.
    pub scale: Option<Share>,
    /// Another number of trials of each case.
    pub trials: Option<Within<1, 1000>>,
    /// Another number of agents.
    pub agents: Option<AgentCount>,
}

/// One case, to be executed once on a fresh cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialPlan {
    /// The number of the trial in the plan, counted from 1.
    pub number: usize,
    /// The target that is started.
    pub target: Target,
    /// The number of app nodes at the start.
    pub app_nodes: u8,
    /// The number of additional app nodes that join under load.
    pub standby: u8,
    /// Whether its nodes are processes even if there is a Docker engine.
    pub as_processes: bool,
    /// The seed of the traffic's random choices.
    pub seed: u64,
    /// The virtual users.
    pub sessions: Sessions,
    /// The traffic.
    pub load: Load,
    /// The faults, in the order of time.
    pub faults: Vec<PlannedFault>,
    /// The time between the end of the load and the final read.
    pub settle: Time,
    /// How the agent generates the load.
    pub agent: Agent,
    /// The cores of the agent and of the nodes.
    pub cpuset: CoreSets,
    /// Limits beyond which the trial is invalid.
    pub generator: GeneratorLimits,
    /// The guarantees that are judged.
    pub judged: Vec<Guarantee>,
    /// A guarantee passes only if at least this many operations could have broken it.
    pub min_examined: MinExamined,
}

impl TrialPlan {
    /// A name for its folder, its containers and its messages.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{:02}-{}", self.number, self.target.name)
    }

    /// Whether a fault ends a node's process while its sandbox keeps running.
    #[must_use]
    pub fn needs_sandboxes(&self) -> bool {
        self.faults.iter().any(|planned| planned.fault.kind().keeps_sandbox)
    }

    /// The shape of its cluster.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            app_nodes: self.app_nodes,
            standby: self.standby,
            sandboxes: self.needs_sandboxes(),
            agents: self.agent.agents(),
        }
    }

    /// Why a fault cannot be done to a system that runs already; `None` if all can, or the target is another.
    #[must_use]
    pub fn lacks_commands(&self) -> Option<String> {
        let attached = self.target.attached.as_ref()?;
        let inventory = Inventory { target: &self.target, app_nodes: self.app_nodes };
        self.faults.iter().find_map(|planned| {
            let nodes = match &planned.node {
                PlannedNode::Named(name) => vec![name.clone()],
                _ => inventory.names_of(Tier::App),
            };
            let kind = planned.fault.kind();
            let reason = fault::attached::lacks(kind, attached, &nodes)?;
            Some(format!("{kind} of {} is unsupported: {reason}", planned.node))
        })
    }

    /// The target and its number of app nodes. Several trials can have the same case.
    #[must_use]
    pub fn case(&self) -> (&Target, u8) {
        (&self.target, self.app_nodes)
    }
}

/// Everything that a run will do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The profile's name.
    pub profile: String,
    /// The question that it answers.
    pub answers: String,
    /// The seed of every random choice.
    pub seed: u64,
    /// The names of stand-ins, by the name of the profile's target.
    pub stand_ins: BTreeMap<String, String>,
    /// Each target with each of its numbers of app nodes, in the order of the profile.
    pub order: Vec<(String, u8)>,
    /// The trials, in the order of execution.
    pub trials: Vec<TrialPlan>,
    /// The conditions that trials and targets must meet.
    pub expectations: Vec<Expectation>,
    /// For each target that the profile does not know: the target of the same strategy whose expectations it takes.
    pub expected_as: BTreeMap<String, String>,
    /// Targets from the command line without an expectation, if the profile has expectations: such a run cannot pass.
    pub unexpected: Vec<String>,
    /// Whether the run may skip trials whose faults are unsupported where it runs.
    pub allow_unsupported: bool,
    /// Whether the run ends with the first trial that breaches an expectation.
    pub stop_on_breach: bool,
}

impl Plan {
    /// Resolves a profile.
    ///
    /// # Errors
    /// If an override does not fit the profile, or a fault does not fit its target.
    pub fn new(profile: &Profile, overrides: &Overrides, seed: u64) -> Result<Self, PlanError> {
        let expects = !profile.expectations.is_empty();
        let (profile, expected_as) = &overridden(profile, overrides)?;
        let names = profile.cases.iter().map(|case| case.target.name.clone());
        let is_unexpected = |name: &String| {
            expects && !profile.expectations.iter().any(|expectation| expectation.targets.contains(name))
        };
        let unexpected = if overrides.targets.is_empty() { Vec::new() } else { names.filter(is_unexpected).collect() };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order = ChaCha8Rng::seed_from_u64(rng.clone().random());
        let mut trials = Vec::new();
        for _ in 0..profile.trials.get() {
            let mut round: Vec<(&Case, u8)> =
                profile.cases.iter().flat_map(|case| case.nodes.iter().map(move |nodes| (case, nodes))).collect();
            // Shuffled, so that a drift during the run, such as a machine that grows warm, affects all targets alike.
            if profile.trials.get() > 1 {
                round.shuffle(&mut order);
            }
            for (case, nodes) in round {
                trials.push(plan_trial(profile, case, nodes, trials.len() + 1, &mut rng)?);
            }
        }
        let stand_ins = overrides.stand_ins.iter().map(|(name, target)| (name.clone(), target.name.clone())).collect();
        Ok(Self {
            profile: profile.name.clone(),
            answers: profile.answers.clone(),
            seed,
            stand_ins,
            order: profile
                .cases
                .iter()
                .flat_map(|case| case.nodes.iter().map(|nodes| (case.target.name.clone(), nodes)))
                .collect(),
            trials,
            expectations: profile.expectations.clone(),
            expected_as: expected_as.clone(),
            unexpected,
            allow_unsupported: profile.allow_unsupported,
            stop_on_breach: profile.stop_on_breach,
        })
    }

    /// Checks that the machine of the nodes has all cores of the plan.
    ///
    /// # Errors
    /// Names the key of the profile, and the cores that the machine has.
    pub fn check_cores(&self, machine_cores: u64) -> Result<(), PlanError> {
        for sets in self.trials.iter().map(|trial| &trial.cpuset) {
            for (key, set) in [("agent", &sets.agent), ("target", &sets.target)] {
                let highest = set.as_ref().and_then(|set| set.cores().last());
                if let Some(core) = highest.filter(|core| u64::from(**core) >= machine_cores) {
                    return Err(PlanError::Override(format!(
                        "profile {}: `cpuset.{key}`: there is no core {core}: the machine has cores 0 to {}",
                        self.profile,
                        machine_cores.saturating_sub(1)
                    )));
                }
            }
        }
        Ok(())
    }

    /// The cases without duplicates, in the order of the profile.
    #[must_use]
    pub fn cases(&self) -> Vec<(&Target, u8)> {
        let mut cases: Vec<(&Target, u8)> = Vec::new();
        for trial in &self.trials {
            if !cases.iter().any(|(target, nodes)| (&target.name, *nodes) == (&trial.target.name, trial.app_nodes)) {
                cases.push(trial.case());
            }
        }
        let place = |case: &(&Target, u8)| {
            self.order.iter().position(|(target, nodes)| (target, *nodes) == (&case.0.name, case.1))
        };
        cases.sort_by_key(|case| place(case).unwrap_or(usize::MAX));
        cases
    }
}

/// Applies the overrides. Also returns, for each target that the profile does not know, whose expectations it takes.
fn overridden(profile: &Profile, overrides: &Overrides) -> Result<(Profile, BTreeMap<String, String>), PlanError> {
    let mut profile = profile.clone();
    let expected_as = take_targets(&mut profile, &overrides.targets)?;
    stand_in(&mut profile, &overrides.stand_ins);
    if let Some(nodes) = &overrides.nodes {
        profile.cases.iter_mut().for_each(|case| case.nodes.clone_from(nodes));
    }
    if let Some(trials) = overrides.trials {
        profile.trials = trials;
    }
    if let Some(agents) = overrides.agents {
        profile.agent.count = agents;
    }
    if let Some(times) = overrides.scale {
        profile.shorten(times);
    }
    if let Some(rate) = overrides.rate {
        profile.load.model = profile.load.model.at_rate(rate).ok_or_else(|| {
            PlanError::Override(format!(
                "--rate {rate}: the profile's load has no rate of its own: {}",
                profile.load.model.describe()
            ))
        })?;
    }
    if let Some(duration) = overrides.duration {
        profile.load.duration = duration;
    }
    check_agents(&profile)?;
    // The schedule would leave out a fault that heals after the load's end, and the run would show nothing.
    if let Some(fault) =
        profile.faults.iter().find(|fault| fault.at.get() + fault.heal_after.get() > profile.load.duration.get())
    {
        return Err(PlanError::Override(format!(
            "--duration {}: the profile's {} at {} is healed after {}, which is later; take a longer duration or another profile",
            profile.load.duration,
            fault.name(),
            fault.at,
            fault.heal_after
        )));
    }
    Ok((profile, expected_as))
}

/// Two agents cannot have the same address, so each needs one.
fn check_agents(profile: &Profile) -> Result<(), PlanError> {
    let addresses = profile.sessions.client_addresses.most(profile.sessions.count.map_or(u32::MAX, Within::get));
    let agents = u32::from(profile.agent.agents());
    // To a system that runs already, each agent speaks from its machine's own address.
    if agents <= addresses || profile.cases.iter().all(|case| case.target.attached.is_some()) {
        return Ok(());
    }
    let is_pooled = matches!(profile.load.connections, Connections::Pooled(_));
    let advice = if is_pooled { "pooled connections take one agent" } else { "take fewer agents or more addresses" };
    Err(PlanError::Override(format!(
        "profile {}: its {agents} agents need a client address each, and `sessions.client_addresses` gives {addresses}; {advice}",
        profile.name
    )))
}

/// Keeps only these targets, each with the numbers of nodes that the profile has for it, or else for its first target.
/// A target that the profile does not know takes the expectations of the profile's first target with the same strategy.
fn take_targets(profile: &mut Profile, targets: &[Target]) -> Result<BTreeMap<String, String>, PlanError> {
    let mut expected_as = BTreeMap::new();
    let Some(first) = profile.cases.first().map(|case| case.nodes.clone()).filter(|_| !targets.is_empty()) else {
        keep_expectations_of_cases(profile);
        return Ok(expected_as);
    };
    for (number, target) in targets.iter().enumerate() {
        if targets.iter().take(number).any(|other| other.name == target.name) {
            let message =
                format!("two targets are called `{}`, and their results could not be told apart", target.name);
            return Err(PlanError::Override(format!("--target: {message}; rename one of the files")));
        }
        let is_known = profile.cases.iter().any(|case| case.target.name == target.name);
        if is_known || profile.on_request.contains(&target.name) {
            continue;
        }
        let like = profile.cases.iter().find(|case| case.target.strategy == target.strategy);
        let Some(like) = like.map(|case| case.target.name.clone()) else { continue };
        for expectation in profile.expectations.iter_mut().filter(|expectation| expectation.targets.contains(&like)) {
            expectation.targets.push(target.name.clone());
            expected_as.insert(target.name.clone(), like.clone());
        }
    }
    let case_of = |target: &Target| {
        let known = profile.cases.iter().find(|case| case.target.name == target.name);
        Case {
            target: target.clone(),
            nodes: known.map_or(&first, |case| &case.nodes).clone(),
            as_processes: known.is_some_and(|case| case.as_processes),
        }
    };
    profile.cases = targets.iter().map(case_of).collect();
    keep_expectations_of_cases(profile);
    Ok(expected_as)
}

/// Removes expectations of targets that are not tried, or that are compared with one that is not.
fn keep_expectations_of_cases(profile: &mut Profile) {
    let Profile { cases, expectations, .. } = profile;
    let is_tried = |name: &String| cases.iter().any(|case| case.target.name == *name);
    for expectation in expectations.iter_mut() {
        expectation.targets.retain(is_tried);
    }
    let has_its_reference = |reference: Option<&Reference>| match reference {
        Some(Reference::Target(name)) => is_tried(name),
        Some(Reference::Baseline) | None => true,
    };
    expectations
        .retain(|expectation| !expectation.targets.is_empty() && has_its_reference(expectation.condition.refers_to()));
}

/// Replaces targets by their stand-ins in cases, faults and expectations, and compresses the profile's times. If
/// several targets have the same stand-in, only the first case stays.
fn stand_in(profile: &mut Profile, stand_ins: &BTreeMap<String, Target>) {
    if stand_ins.is_empty() {
        return;
    }
    let mut cases: Vec<Case> = Vec::new();
    for case in profile.cases.drain(..) {
        let target = stand_ins.get(&case.target.name).unwrap_or(&case.target).clone();
        if !cases.iter().any(|other| other.target.name == target.name) {
            cases.push(Case { target, ..case });
        }
    }
    profile.cases = cases;
    for name in profile.faults.iter_mut().flat_map(|fault| &mut fault.targets) {
        if let Some(target) = stand_ins.get(name) {
            name.clone_from(&target.name);
        }
    }
    let mut expectations: Vec<Expectation> = Vec::new();
    for mut expectation in profile.expectations.drain(..) {
        if expectation.is_of_the_targets_alone {
            expectation.targets.retain(|name| !stand_ins.contains_key(name));
            if expectation.targets.is_empty() {
                continue;
            }
        }
        for name in &mut expectation.targets {
            if let Some(target) = stand_ins.get(name) {
                name.clone_from(&target.name);
            }
        }
        expectation.condition.rename_targets(&|name| stand_ins.get(name).map(|target| target.name.clone()));
        expectation.targets.sort();
        expectation.targets.dedup();
        if !expectations.contains(&expectation) {
            expectations.push(expectation);
        }
    }
    profile.expectations = expectations;
    if let Some(StandIn { times }) = profile.stand_in {
        profile.compress(times);
    }
}

fn plan_trial(
    profile: &Profile,
    case: &Case,
    app_nodes: u8,
    number: usize,
    rng: &mut ChaCha8Rng,
) -> Result<TrialPlan, PlanError> {
    check_accounts(profile, &case.target)?;
    check_nodes(profile, &case.target, app_nodes)?;
    let inventory = Inventory { target: &case.target, app_nodes };
    let stage = Stage { inventory, warm_up: profile.load.warm_up, duration: profile.load.duration };
    let faults = schedule(&profile.faults, stage, rng)?;
    let (mut sessions, mut load) = (profile.sessions.clone(), profile.load.clone());
    if load.per_node {
        load.model = load.model.times(f64::from(app_nodes));
        sessions.count = sessions
            .count
            .map(|count| Within::try_from(i64::from(count.get()) * i64::from(app_nodes)).unwrap_or(count));
    }
    Ok(TrialPlan {
        number,
        target: expiring(&case.target, &profile.sessions)?,
        app_nodes,
        standby: u8::try_from(joins(&faults)).unwrap_or(u8::MAX),
        as_processes: case.as_processes,
        seed: rng.random(),
        sessions,
        load,
        faults,
        settle: profile.settle,
        agent: profile.agent.clone(),
        cpuset: profile.cpuset.clone(),
        generator: profile.generator,
        judged: judged(profile, &case.target),
        min_examined: profile.min_examined,
    })
}

/// A system whose app nodes are listed in its file has just these.
fn check_nodes(profile: &Profile, target: &Target, app_nodes: u8) -> Result<(), PlanError> {
    match target.fixed_app_nodes() {
        Some(there) if there != usize::from(app_nodes) => Err(PlanError::Override(format!(
            "target {} lists {there} app nodes, and profile {} wants {app_nodes}; give --nodes {there}",
            target.name, profile.name
        ))),
        _ => Ok(()),
    }
}

/// Two sessions of one account would see each other's operations, and users can be registered only if they can be counted.
fn check_accounts(profile: &Profile, target: &Target) -> Result<(), PlanError> {
    let registers = target.session.as_ref().is_some_and(|mapping| !mapping.register.is_empty());
    if registers && profile.sessions.count.is_none() {
        return Err(PlanError::Override(format!(
            "target {}: `session.register` makes an account for each user before the load, and sessions of profile {} arrive without end",
            target.name, profile.name
        )));
    }
    let Some(accounts) = target.session.as_ref().and_then(|mapping| mapping.accounts.as_ref()) else { return Ok(()) };
    let (there, wanted) = (accounts.rows.len(), profile.sessions.count.map(Within::get));
    if wanted.is_some_and(|wanted| wanted as usize <= there) {
        return Ok(());
    }
    let wanted = wanted.map_or("sessions that arrive without end".to_owned(), |wanted| format!("{wanted} sessions"));
    Err(PlanError::Override(format!(
        "target {}: `session.users` has {there} accounts, and profile {} has {wanted}; each session needs an account of its own",
        target.name, profile.name
    )))
}

/// The target, told when its sessions end.
fn expiring(target: &Target, sessions: &Sessions) -> Result<Target, PlanError> {
    let mut target = target.clone();
    let Some(after) = sessions.expires_after.filter(|_| target.session.is_none()) else { return Ok(target) };
    let after_ms = after.as_nanos() / 1_000_000;
    let name = target.name.clone();
    let refused = |message: String| Err(PlanError::Override(format!("`sessions.expires_after`: {message}")));
    for (tier, spec) in target.tiers.iter_mut().filter(|(tier, _)| **tier != Tier::Balancer) {
        match spec.image.expires {
            Some(Granularity::Seconds) if after_ms % 1000 != 0 => {
                return refused(format!("the image `{}` of {name} takes whole seconds", spec.image.name));
            }
            Some(_) => drop(spec.settings.insert("expires_after_ms".to_owned(), after_ms.to_string())),
            None if *tier == Tier::App => {
                return refused(format!("the image `{}` of {name} cannot be told when sessions end", spec.image.name));
            }
            None => {}
        }
    }
    Ok(target)
}

/// What the profile asks for, as far as the target's replies show it.
fn judged(profile: &Profile, target: &Target) -> Vec<Guarantee> {
    let Some(mapping) = &target.session else { return profile.judged.clone() };
    let can_be = judgeable(mapping.evidence());
    profile.judged.iter().copied().filter(|guarantee| can_be.contains(guarantee)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{TEXT, as_source, bundled, survives};
    use crate::files::Kind;
    use crate::profile::ClientAddresses;

    fn quick() -> Profile {
        Profile::find("quick").unwrap()
    }

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_seed_another_one() {
        let plan = |seed| Plan::new(&quick(), &Overrides::default(), seed).unwrap();
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7).trials[0].seed, plan(8).trials[0].seed);
    }

    #[test]
    fn overrides_replace_values_of_the_profile() {
        let overrides = Overrides {
            nodes: Some("5".parse().unwrap()),
            targets: vec![Target::find("tomcat-redis").unwrap()],
            rate: Some(50.0),
            ..Overrides::default()
        };
        let plan = Plan::new(&quick(), &overrides, 1).unwrap();
        assert_eq!(plan.trials.len(), 1);
        assert_eq!(plan.trials[0].app_nodes, 5);
        assert_eq!(plan.trials[0].load.model.describe(), "50 operations a second");
        assert!(plan.expectations.iter().all(|expectation| expectation.targets == ["tomcat-redis"]));
    }

    #[test]
    fn a_target_on_request_is_tried_where_it_is_named_with_expectations_of_its_own() {
        let lifecycle = Profile::find("lifecycle").unwrap();
        let plan = Plan::new(&lifecycle, &Overrides::default(), 7).unwrap();
        assert!(!plan.order.iter().any(|(target, _)| target == "axum-redis"));
        assert!(!plan.expectations.iter().any(|one| one.targets.contains(&"axum-redis".to_owned())));
        let targets = vec![Target::find("axum-redis").unwrap()];
        let plan = Plan::new(&lifecycle, &Overrides { targets, ..Overrides::default() }, 7).unwrap();
        let expected: Vec<String> = plan.expectations.iter().map(|one| one.condition.to_string()).collect();
        assert!(expected.contains(&"logout-is-final == pass".to_owned()), "{expected:?}");
        assert!(plan.expected_as.is_empty());
    }

    #[test]
    fn a_stand_in_takes_over_the_case_and_its_expectations_with_shorter_times() {
        let mut overrides = Overrides::default();
        for name in ["tomcat-none", "tomcat-delta"] {
            overrides.stand_ins.insert(name.into(), Target::find(name).unwrap().stand_in().unwrap());
        }
        let plan = Plan::new(&quick(), &overrides, 1).unwrap();
        let names: Vec<&str> = plan.trials.iter().map(|trial| trial.target.name.as_str()).collect();
        assert_eq!(
            names,
            ["reference-none", "tomcat-sticky-cookie", "reference-replicate-all", "tomcat-backup", "tomcat-redis"]
        );
        let control = plan.expectations.iter().find(|expectation| expectation.targets == ["reference-none"]);
        assert_eq!(control.unwrap().condition.to_string(), "verdict == violated");
        let trial = &plan.trials[0];
        let real = Plan::new(&quick(), &Overrides::default(), 1).unwrap();
        assert!(trial.load.duration < real.trials[0].load.duration);
        assert!(trial.faults[0].heal_at.get() <= trial.load.warm_up.get() + trial.load.duration.get());
        assert_eq!(plan.stand_ins["tomcat-delta"], "reference-replicate-all");
    }

    #[test]
    fn targets_with_the_same_stand_in_share_one_case_and_its_expectations() {
        let profile = Profile::find("strategies").unwrap();
        let mut overrides = Overrides::default();
        for target in profile.targets() {
            overrides.stand_ins.insert(target.name.clone(), target.stand_in().unwrap());
        }
        let plan = Plan::new(&profile, &overrides, 1).unwrap();
        let mut names: Vec<&str> = plan.trials.iter().map(|trial| trial.target.name.as_str()).collect();
        let count = names.len();
        names.dedup();
        assert_eq!((names.len(), count), (6, 6), "{names:?}");
        let of_ip = plan.expectations.iter().filter(|expectation| expectation.targets == ["reference-sticky-ip"]);
        assert_eq!(of_ip.count(), 3);
    }

    #[test]
    fn no_stand_in_has_to_meet_what_excludes_each_other() {
        for name in crate::files::names(Kind::Profile) {
            let profile = Profile::find(&name).unwrap();
            let mut overrides = Overrides::default();
            for target in profile.targets() {
                overrides.stand_ins.extend(target.stand_in().map(|stand_in| (target.name.clone(), stand_in)));
            }
            let Ok(plan) = Plan::new(&profile, &overrides, 1) else { continue };
            for (place, one) in plan.expectations.iter().enumerate() {
                for other in &plan.expectations[place + 1..] {
                    let shares_one = one.targets.iter().any(|target| other.targets.contains(target));
                    let excluded = shares_one && one.condition.excludes(&other.condition);
                    assert!(!excluded, "{name}: {} and {} of {:?}", one.condition, other.condition, one.targets);
                }
            }
        }
    }

    #[test]
    fn load_per_node_grows_with_the_nodes() {
        let mut profile = quick();
        profile.load.per_node = true;
        let overrides = Overrides { nodes: Some("2,4".parse().unwrap()), ..Overrides::default() };
        let plan = Plan::new(&profile, &overrides, 1).unwrap();
        assert_eq!(plan.trials[0].sessions.count.unwrap().get(), 600);
        assert_eq!(plan.trials[1].sessions.count.unwrap().get(), 1200);
        assert_eq!(plan.trials[1].load.model.describe(), "600 operations a second");
        assert_eq!(plan.cases().len(), 10);
    }

    #[test]
    fn more_agents_than_client_addresses_are_refused_with_both_numbers() {
        let profile = Profile::find("quick").unwrap();
        let with = |addresses, agents: i64| {
            let mut profile = profile.clone();
            profile.sessions.client_addresses = addresses;
            let overrides = Overrides { agents: Some(agents.try_into().unwrap()), ..Overrides::default() };
            Plan::new(&profile, &overrides, 1)
        };
        assert_eq!(with(ClientAddresses::PerSession, 16).unwrap().trials[0].shape().agents, 16);
        let message = with(ClientAddresses::One, 2).unwrap_err().to_string();
        insta::assert_snapshot!(message, @"profile quick: its 2 agents need a client address each, and `sessions.client_addresses` gives 1; take fewer agents or more addresses");
    }

    #[test]
    fn a_duration_that_ends_before_the_fault_is_healed_is_refused() {
        let overrides = Overrides { duration: Some(Time::from_millis(1000)), ..Overrides::default() };
        let message = Plan::new(&quick(), &overrides, 1).unwrap_err().to_string();
        assert!(message.starts_with("--duration 1s: the profile's kill at "), "{message}");
    }

    #[test]
    fn a_damaged_profile_is_refused_or_can_still_be_planned() {
        survives(&bundled(Kind::Profile), TEXT, |bytes| {
            if let Ok(profile) = Profile::from_source(&as_source(bytes)) {
                let _ = Plan::new(&profile, &Overrides::default(), 1);
            }
        });
    }
}
