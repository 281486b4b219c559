//! The figures of each of several agents: a late one must not be hidden by the others, and starts that are apart blur what is
//! compared between sessions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::MeasureError;
use super::timing::{GeneratorFigures, PunctualityTally};
use crate::history::{AgentHealth, Operation, Phase};

/// Who sent the load, if there were several agents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentsOfTrial {
    /// The number of each user's agent, from 0; the users behind the last one follow the same pattern again.
    pub of_user: Vec<u32>,
    /// The agents by their number; empty if there was only one.
    pub each: Vec<AgentHealth>,
}

impl AgentsOfTrial {
    /// Whether there was only one.
    #[must_use]
    pub const fn is_one(&self) -> bool {
        self.each.is_empty()
    }

    fn of(&self, user: u32) -> Option<usize> {
        let turn = (user as usize).checked_rem(self.of_user.len())?;
        self.of_user.get(turn).map(|agent| *agent as usize)
    }
}

/// What one of several agents did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AgentFigures {
    /// Its name in lists of nodes.
    pub name: String,
    /// Its host, where a file named hosts.
    #[serde(default)]
    pub host: Option<String>,
    /// How well it kept its part of the schedule.
    pub generator: GeneratorFigures,
    /// The most by which its start can differ from the first agent's, in microseconds: how late it was, and the error of the
    /// comparison of their clocks.
    pub starts_apart_us: u64,
}

impl AgentFigures {
    /// Why the trial is invalid, or `None` if this agent kept within its limits.
    #[must_use]
    pub fn past_limits(&self, least_share: f64, most_lag: Duration, most_apart: Duration) -> Option<String> {
        let limit_us = u64::try_from(most_apart.as_micros()).unwrap_or(u64::MAX);
        let apart = (self.starts_apart_us > limit_us).then(|| {
            format!(
                "its start may differ by {} µs from the first agent's, more than {limit_us} µs",
                self.starts_apart_us
            )
        });
        // An agent without users has nothing to do.
        let past = || self.generator.past_limits(least_share, most_lag).filter(|_| self.generator.offered > 0);
        apart.or_else(past).map(|reason| format!("{}: {reason}", self.name))
    }
}

/// The lag of each agent; empty if there was only one.
pub struct AgentsTally<'a> {
    agents: &'a AgentsOfTrial,
    punctuality: Vec<PunctualityTally>,
}

impl<'a> AgentsTally<'a> {
    pub fn new(agents: &'a AgentsOfTrial) -> Result<Self, MeasureError> {
        let punctuality = agents.each.iter().map(|_| PunctualityTally::new()).collect::<Result<_, _>>()?;
        Ok(Self { agents, punctuality })
    }

    pub fn add(&mut self, operation: &Operation, phase: Phase) {
        let of = self.agents.of(operation.id.session);
        if let Some(tally) = of.and_then(|agent| self.punctuality.get_mut(agent)) {
            tally.add(operation, phase);
        }
    }

    /// `host_of` gives an agent's host by its name.
    pub fn finish(&self, host_of: impl Fn(&str) -> Option<String>) -> Vec<AgentFigures> {
        let figures = |(agent, tally): (&AgentHealth, &PunctualityTally)| AgentFigures {
            name: agent.name.clone(),
            host: host_of(&agent.name),
            generator: tally.finish(&agent.health),
            starts_apart_us: agent.starts_apart_ns().div_ceil(1000),
        };
        self.agents.each.iter().zip(&self.punctuality).map(figures).collect()
    }
}

/// The agents over several trials: sums of what they started, and the worst of each other figure.
pub fn over_trials<'a>(trials: impl Iterator<Item = &'a Vec<AgentFigures>>) -> Vec<AgentFigures> {
    let mut all: Vec<AgentFigures> = Vec::new();
    for figures in trials.flatten() {
        match all.iter_mut().find(|other| other.name == figures.name) {
            Some(other) => {
                other.generator = other.generator.and_worst(&figures.generator);
                other.starts_apart_us = other.starts_apart_us.max(figures.starts_apart_us);
            }
            None => all.push(figures.clone()),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{HistoryBuilder, history};
    use crate::history::GeneratorHealth;

    fn two_agents() -> AgentsOfTrial {
        let health = GeneratorHealth { offered: 100, started: 100, ..GeneratorHealth::default() };
        let agent = |name: &str, late_ns| AgentHealth {
            name: name.into(),
            health,
            clock_error_ns: 400_000,
            late_ns,
            ..AgentHealth::default()
        };
        AgentsOfTrial { of_user: vec![0, 1], each: vec![agent("agent", 0), agent("agent-2", 600_000)] }
    }

    #[test]
    fn one_late_agent_of_two_makes_the_trial_invalid() {
        let agents = two_agents();
        let mut tally = AgentsTally::new(&agents).unwrap();
        let mut operation = history(HistoryBuilder::create).remove(0);
        for user in 0..200 {
            operation.id.session = user;
            operation.times.scheduled_ns = 0;
            // Only the second agent is late, with one of 50 of its operations: 1 % of all.
            operation.times.dispatched_ns = if user % 100 == 1 { 80_000_000 } else { 1000 };
            tally.add(&operation, Phase::Steady);
        }
        let figures = tally.finish(|name| Some(format!("host of {name}")));
        let past = |agent: &AgentFigures| {
            agent.past_limits(0.9, Duration::from_millis(50), Duration::from_millis(10)).unwrap_or_default()
        };
        assert_eq!(past(&figures[0]), "");
        insta::assert_snapshot!(past(&figures[1]), @"agent-2: the generator was 80063 µs late at its 99th percentile, more than 50000 µs");
        assert_eq!(figures[1].host.as_deref(), Some("host of agent-2"));
    }

    #[test]
    fn starts_that_are_apart_make_the_trial_invalid() {
        let agents = two_agents();
        let figures = AgentsTally::new(&agents).unwrap().finish(|_| None);
        let past = |limit_us| figures[1].past_limits(0.9, Duration::from_millis(50), Duration::from_micros(limit_us));
        assert_eq!(past(1000), None);
        insta::assert_snapshot!(past(999).unwrap(), @"agent-2: its start may differ by 1000 µs from the first agent's, more than 999 µs");
    }

    #[test]
    fn over_trials_the_worst_counts() {
        let agents = two_agents();
        let one = AgentsTally::new(&agents).unwrap().finish(|_| None);
        let mut other = one.clone();
        (other[0].starts_apart_us, other[0].generator.lag.p99_us) = (7000, 9);
        let both = over_trials([one, other].iter());
        assert_eq!((both.len(), both[0].generator.started), (2, 200));
        assert_eq!((both[0].starts_apart_us, both[0].generator.lag.p99_us), (7000, 9));
    }
}
