//! Profiles: what to do to targets. Turns a profile's file into checked types, so that a plan never sees invalid
//! values. This module must not know how targets are started or how traffic is sent.

mod fault_file;
mod faults;
mod file;
mod load_file;
mod schedule;
mod sessions;
mod table;

use serde::{Deserialize, Serialize};

use crate::check::Guarantee;
use crate::expect::Expectation;
use crate::files::{self, FileError, Kind, Source};
use crate::load::{Connections, LoadModel, Overload, Pacing, ThinkTime};
use crate::topology::{CoreSets, Target};
use crate::values::{NodeCounts, Share, Time, Within};

pub use faults::{FaultSpec, NodeChoice};
pub use schedule::{PlannedFault, PlannedNode, Stage, joins, schedule};
pub use sessions::{Activity, ClientAddresses, LogOutAfter, MAX_HOLD, Sessions};

/// The events on the load's schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartOf {
    /// Operations of users who are present all the time.
    #[default]
    Operations,
    /// Sessions: each start is a new user, who then sends operations in a closed loop and leaves for good.
    Sessions,
}

/// When operations start, for how long, and over which connections.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Load {
    /// When operations or sessions start.
    pub model: LoadModel,
    /// Operations or sessions.
    pub starts: StartOf,
    /// From a reply to the next request, for users who wait for their reply.
    pub think: ThinkTime,
    /// How users share connections.
    pub connections: Connections,
    /// Whether operations for which the system is too slow are queued or shed.
    pub overload: Overload,
    /// The length of the warm-up, which is not measured: its first round creates the sessions.
    pub warm_up: Time,
    /// The length of the load after the warm-up.
    pub duration: Time,
    /// After this time an operation without a complete reply is indeterminate.
    pub timeout: Time,
    /// Whether the rate and the number of sessions are per app node, so that the load grows with the nodes.
    pub per_node: bool,
}

/// How the agent generates the load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// How many agents deal out the users among themselves.
    #[serde(default, skip_serializing_if = "is_one")]
    pub count: AgentCount,
    /// The number of threads of each.
    #[serde(default)]
    pub threads: Within<1, 64>,
    /// How threads wait for the next start.
    #[serde(default)]
    pub pacing: Pacing,
}

/// Plans of one agent stay as they were before there could be several.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_one(count: &AgentCount) -> bool {
    count.get() == 1
}

/// Most agents of a trial.
pub const MAX_AGENTS: i64 = 16;
/// A number of agents.
pub type AgentCount = Within<1, MAX_AGENTS>;

impl Agent {
    /// How many agents there are.
    #[must_use]
    pub fn agents(&self) -> u8 {
        u8::try_from(self.count.get()).unwrap_or(u8::MAX)
    }
}

/// Limits of the generator, beyond which a trial is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeneratorLimits {
    /// The minimum share of the offered operations that must have been started.
    pub rate: Share,
    /// The maximum 99th percentile of the generator's lag; with several agents, of each agent's.
    pub lag_p99: Time,
    /// The most by which the starts of several agents may differ, as far as their clocks can be compared.
    pub starts_apart: Time,
}

impl Default for GeneratorLimits {
    fn default() -> Self {
        Self {
            rate: Share::try_from(0.99).unwrap_or_else(|_| unreachable!("0.99 is a share")),
            lag_p99: Time::from_millis(1),
            starts_apart: Time::from_millis(10),
        }
    }
}

/// The minimum number of operations that could have broken a guarantee, for it to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MinExamined(Within<1, 1_000_000>);

impl MinExamined {
    /// Ten operations show any defect that affects all operations. They miss a defect that affects one operation in three
    /// with a probability of 1 in 60.
    const DEFAULT: i64 = 10;

    /// As a number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl Default for MinExamined {
    fn default() -> Self {
        Self(Within::try_from(Self::DEFAULT).unwrap_or_default())
    }
}

/// A target and its numbers of app nodes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// The target.
    pub target: Target,
    /// The numbers of app nodes, which are tried one after the other.
    pub nodes: NodeCounts,
    /// Whether its nodes are processes even if there is a Docker engine.
    pub as_processes: bool,
}

/// Allows reference nodes to stand in for real products if no Docker engine is available, and says what changes then.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandIn {
    /// The factor for all times of the profile: reference nodes need no time to warm up.
    pub times: Share,
}

/// A checked profile: what to do to targets, and what is expected of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// The file's name without its ending.
    pub name: String,
    /// The question that it answers.
    pub answers: String,
    /// The targets, in the order of the report.
    pub cases: Vec<Case>,
    /// Targets of which it expects something, and which are tried only where a run asks for them by name.
    pub on_request: Vec<String>,
    /// The number of trials of each case.
    pub trials: Within<1, 1000>,
    /// The virtual users.
    pub sessions: Sessions,
    /// The traffic.
    pub load: Load,
    /// The faults that are injected during the load, in the order of the file.
    pub faults: Vec<FaultSpec>,
    /// The time between the end of the load and the final read.
    pub settle: Time,
    /// Set if reference nodes may stand in without `--stand-in`.
    pub stand_in: Option<StandIn>,
    /// How the agent generates the load.
    pub agent: Agent,
    /// The cores of the agent and of the nodes.
    pub cpuset: CoreSets,
    /// Limits beyond which a trial is invalid.
    pub generator: GeneratorLimits,
    /// The guarantees that are judged.
    pub judged: Vec<Guarantee>,
    /// A guarantee passes only if at least this many operations could have broken it. If the trial has faults, only
    /// operations after the last one count.
    pub min_examined: MinExamined,
    /// The conditions that trials and targets must meet.
    pub expectations: Vec<Expectation>,
    /// Whether a run may skip trials whose faults are unsupported where it runs.
    pub allow_unsupported: bool,
    /// Whether a run ends with the first trial that breaches an expectation.
    pub stop_on_breach: bool,
}

impl Profile {
    /// Reads a profile by its name or by the path of its file.
    ///
    /// # Errors
    /// If the profile's file or one of its targets' files is missing or invalid.
    pub fn find(name: &str) -> Result<Self, FileError> {
        Self::from_source(&files::find(Kind::Profile, name)?)
    }

    /// Reads a profile from its file's text.
    ///
    /// # Errors
    /// Names the line and the key that is wrong, in the profile or in one of its targets.
    pub fn from_source(source: &Source) -> Result<Self, FileError> {
        file::read(source)
    }

    /// Multiplies all times by `times` and divides the rate by it: each user does the same work in less time.
    pub fn compress(&mut self, times: Share) {
        self.scale_times(times);
        if times.get() > 0.0 {
            self.load.model = self.load.model.times(1.0 / times.get());
        }
    }

    /// Multiplies all times and the number of users by `times` and keeps the rate: each user does the same work in less
    /// time.
    pub fn shorten(&mut self, times: Share) {
        self.scale_times(times);
        let fewer = |count: Within<1, 1_000_000>| {
            let fewer = (f64::from(count.get()) * times.get()).round().max(1.0);
            #[expect(clippy::cast_possible_truncation, reason = "at most a million")]
            Within::try_from(fewer as i64).unwrap_or(count)
        };
        self.sessions.count = self.sessions.count.map(fewer);
    }

    /// Multiplies the times of load, users and faults by `times`. The timeout and the overload limit stay the same.
    fn scale_times(&mut self, times: Share) {
        let Load { model, think, warm_up, duration, .. } = &mut self.load;
        for time in [warm_up, duration, &mut self.settle] {
            *time = time.times(times);
        }
        *model = model.in_time(times.get());
        *think = think.times(times.get());
        if let Some(LogOutAfter::Time(after)) = &mut self.sessions.log_out_after {
            *after = after.times(times);
        }
        for fault in &mut self.faults {
            fault.scale(times);
        }
    }

    /// The targets, without duplicates.
    #[must_use]
    pub fn targets(&self) -> Vec<&Target> {
        let mut targets: Vec<&Target> = Vec::new();
        for case in &self.cases {
            if !targets.iter().any(|target| target.name == case.target.name) {
                targets.push(&case.target);
            }
        }
        targets
    }
}
