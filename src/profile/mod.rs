//! Profiles: what to do to targets. A file in `profiles/` becomes checked types here; what the checks
//! refuse never reaches a plan. Knows nothing of how targets are started or traffic is sent.

mod file;
mod values;

use serde::{Deserialize, Serialize};

use crate::check::Guarantee;
use crate::expect::Expectation;
use crate::files::{self, FileError, Kind};
use crate::history::FaultKind;
use crate::load::LoadModel;
use crate::target::Target;

pub use values::{AppNodes, NodeCounts, Rate, Share, Time, Within};

/// Which client addresses the sessions come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAddresses {
    /// All from one: everyone behind the same gateway.
    One,
    /// Each from its own, up to the number of addresses that the front network holds.
    PerSession,
}

/// The virtual users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// How many are there at once.
    pub count: Within<1, 100_000>,
    /// What a session holds beside its state, written once when it is created.
    pub payload_bytes: Within<0, 4_194_304>,
    /// The share of reads among the operations; the others are writes.
    pub read_share: Share,
    /// Where they come from.
    #[serde(default = "per_session")]
    pub client_addresses: ClientAddresses,
    /// How many operations of one session start at the same instant, as a page that loads its parts.
    #[serde(default = "one_at_once")]
    pub at_once: Within<1, 64>,
    /// After so many operations a user logs out, comes back once with the old cookies, and logs in again; never
    /// without.
    #[serde(default)]
    pub log_out_after: Option<Within<2, 1_000_000_000>>,
}

fn one_at_once() -> Within<1, 64> {
    Within::try_from(1).unwrap_or_else(|_| unreachable!("1 is within 1 to 64"))
}

fn per_session() -> ClientAddresses {
    ClientAddresses::PerSession
}

/// When operations start, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Load {
    /// The schedule.
    pub model: LoadModel,
    /// Before this, nothing counts: the first round creates the sessions.
    pub warm_up: Time,
    /// How long the load goes on after the warm-up.
    pub duration: Time,
    /// After this an operation without a complete reply is given up: indeterminate.
    pub timeout: Time,
    /// Whether the rate, and the number of sessions, are meant for each app node: the more nodes, the more load.
    pub per_node: bool,
}

/// A fault, as a profile asks for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultSpec {
    /// What is done.
    pub kind: FaultKind,
    /// To whom.
    pub node: NodeChoice,
    /// When, from the end of the warm-up.
    pub at: Time,
    /// How long after the injection it is undone.
    pub heal_after: Time,
}

/// Which node a fault hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum NodeChoice {
    /// One app node, drawn with the plan's seed.
    Random,
    /// The node of this name.
    Named(String),
}

impl From<String> for NodeChoice {
    fn from(text: String) -> Self {
        if text == "random" { Self::Random } else { Self::Named(text) }
    }
}

impl From<NodeChoice> for String {
    fn from(choice: NodeChoice) -> Self {
        match choice {
            NodeChoice::Random => "random".to_owned(),
            NodeChoice::Named(name) => name,
        }
    }
}

/// Where the traffic generator is no longer to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorLimits {
    /// The least share of the offered operations that must have been started.
    pub rate: Share,
    /// The most that the 99th percentile of its own lateness may be.
    pub lag_p99: Time,
}

impl Default for GeneratorLimits {
    fn default() -> Self {
        Self {
            rate: Share::try_from(0.95).unwrap_or_else(|_| unreachable!("0.95 is a share")),
            lag_p99: Time::from_millis(50),
        }
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
    /// Where a trial is invalid.
    pub generator: GeneratorLimits,
    /// What is judged.
    pub judged: Vec<Guarantee>,
    /// What must come out.
    pub expectations: Vec<Expectation>,
}

impl Profile {
    /// Reads a profile by its name or by the path of its file.
    ///
    /// # Errors
    /// A file that is missing or wrong, the profile's own or one of its targets'.
    pub fn find(name: &str) -> Result<Self, FileError> {
        file::read(&files::find(Kind::Profile, name)?)
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
