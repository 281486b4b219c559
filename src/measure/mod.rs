//! Measurements: history and samples in, figures out. One file per kind of figure. Pure, like the checker.

mod error;
mod errors;
mod latency;
mod recovery;
mod resources;
mod series;
mod sessions;
mod timing;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::check::Losses;
use crate::history::{GeneratorHealth, Moved, NodeSample, Operation, Phase, SessionHistory, SessionOutcome, Timeline};
use crate::topology::{Network, Tier};

pub use error::MeasureError;
pub use errors::ErrorFigures;
use errors::ErrorTally;
use latency::LatencyTally;
pub use latency::{Latency, PhaseFigures};
use recovery::RecoveryTally;
pub use recovery::{Back, ByVictim, CatchUp, InFlight, Recovery, RecoveryFigures};
pub use resources::{Internals, NodeMemory};
use resources::{Sampled, SteadyTally};
use series::SeriesTally;
pub use series::{Interval, Series};
pub use sessions::SessionCounts;
use sessions::SessionTally;
pub use timing::{GeneratorFigures, Lag};
use timing::{LastFailureTally, PunctualityTally};

/// What the balancer thought of an app node, over the whole trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancerView {
    /// Whether it sends it requests.
    pub is_up: bool,
    /// How often it marked it down.
    pub times_down: u64,
    /// For how many seconds in all.
    pub down_s: u64,
    /// Connections to it that were tried again.
    pub retries: u64,
    /// Requests that went to another node instead.
    pub redispatches: u64,
}

impl BalancerView {
    /// What two balancers thought of the same node, taken together: it is up if both say so.
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

/// What is known of a trial beside its history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Circumstances {
    /// Every node's tier, the agent's excepted.
    pub tiers: BTreeMap<String, Tier>,
    /// App nodes that were not there from the start.
    #[serde(default)]
    pub standbys: BTreeSet<String>,
    /// What each app node told of itself in the end.
    pub internals: BTreeMap<String, Internals>,
    /// What the balancer thought of each app node; empty where it does not tell.
    #[serde(default)]
    pub balancer: BTreeMap<String, BalancerView>,
    /// What each balancer counted, by its name; empty where it publishes nothing.
    #[serde(default)]
    pub balancer_totals: BTreeMap<String, BalancerTotals>,
    /// How well the generator kept its schedule.
    #[serde(flatten)]
    pub generator: GeneratorHealth,
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
    /// What became of the sessions.
    pub sessions: SessionCounts,
    /// How the operations ended.
    pub operations: OperationCounts,
    /// Of the operations that ended well after the warm-up, waits included.
    pub response_us: Latency,
    /// Of the same, from the send.
    pub service_us: Latency,
    /// Of the operations after the warm-up that had to connect: how long that took.
    pub connect_us: Latency,
    /// What went wrong after the warm-up, by its kind.
    pub errors: BTreeMap<String, ErrorFigures>,
    /// Of the load: bytes of HTTP, there and back, per operation that was sent.
    pub http_bytes_per_request: f64,
    /// Each second of the load.
    pub intervals: Vec<Interval>,
    /// Sessions that were lost, by the second of the load in which that showed.
    #[serde(default)]
    pub losses: BTreeMap<u64, u64>,
    /// In the steady phase: operations that each app node answered.
    #[serde(default)]
    pub answered_per_node: BTreeMap<String, u64>,
    /// The same by phase, failures apart.
    pub phases: BTreeMap<Phase, PhaseFigures>,
    /// In the steady phase: bytes that crossed each network, per operation.
    pub network_bytes_per_request: BTreeMap<Network, f64>,
    /// The same per write, all of them on the writes' account.
    #[serde(default)]
    pub network_bytes_per_write: BTreeMap<Network, f64>,
    /// In the steady phase: CPU time of each tier, per operation.
    pub cpu_us_per_request: BTreeMap<Tier, f64>,
    /// Each app node's memory.
    pub memory: BTreeMap<String, NodeMemory>,
    /// Of the app nodes, at the end of the steady phase: resident memory, their mean.
    pub memory_bytes_per_node: Option<u64>,
    /// Of the app nodes, in the end: live heap after a collection, their mean.
    pub live_heap_bytes_per_node: Option<u64>,
    /// In the steady phase: the busiest app node's share of the operations over the mean.
    pub skew: Option<f64>,
    /// From the first fault's injection to the last operation that did not end well; none without either.
    pub recovery_ms: Option<u64>,
    /// What the balancer thought of each app node in the end; empty where it does not tell.
    #[serde(default)]
    pub balancer: BTreeMap<String, BalancerView>,
    /// What each balancer counted, by its name; empty where it publishes nothing.
    #[serde(default)]
    pub balancer_totals: BTreeMap<String, BalancerTotals>,
    /// What each fault that landed did, in the order of time.
    #[serde(default)]
    pub recoveries: Vec<Recovery>,
    /// Acknowledged writes that are gone and that no fault answers for.
    #[serde(default)]
    pub writes_lost_without_fault: u64,
    /// How well the traffic generator kept its schedule.
    pub generator: GeneratorFigures,
}

/// Measures while lives go by.
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
    errors: ErrorTally,
    series: SeriesTally,
    losses: BTreeMap<u64, u64>,
    /// Operations of the load that were sent, and their bytes.
    moved: (u64, u64),
    /// Why something could not be counted: a defect of this program.
    defect: Option<MeasureError>,
}

impl<'a> Meter<'a> {
    /// Has measured nothing yet.
    ///
    /// # Errors
    /// When a histogram cannot be made: a defect of this program.
    pub fn new(timeline: &'a Timeline) -> Result<Self, MeasureError> {
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
            errors: ErrorTally::default(),
            series: SeriesTally::new(timeline.load_end),
            losses: BTreeMap::new(),
            moved: (0, 0),
            defect: None,
        })
    }

    /// Takes a life into account, of which `fate` tells what became of it and the checker what it has lost.
    pub fn add(&mut self, life: &SessionHistory, fate: &SessionOutcome, losses: &Losses) {
        self.sessions.add(fate, self.timeline);
        self.operations.acknowledged_writes += losses.acknowledged;
        self.operations.acknowledged_writes_lost += losses.lost.len() as u64;
        self.recovery.add(life, fate, losses);
        if let Some(loss) = &fate.loss {
            *self.losses.entry(loss.times.completed_ns / 1_000_000_000).or_default() += 1;
        }
        for operation in &life.operations {
            let phase = self.timeline.phase_at(operation.times.scheduled_ns);
            let ended_well = fate.ended_well(operation);
            self.operations.add(operation, phase, ended_well);
            self.latencies.add(operation, phase, ended_well, self.timeline);
            self.steady.add(operation, &self.steady_ns);
            self.last_failure.add(operation, phase, ended_well);
            self.punctuality.add(operation, phase);
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
        self.series.add(operation, ended_well)
    }

    /// The figures, and the log of response times.
    ///
    /// # Errors
    /// When a histogram cannot be written down: a defect of this program.
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
        // Those that join later answer nothing in the steady phase, and are no sign of a balancer that is unfair.
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
            memory: resources::memory(sampled, circumstances, &app_nodes),
            memory_bytes_per_node: resources::resident_per_node(sampled, &app_nodes),
            live_heap_bytes_per_node: resources::live_heap_per_node(circumstances),
            skew: self.steady.skew(&from_the_start),
            recovery_ms: self.last_failure.finish(self.timeline),
            balancer: circumstances.balancer.clone(),
            balancer_totals: circumstances.balancer_totals.clone(),
            recoveries,
            writes_lost_without_fault,
            generator: self.punctuality.finish(&circumstances.generator),
        };
        Ok((measurements, log))
    }
}
