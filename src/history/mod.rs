//! The history: everything that happened in a trial. Operations come from the agent, faults from the driver; both use
//! nanoseconds from the start of the load. Verdicts and figures come from the history alone, so that an old run can be
//! judged again from its files.
//!
//! Operations exist in three forms: [`Operation`], which all code uses; [`compact`], a few bytes each, which the agent
//! keeps during the load; and the columns of a [`file`], which other tools can read.

pub mod compact;
mod digest;
mod fault_record;
pub mod file;
mod generator_health;
mod operation;
mod owners;
mod sample;
mod session_history;
mod session_outcome;
mod tails;
#[cfg(test)]
mod testing;

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use digest::{EMPTY_DIGEST, append_to_digest};
pub use fault_record::{EVERY_APP_NODE, FaultRecord, FaultStep};
pub use file::{FORMAT_VERSION, HistoryError, SessionHistories, Writer, merge};
pub use generator_health::{AgentHealth, GeneratorHealth};
pub use operation::{
    Answer, ErrorKind, Identity, MAX_TAIL, Moved, Operation, OperationId, OperationKind, Order, Outcome, Payload,
    State, TAIL, Tail, Times,
};
pub use owners::Owners;
pub use sample::{LinkSample, NodeSample, Traffic};
pub use session_history::{MAX_OPERATIONS, SessionHistory};
pub(crate) use session_outcome::earliest;
pub use session_outcome::{LogOut, SessionOutcome};

/// Histograms have room for latencies up to this from the start; they grow for longer ones.
pub const HIGHEST_LATENCY_US: u64 = 60_000_000;

/// A phase of a trial. An operation belongs to the phase in which it was scheduled to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Operations do not count yet.
    WarmUp,
    /// After the warm-up, before the first fault.
    Steady,
    /// From the order of a fault until it is healed.
    Fault,
    /// From the heal to the next fault or the end of the load.
    Recovery,
    /// After the load: settling and final read.
    Final,
}

impl Phase {
    /// All phases, in the order of time.
    pub const ALL: [Self; 5] = [Self::WarmUp, Self::Steady, Self::Fault, Self::Recovery, Self::Final];

    /// The name in files and expectations.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::WarmUp => "warm-up",
            Self::Steady => "steady",
            Self::Fault => "fault",
            Self::Recovery => "recovery",
            Self::Final => "final",
        }
    }
}

/// How long it took until states stopped changing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// How many rounds of reads there were.
    pub rounds: u32,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Whether the last round showed nothing that an earlier one had not shown.
    pub has_settled: bool,
}

impl Settled {
    /// Of two agents, each with its own sessions.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            rounds: self.rounds.max(other.rounds),
            took_ms: self.took_ms.max(other.took_ms),
            has_settled: self.has_settled && other.has_settled,
        }
    }
}

/// When sessions end by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// How long after its last request, in nanoseconds.
    pub after_ns: u64,
    /// How much sooner or later it may be, in nanoseconds.
    pub tolerance_ns: u64,
}

/// The faults of a trial, the length of its warm-up and the end of its load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// All faults, in the order of injection.
    pub faults: Vec<FaultRecord>,
    /// The length of the warm-up.
    pub warm_up: Duration,
    /// The end of the load, from its start.
    pub load_end: Duration,
    /// When sessions end by themselves; `None` where nobody has told the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Expiry>,
    /// Whether users log out while a request of the session is in flight, so that only such log-outs count.
    #[serde(default)]
    pub log_outs_overtake: bool,
    /// Whose users are devices of one owner.
    #[serde(default, skip_serializing_if = "Owners::are_the_users")]
    pub owners: Owners,
}

impl Timeline {
    /// When the first fault that landed was ordered; `None` if none landed.
    #[must_use]
    pub fn first_injection_ns(&self) -> Option<u64> {
        self.faults.iter().filter_map(FaultRecord::effective_from_ns).min()
    }

    /// The phase to which an instant belongs.
    #[must_use]
    pub fn phase_at(&self, at_ns: u64) -> Phase {
        if at_ns < nanos(self.warm_up) {
            return Phase::WarmUp;
        }
        if at_ns >= nanos(self.load_end) {
            return Phase::Final;
        }
        let active = |fault: &&FaultRecord| {
            fault.effective_from_ns().is_some_and(|from| from <= at_ns) && fault.healed_ns.is_none_or(|to| at_ns < to)
        };
        if self.faults.iter().any(|fault| active(&fault)) {
            return Phase::Fault;
        }
        if self.first_injection_ns().is_some_and(|first| first <= at_ns) { Phase::Recovery } else { Phase::Steady }
    }

    /// The span of events attributed to a fault that landed: from its order to the next fault ordered after its heal,
    /// or to the end.
    #[must_use]
    pub fn scope_ns(&self, fault: &FaultRecord) -> Option<Range<u64>> {
        let from = fault.effective_from_ns()?;
        let healed = fault.healed_ns.unwrap_or(u64::MAX);
        let others = self.faults.iter().filter_map(FaultRecord::effective_from_ns);
        let end = others.filter(|other| *other > from && *other >= healed).min().unwrap_or(u64::MAX);
        Some(from..end)
    }

    /// From the first fault until the last one was healed; `None` if no fault landed.
    #[must_use]
    pub fn faults_ns(&self) -> Option<Range<u64>> {
        let first = self.first_injection_ns()?;
        let landed = self.faults.iter().filter(|fault| fault.injected_ns.is_some());
        let healed = landed.map(|fault| fault.healed_ns.unwrap_or(u64::MAX)).max()?;
        Some(first..healed.max(first))
    }

    /// The start and the end of the steady phase.
    #[must_use]
    pub fn steady_ns(&self) -> (u64, u64) {
        let end = nanos(self.load_end);
        (nanos(self.warm_up), self.first_injection_ns().unwrap_or(end).min(end))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_belongs_to_the_phase_that_the_faults_make() {
        let mut fault = FaultRecord::planned("kill", "app-1");
        fault.injected_ns = Some(5_000_000_000);
        fault.healed_ns = Some(8_000_000_000);
        let timeline = Timeline {
            faults: vec![fault],
            warm_up: Duration::from_secs(2),
            load_end: Duration::from_secs(10),
            ..Timeline::default()
        };
        let phases: Vec<Phase> = [1, 2, 5, 8, 10].map(|second| timeline.phase_at(second * 1_000_000_000)).into();
        assert_eq!(phases, Phase::ALL);
        assert_eq!(timeline.steady_ns(), (2_000_000_000, 5_000_000_000));
    }
}
