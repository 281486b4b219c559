//! Profiles: what to do to targets. A file in `profiles/` becomes checked types here; what the checks
//! refuse never reaches a plan. Knows nothing of how targets are started or traffic is sent.

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
pub use sessions::{Activity, ClientAddresses, LogOutAfter, Sessions};

/// What starts on the load's schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartOf {
    /// Operations of users who are there all the time.
    #[default]
    Operations,
    /// Sessions: each start is a new user, who goes on by itself and leaves for good.
    Sessions,
}

/// When operations start, for how long, and over which connections.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Load {
    /// When.
    pub model: LoadModel,
    /// What.
    pub starts: StartOf,
    /// From an answer to the next request, where users wait for their answer.
    pub think: ThinkTime,
    /// How users share connections.
    pub connections: Connections,
    /// What happens to operations that the system is too slow for.
    pub overload: Overload,
    /// Before this, nothing counts: the first round creates the sessions.
    pub warm_up: Time,
    /// How long the load goes on after the warm-up.
    pub duration: Time,
    /// After this an operation without a complete reply is given up: indeterminate.
    pub timeout: Time,
    /// Whether the rate, and the number of sessions, are meant for each app node: the more nodes, the more load.
    pub per_node: bool,
}

/// How the agent fires.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// With how many threads.
    #[serde(default)]
    pub threads: Within<1, 64>,
    /// How starts are waited for.
    #[serde(default)]
    pub pacing: Pacing,
}

/// Where the traffic generator is no longer to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeneratorLimits {
    /// The least share of the offered operations that must have been started.
    pub rate: Share,
    /// The most that the 99th percentile of its own lateness may be.
    pub lag_p99: Time,
}

impl Default for GeneratorLimits {
    fn default() -> Self {
        Self {
            rate: Share::try_from(0.99).unwrap_or_else(|_| unreachable!("0.99 is a share")),
            lag_p99: Time::from_millis(1),
        }
    }
}

/// The least number of operations that prove something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MinExamined(Within<1, 1_000_000>);

impl MinExamined {
    /// Of what happens to every operation alike, ten show it; of what happens to one in three, ten miss it once in sixty.
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

/// A target and the numbers of app nodes with which it is tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// The target.
    pub target: Target,
    /// How many app nodes it has, one after the other.
    pub nodes: NodeCounts,
    /// Whether its nodes are processes even where a Docker engine answers.
    pub as_processes: bool,
}

/// That reference nodes may stand in for real products where no Docker engine answers, and what is different
/// then.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandIn {
    /// All times of the profile are multiplied by this: reference nodes need no time to warm up.
    pub times: Share,
}

/// What to do to targets, and what is expected of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// The file's name without its ending.
    pub name: String,
    /// The question that it answers.
    pub answers: String,
    /// The targets, in the order of the report.
    pub cases: Vec<Case>,
    /// How often each case is tried.
    pub trials: Within<1, 1000>,
    /// The virtual users.
    pub sessions: Sessions,
    /// The traffic.
    pub load: Load,
    /// What is done to the targets meanwhile, in the order of time.
    pub faults: Vec<FaultSpec>,
    /// How long a target is left alone between the end of the load and the final read.
    pub settle: Time,
    /// Whether reference nodes may stand in by themselves.
    pub stand_in: Option<StandIn>,
    /// How the agent fires.
    pub agent: Agent,
    /// Which cores the agent and the nodes have.
    pub cpuset: CoreSets,
    /// Where a trial is invalid.
    pub generator: GeneratorLimits,
    /// What is judged.
    pub judged: Vec<Guarantee>,
    /// How many operations must have been able to break a guarantee for it to pass, after the last fault where there was
    /// one.
    pub min_examined: MinExamined,
    /// What must come out.
    pub expectations: Vec<Expectation>,
    /// Whether a run may do without trials whose faults cannot be done where it runs.
    pub allow_unsupported: bool,
    /// Whether a run ends with the first trial that breaches an expectation.
    pub stop_on_breach: bool,
}

impl Profile {
    /// Reads a profile by its name or by the path of its file.
    ///
    /// # Errors
    /// A file that is missing or wrong, the profile's own or one of its targets'.
    pub fn find(name: &str) -> Result<Self, FileError> {
        Self::from_source(&files::find(Kind::Profile, name)?)
    }

    /// Reads a profile from its file's text.
    ///
    /// # Errors
    /// Names line and key of what is wrong, there or in one of its targets.
    pub fn from_source(source: &Source) -> Result<Self, FileError> {
        file::read(source)
    }

    /// The same in so many times the time: each user does as much as before, so much faster.
    pub fn compress(&mut self, times: Share) {
        self.scale_times(times);
        if times.get() > 0.0 {
            self.load.model = self.load.model.times(1.0 / times.get());
        }
    }

    /// The same in so many times the time, at the same rate: so many times the users, each of whom does as much as
    /// before.
    pub fn shorten(&mut self, times: Share) {
        self.scale_times(times);
        let fewer = |count: Within<1, 1_000_000>| {
            let fewer = (f64::from(count.get()) * times.get()).round().max(1.0);
            #[expect(clippy::cast_possible_truncation, reason = "at most a million")]
            Within::try_from(fewer as i64).unwrap_or(count)
        };
        self.sessions.count = self.sessions.count.map(fewer);
    }

    /// Everything that takes time, so many times as long.
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

    /// The targets, each once.
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
