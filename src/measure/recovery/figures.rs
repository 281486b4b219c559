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
    pub(super) fn count(&mut self, is_of_victim: bool) {
        *(if is_of_victim { &mut self.of_victim } else { &mut self.of_others }) += 1;
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RecoveryFigures {
    /// What was done.
    pub fault: String,
    /// To whom.
    pub node: String,
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
    /// What nodes exchanged beyond the usual once the fault was being undone; none where that was not measured.
    pub catch_up: Option<CatchUp>,
}

/// Effects of one fault in one trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
