//! The plan: a profile, its targets and a seed, resolved to trials. Pure data: it can be printed
//! without touching anything, and the same seed gives the same plan.

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use thiserror::Error;

use crate::expect::Expectation;
use crate::history::FaultKind;
use crate::profile::{GeneratorLimits, Load, NodeChoice, Profile, Sessions, Time, Within};
use crate::target::Target;

/// A change that a user made to a profile on the command line and that does not fit it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct OverrideError(String);

/// What the command line may change in a profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Another number of app nodes.
    pub nodes: Option<Within<2, 8>>,
    /// Only these of the profile's targets, or others in their place.
    pub targets: Vec<Target>,
    /// Another rate.
    pub rate: Option<f64>,
    /// Another length of the load after the warm-up.
    pub duration: Option<Time>,
}

/// A fault with its node and its times settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedFault {
    /// What is done.
    pub kind: FaultKind,
    /// The name of the node.
    pub node: String,
    /// When it is injected, from the start of the load.
    pub at: Time,
    /// When it is undone, from the start of the load.
    pub heal_at: Time,
}

/// One case, to be executed once on a fresh cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialPlan {
    /// Counts from 1 over the whole plan.
    pub number: usize,
    /// What is started.
    pub target: Target,
    /// With how many app nodes.
    pub app_nodes: u8,
    /// What the traffic's choices are drawn from.
    pub seed: u64,
    /// The virtual users.
    pub sessions: Sessions,
    /// The traffic.
    pub load: Load,
    /// In the order of time.
    pub faults: Vec<PlannedFault>,
    /// Between the end of the load and the final read.
    pub settle: Time,
    /// Where it is invalid.
    pub generator: GeneratorLimits,
}

impl TrialPlan {
    /// A name for its folder, its containers and its messages.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{:02}-{}", self.number, self.target.name)
    }
}

/// Everything that a run will do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The profile's name.
    pub profile: String,
    /// The question that it answers.
    pub answers: String,
    /// What every choice is drawn from.
    pub seed: u64,
    /// In the order of execution.
    pub trials: Vec<TrialPlan>,
    /// What must come out.
    pub expectations: Vec<Expectation>,
}

impl Plan {
    /// Resolves a profile.
    ///
    /// # Errors
    /// When an override does not fit the profile.
    pub fn new(profile: &Profile, overrides: &Overrides, seed: u64) -> Result<Self, OverrideError> {
        let profile = &overridden(profile, overrides)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut trials = Vec::new();
        for _ in 0..profile.trials.get() {
            for target in &profile.targets {
                trials.push(plan_trial(profile, target, trials.len() + 1, &mut rng));
            }
        }
        Ok(Self {
            profile: profile.name.clone(),
            answers: profile.answers.clone(),
            seed,
            trials,
            expectations: profile.expectations.clone(),
        })
    }

    /// The targets, each once, in the order of their first trial.
    #[must_use]
    pub fn targets(&self) -> Vec<&Target> {
        let mut targets: Vec<&Target> = Vec::new();
        for trial in &self.trials {
            if !targets.iter().any(|target| target.name == trial.target.name) {
                targets.push(&trial.target);
            }
        }
        targets
    }
}

fn overridden(profile: &Profile, overrides: &Overrides) -> Result<Profile, OverrideError> {
    let mut profile = profile.clone();
    if let Some(nodes) = overrides.nodes {
        profile.nodes = nodes;
    }
    if !overrides.targets.is_empty() {
        profile.targets.clone_from(&overrides.targets);
        let tried = |name: &String| profile.targets.iter().any(|target| target.name == *name);
        for expectation in &mut profile.expectations {
            expectation.targets.retain(tried);
        }
        profile.expectations.retain(|expectation| !expectation.targets.is_empty());
    }
    if let Some(rate) = overrides.rate {
        profile.load.model = profile.load.model.at_rate(rate);
    }
    if let Some(duration) = overrides.duration {
        profile.load.duration = duration;
    }
    for fault in &profile.faults {
        if fault.at.get() + fault.heal_after.get() > profile.load.duration.get() {
            return Err(OverrideError(format!(
                "--duration {}: the profile's {} at {} is healed after {}, which is later; take a longer duration or another profile",
                profile.load.duration, fault.kind, fault.at, fault.heal_after
            )));
        }
        if let NodeChoice::Named(name) = &fault.node
            && !(1..=profile.nodes.get()).any(|number| *name == format!("app-{number}"))
        {
            return Err(OverrideError(format!(
                "--nodes {}: the profile's {} hits {name}, which would not be there",
                profile.nodes.get(),
                fault.kind
            )));
        }
    }
    Ok(profile)
}

fn plan_trial(profile: &Profile, target: &Target, number: usize, rng: &mut ChaCha8Rng) -> TrialPlan {
    let app_nodes = u8::try_from(profile.nodes.get()).unwrap_or(u8::MAX);
    let names: Vec<String> = (1..=app_nodes).map(|number| format!("app-{number}")).collect();
    let warm_up = profile.load.warm_up.get();
    let millis = |time: std::time::Duration| Time::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let faults = profile.faults.iter().map(|fault| PlannedFault {
        kind: fault.kind,
        node: match &fault.node {
            NodeChoice::Random => names.choose(rng).cloned().unwrap_or_default(),
            NodeChoice::Named(name) => name.clone(),
        },
        at: millis(warm_up + fault.at.get()),
        heal_at: millis(warm_up + fault.at.get() + fault.heal_after.get()),
    });
    let mut faults: Vec<PlannedFault> = faults.collect();
    faults.sort_by_key(|fault| fault.at);
    TrialPlan {
        number,
        target: target.clone(),
        app_nodes,
        seed: rng.random(),
        sessions: profile.sessions.clone(),
        load: profile.load.clone(),
        faults,
        settle: profile.settle,
        generator: profile.generator,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn overrides_replace_what_the_profile_says() {
        let overrides = Overrides {
            nodes: Some(Within::try_from(5).unwrap()),
            targets: vec![Target::find("tomcat-redis").unwrap()],
            rate: Some(50.0),
            duration: None,
        };
        let plan = Plan::new(&quick(), &overrides, 1).unwrap();
        assert_eq!(plan.trials.len(), 1);
        assert_eq!(plan.trials[0].app_nodes, 5);
        assert_eq!(plan.trials[0].load.model.start_ns(50), 1_000_000_000);
        assert!(plan.expectations.iter().all(|expectation| expectation.targets == ["tomcat-redis"]));
    }

    #[test]
    fn a_duration_that_ends_before_the_fault_is_healed_is_refused() {
        let overrides = Overrides { duration: Some(Time::from_millis(1000)), ..Overrides::default() };
        let message = Plan::new(&quick(), &overrides, 1).unwrap_err().to_string();
        assert!(message.starts_with("--duration 1s: the profile's kill at "), "{message}");
    }
}
