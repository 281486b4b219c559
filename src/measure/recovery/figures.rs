//! The figures of one fault after a trial: plain data.

use serde::{Deserialize, Serialize};

use super::{Back, CatchUp};
use crate::measure::Latency;

/// Sessions by whether the victim had answered them last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ByVictim {
    /// Those that the victim had answered last.
    pub of_victim: u64,
    /// All others.
    pub of_others: u64,
}

impl ByVictim {
    /// The sum of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { of_victim: self.of_victim + other.of_victim, of_others: self.of_others + other.of_others }
    }

    pub(super) fn count(&mut self, is_of_victim: bool) {
        *(if is_of_victim { &mut self.of_victim } else { &mut self.of_others }) += 1;
    }
}

/// Sessions that were alive at a fault and answered from then on, and how many of them another node answered. Behind a balancer
/// that hashes, this is the cost of the hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rebound {
    /// Those that were answered after the order.
    pub seen: ByVictim,
    /// Those that another node answered between the order and the heal.
    pub by_fault: ByVictim,
    /// Those that another node answered after the heal than before it, such as when they go back.
    pub by_heal: ByVictim,
}

impl Rebound {
    /// The share of sessions that the fault moved; `None` where none was answered.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let of_all = |count: ByVictim| count.of_victim + count.of_others;
        (of_all(self.seen) > 0).then(|| of_all(self.by_fault) as f64 / of_all(self.seen) as f64)
    }
}

/// What became of requests that were under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InFlight {
    /// Answered as if nothing had happened.
    pub ok: u64,
    /// Certainly not applied.
    pub fail: u64,
    /// Nobody knows.
    pub indeterminate: u64,
}

/// What a trial says of a fault, and a summary over all trials too. Times are from the instant at which the fault was ordered,
/// in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RecoveryFigures {
    /// What was done.
    pub fault: String,
    /// To whom.
    pub node: String,
    /// How, where there is more to say than its name; empty otherwise.
    #[serde(default)]
    pub detail: String,
    /// Whether another fault went on at the same time, so that these figures are those of both.
    pub overlaps: bool,
    /// Until it was seen to be undone.
    pub healed_ms: Option<u64>,
    /// Until the balancer marked the node down, where it tells and did.
    pub marked_down_ms: Option<u64>,
    /// Until the balancer marked it up again, where it tells and had to.
    pub marked_up_ms: Option<u64>,
    /// Until the first operation that did not end well ended; none if all ended well.
    pub first_error_ms: Option<u64>,
    /// Until the last one.
    pub last_error_ms: Option<u64>,
    /// Until the first operation that began after the order ended well.
    pub first_success_ms: Option<u64>,
    /// Until the share of operations that ended well was back in the steady band.
    pub success: Back,
    /// Until the 99th percentile of the response times was.
    pub p99: Back,
    /// Sessions that were alive, as far as their users knew.
    pub alive: ByVictim,
    /// Those of them that were lost in the fault's scope.
    pub lost: ByVictim,
    /// Acknowledged writes that are gone by it.
    pub acknowledged_writes_lost: u64,
    /// How old the oldest of them was.
    pub oldest_lost_write_ms: Option<u64>,
    /// Requests that were under way at the order, and what became of them.
    pub in_flight: InFlight,
    /// Sessions that it moved to other nodes; none in a record that does not say so.
    #[serde(default)]
    pub rebound: Option<Rebound>,
    /// What nodes exchanged beyond the usual once the fault was being undone; none where that was not measured.
    pub catch_up: Option<CatchUp>,
}

/// Effects of one fault in one trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Figures that a summary over all trials has, too.
    #[serde(flatten)]
    pub figures: RecoveryFigures,
    /// Until the fault was seen to take effect, by the runtime's timestamp if there is one.
    pub injected_ms: Option<u64>,
    /// The longest wait of each user whose session was alive, until an operation or a new log-in ended well.
    pub gap_us: Latency,
    /// Alive sessions that the fault could hurt: those of its node, or those of all nodes.
    #[serde(default)]
    pub exposed: u64,
}
