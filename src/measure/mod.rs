//! Measurements: history and samples in, figures out. One file per kind of figure. Pure, like the checker.

mod affinity;
mod agents;
mod error;
mod errors;
mod hosts;
mod latency;
mod links;
mod races;
mod recovery;
mod resources;
mod series;
mod sessions;
mod timing;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::check::Losses;
use crate::history::{
    GeneratorHealth, LinkSample, Moved, NodeSample, Operation, Phase, SessionHistory, SessionOutcome, Timeline,
};
use crate::topology::{Network, Tier};

pub use affinity::Affinity;
use agents::AgentsTally;
pub use agents::{AgentFigures, AgentsOfTrial, over_trials as agents_over_trials};
pub use error::MeasureError;
pub use errors::ErrorFigures;
use errors::ErrorTally;
pub use hosts::{HostFigures, over_trials as hosts_over_trials};
use latency::LatencyTally;
pub use latency::{Latency, PhaseFigures};
pub use links::{LinkFigures, over_trials as links_over_trials};
pub use races::{Race, Races};
use recovery::RecoveryTally;
pub use recovery::{Back, ByVictim, CatchUp, InFlight, Rebound, Recovery, RecoveryFigures};
pub use resources::{Internals, NodeMemory};
use resources::{Sampled, SteadyTally};
use series::SeriesTally;
pub use series::{Interval, Series};
pub use sessions::SessionCounts;
use sessions::SessionTally;
pub use timing::{GeneratorFigures, Lag};
use timing::{LastFailureTally, PunctualityTally};

/// What the balancer reported about an app node, over the whole trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancerView {
    /// Whether the balancer sends requests to the node.
    pub is_up: bool,
    /// How often the balancer marked the node down.
    pub times_down: u64,
    /// Total time that the node was marked down, in seconds.
    pub down_s: u64,
    /// Connections to the node that were retried.
    pub retries: u64,
    /// Requests that were redispatched to another node.
    pub redispatches: u64,
}

impl BalancerView {
    /// Combines the reports of two balancers about the same node: the node is up if both report it as up.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            is_up: self.is_up && other.is_up,
            times_down: self.times_down.max(other.times_down),
            down_s: self.down_s.max(other.down_s),
            retries: self.retries + other.retries,
            redispatches: self.redispatches + other.redispatches,
        }
    }
}

/// Facts about a trial that are not in its history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Circumstances {
    /// The tier of every node except the agent.
    pub tiers: BTreeMap<String, Tier>,
    /// App nodes that were not part of the cluster at the start.
    #[serde(default)]
    pub standbys: BTreeSet<String>,
    /// The host of each node and of each agent; empty where no file names hosts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, String>,
    /// What each node had sent to nodes on other hosts, at some instants; empty where no file names hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkSample>,
    /// What each app node reported about itself at the end.
    pub internals: BTreeMap<String, Internals>,
    /// What the balancer reported about each app node; empty if it publishes no statistics.
    #[serde(default)]
    pub balancer: BTreeMap<String, BalancerView>,
    /// What each balancer counted, by its name; empty where it publishes nothing.
    #[serde(default)]
    pub balancer_totals: BTreeMap<String, BalancerTotals>,
    /// How well the generator kept its schedule.
    #[serde(flatten)]
    pub generator: GeneratorHealth,
    /// Who sent the load, if there were several agents.
    #[serde(default, skip_serializing_if = "AgentsOfTrial::is_one")]
    pub agents: AgentsOfTrial,
}

/// How operations ended, after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OperationCounts {
    /// A complete reply that says so.
    pub ok: u64,
    /// Certainly not applied; unknown sessions are among them.
    pub fail: u64,
    /// May have been applied.
    pub indeterminate: u64,
    /// Writes that were acknowledged, those of the warm-up among them.
    #[serde(default)]
    pub acknowledged_writes: u64,
    /// Those of them that are gone, with their sessions or from them.
    pub acknowledged_writes_lost: u64,
}

/// What one balancer counted over the whole trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancerTotals {
    /// Connections of clients that it accepted, the agent's probes included.
    pub connections: u64,
    /// Connections that it refused or dropped at once.
    pub refused_connections: u64,
    /// Requests of clients.
    pub requests: u64,
}

/// The figures of a trial. A figure that could not be measured is absent, never zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurements {
    /// Outcomes of the sessions.
    pub sessions: SessionCounts,
    /// Outcomes of the operations.
    pub operations: OperationCounts,
    /// From the scheduled instant, of operations that ended well after the warm-up.
    pub response_us: Latency,
    /// From the send, of the same operations.
    pub service_us: Latency,
    /// Time to connect, of operations after the warm-up that needed a new connection.
    pub connect_us: Latency,
    /// Errors after the warm-up, by kind.
    pub errors: BTreeMap<String, ErrorFigures>,
    /// Bytes of HTTP in both directions, per operation of the load that was sent.
    pub http_bytes_per_request: f64,
    /// The load, interval by interval.
    pub intervals: Vec<Interval>,
    /// Lost sessions, by the second of the load in which a reply showed the loss.
    #[serde(default)]
    pub losses: BTreeMap<u64, u64>,
    /// Operations that each app node answered in the steady phase.
    #[serde(default)]
    pub answered_per_node: BTreeMap<String, u64>,
    /// Figures by phase, with failures separate.
    pub phases: BTreeMap<Phase, PhaseFigures>,
    /// Bytes that crossed each network in the steady phase, per operation.
    pub network_bytes_per_request: BTreeMap<Network, f64>,
    /// The same bytes, all of them divided by the number of writes.
    #[serde(default)]
    pub network_bytes_per_write: BTreeMap<Network, f64>,
    /// CPU time of each tier in the steady phase, per operation.
    pub cpu_us_per_request: BTreeMap<Tier, f64>,
    /// What each host did in the steady phase; empty where no file names hosts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, HostFigures>,
    /// What crossed between hosts in the steady phase; empty where no file names hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkFigures>,
    /// Each app node's memory.
    pub memory: BTreeMap<String, NodeMemory>,
    /// Mean resident memory of the app nodes at the end of the steady phase.
    pub memory_bytes_per_node: Option<u64>,
    /// Mean live heap of the app nodes at the end, after a collection.
    pub live_heap_bytes_per_node: Option<u64>,
    /// Operations that the busiest app node answered in the steady phase, over the mean of the app nodes.
    pub skew: Option<f64>,
    /// How often a request of a session was answered by another node than the one before.
    #[serde(default)]
    pub affinity: Option<Affinity>,
    /// Requests that log-outs, log-ins and changes of ids overtook, and what they undid.
    #[serde(default)]
    pub races: Races,
    /// From the order of the first fault to the last operation that did not end well; `None` without either.
    pub recovery_ms: Option<u64>,
    /// What the balancer reported about each app node at the end; empty if it publishes no statistics.
    #[serde(default)]
    pub balancer: BTreeMap<String, BalancerView>,
    /// What each balancer counted, by its name; empty where it publishes nothing.
    #[serde(default)]
    pub balancer_totals: BTreeMap<String, BalancerTotals>,
    /// Effects of each fault that landed, in the order of time.
    #[serde(default)]
    pub recoveries: Vec<Recovery>,
    /// Acknowledged writes that were lost and that no fault explains.
    #[serde(default)]
    pub writes_lost_without_fault: u64,
    /// How well the traffic generator kept its schedule.
    pub generator: GeneratorFigures,
    /// The same of each agent; empty if there was only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentFigures>,
}

/// Computes the figures of a trial, one session at a time.
pub struct Meter<'a> {
    timeline: &'a Timeline,
    steady_ns: Range<u64>,
    sessions: SessionTally,
    operations: OperationCounts,
    latencies: LatencyTally,
    steady: SteadyTally,
    last_failure: LastFailureTally,
    recovery: RecoveryTally<'a>,
    punctuality: PunctualityTally,
    agents: AgentsTally<'a>,
    errors: ErrorTally,
    series: SeriesTally,
    losses: BTreeMap<u64, u64>,
    affinity: Affinity,
    races: Races,
    /// Number of operations of the load that were sent, and their bytes.
    moved: (u64, u64),
    /// The first error in counting: a defect of this program.
    defect: Option<MeasureError>,
}

impl<'a> Meter<'a> {
    /// Starts without any measurement.
    ///
    /// # Errors
    /// When a histogram cannot be created: a defect of this program.
    pub fn new(timeline: &'a Timeline, agents: &'a AgentsOfTrial) -> Result<Self, MeasureError> {
        let (from, to) = timeline.steady_ns();
        Ok(Self {
            timeline,
            steady_ns: from..to,
            sessions: SessionTally::default(),
            operations: OperationCounts::default(),
            latencies: LatencyTally::new()?,
            steady: SteadyTally::default(),
            last_failure: LastFailureTally::default(),
            recovery: RecoveryTally::new(timeline)?,
            punctuality: PunctualityTally::new()?,
            agents: AgentsTally::new(agents)?,
            errors: ErrorTally::default(),
            series: SeriesTally::new(timeline.load_end),
            losses: BTreeMap::new(),
            affinity: Affinity::default(),
            races: Races::default(),
            moved: (0, 0),
            defect: None,
        })
    }

    /// Adds a session with its `outcome` and the writes that the checker found to be lost.
    pub fn add(&mut self, history: &SessionHistory, outcome: &SessionOutcome, losses: &Losses) {
        self.sessions.add(outcome, self.timeline);
        self.operations.acknowledged_writes += losses.acknowledged;
        self.operations.acknowledged_writes_lost += losses.lost.len() as u64;
        self.recovery.add(history, outcome, losses);
        self.affinity.add(history, self.timeline.first_injection_ns());
        self.races.add(history, outcome, losses);
        if let Some(loss) = &outcome.loss {
            *self.losses.entry(loss.times.completed_ns / 1_000_000_000).or_default() += 1;
        }
        for operation in &history.operations {
            let phase = self.timeline.phase_at(operation.times.scheduled_ns);
            let ended_well = outcome.ended_well(operation);
            self.operations.add(operation, phase, ended_well);
            // How long the app was asked to hold a session is no latency.
            if !operation.kind.is_held() {
                self.latencies.add(operation, phase, ended_well, self.timeline);
            }
            self.steady.add(operation, &self.steady_ns);
            self.last_failure.add(operation, phase, ended_well);
            self.punctuality.add(operation, phase);
            self.agents.add(operation, phase);
            if phase != Phase::Final {
                let result = self.add_to_load(operation, phase, ended_well);
                self.defect = self.defect.take().or(result.err());
            }
        }
    }

    fn add_to_load(&mut self, operation: &Operation, phase: Phase, ended_well: bool) -> Result<(), MeasureError> {
        if operation.sent() {
            let Moved { sent_bytes, received_bytes } = operation.moved;
            self.moved = (self.moved.0 + 1, self.moved.1 + u64::from(sent_bytes) + u64::from(received_bytes));
        }
        if phase != Phase::WarmUp {
            self.errors.add(operation, ended_well)?;
        }
        // How long the app was asked to hold a session is no latency.
        if operation.kind.is_held() { Ok(()) } else { self.series.add(operation, ended_well) }
    }

    /// Returns the figures and the log of response times.
    ///
    /// # Errors
    /// When a value cannot be counted or a histogram cannot be written: a defect of this program.
    pub fn finish(
        self,
        samples: &[NodeSample],
        started_unix_ns: u64,
        circumstances: &Circumstances,
    ) -> Result<(Measurements, Vec<u8>), MeasureError> {
        if let Some(defect) = self.defect {
            return Err(defect);
        }
        let sampled = Sampled { samples, started_unix_ns, timeline: self.timeline };
        let of_apps = circumstances.tiers.iter().filter(|(_, tier)| **tier == Tier::App);
        let app_nodes: Vec<&str> = of_apps.map(|(node, _)| node.as_str()).collect();
        // Nodes that join later answer nothing in the steady phase. Counting them would make the balancer look unfair.
        let is_there = |node: &&str| !circumstances.standbys.contains(*node);
        let from_the_start: Vec<&str> = app_nodes.iter().copied().filter(is_there).collect();
        let latencies = self.latencies.finish(self.timeline)?;
        let interval_ns = self.series.interval_ns();
        let Series { intervals, log } = self.series.finish(started_unix_ns)?;
        let network_bytes_per_request = resources::network_bytes_per_request(sampled, &self.steady);
        let writes_lost_without_fault = self.recovery.without_fault;
        let recoveries = self.recovery.finish(&intervals, interval_ns, sampled)?;
        let measurements = Measurements {
            sessions: self.sessions.finish(self.timeline),
            operations: self.operations,
            response_us: latencies.response_us,
            service_us: latencies.service_us,
            connect_us: latencies.connect_us,
            errors: self.errors.finish()?,
            http_bytes_per_request: self.moved.1 as f64 / self.moved.0.max(1) as f64,
            intervals,
            losses: self.losses,
            answered_per_node: self.steady.answered_per_node(&app_nodes),
            phases: latencies.phases,
            network_bytes_per_write: self.steady.per_write(&network_bytes_per_request),
            network_bytes_per_request,
            cpu_us_per_request: resources::cpu_us_per_request(sampled, &self.steady, &circumstances.tiers),
            hosts: hosts::figures(sampled, &self.steady, &circumstances.hosts),
            links: links::figures(sampled, &self.steady, circumstances),
            memory: resources::memory(sampled, circumstances, &app_nodes),
            memory_bytes_per_node: resources::resident_per_node(sampled, &app_nodes),
            live_heap_bytes_per_node: resources::live_heap_per_node(circumstances),
            skew: self.steady.skew(&from_the_start),
            affinity: Some(self.affinity),
            races: self.races,
            recovery_ms: self.last_failure.finish(self.timeline),
            balancer: circumstances.balancer.clone(),
            balancer_totals: circumstances.balancer_totals.clone(),
            recoveries,
            writes_lost_without_fault,
            generator: self.punctuality.finish(&circumstances.generator),
            agents: self.agents.finish(|agent| circumstances.hosts.get(agent).cloned()),
        };
        Ok((measurements, log))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::check::testing::history;

    #[test]
    fn bytes_per_operation_are_those_of_both_directions() {
        let mut operations = history(|builder| builder.create().write().read());
        for (operation, bytes) in operations.iter_mut().zip([(100, 20), (7, 50), (3, 0)]) {
            (operation.moved.sent_bytes, operation.moved.received_bytes) = bytes;
        }
        let timeline = Timeline { load_end: Duration::from_secs(100), ..Timeline::default() };
        let agents = AgentsOfTrial::default();
        let mut meter = Meter::new(&timeline, &agents).unwrap();
        for session in SessionHistory::all(operations) {
            meter.add(&session, &SessionOutcome::of(&session), &Losses::default());
        }
        let (measurements, _) = meter.finish(&[], 0, &Circumstances::default()).unwrap();
        assert!((measurements.http_bytes_per_request - 60.0).abs() < 1e-9, "{}", measurements.http_bytes_per_request);
    }

    #[test]
    fn of_two_balancers_times_are_the_longest_and_counts_add_up() {
        let view = |is_up, times_down, retries| BalancerView {
            is_up,
            times_down,
            down_s: times_down * 10,
            retries,
            redispatches: retries * 10,
        };
        assert_eq!(view(true, 2, 3).and(view(true, 1, 4)), view(true, 2, 7));
        assert_eq!(view(true, 1, 3).and(view(false, 2, 4)), view(false, 2, 7));
        assert_eq!(view(false, 1, 0).and(view(true, 2, 0)), view(false, 2, 0));
    }
}
