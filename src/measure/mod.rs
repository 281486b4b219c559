//! Measurements: history and samples in, figures out. One file per kind of figure. Pure, like the checker.

mod latency;
mod resources;
mod sessions;
mod timing;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::history::{History, Phase};
use crate::target::{Network, Tier};

pub use latency::{Latency, PhaseFigures};
pub use resources::{Internals, NodeMemory};
pub use sessions::SessionCounts;
pub use timing::{GeneratorFigures, Lag};

/// What is known of a trial beside its history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Circumstances {
    /// Every node's tier, the agent's excepted.
    pub tiers: BTreeMap<String, Tier>,
    /// What each app node told of itself in the end.
    pub internals: BTreeMap<String, Internals>,
    /// Operations that the schedule asked for.
    pub offered: u64,
    /// Operations that were started.
    pub started: u64,
}

/// How operations ended, after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationCounts {
    /// A complete reply that says so.
    pub ok: u64,
    /// Certainly not applied; unknown sessions are among them.
    pub fail: u64,
    /// May have been applied.
    pub indeterminate: u64,
    /// Acknowledged writes that are gone, with their sessions or from them.
    pub acknowledged_writes_lost: u64,
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
    /// The same by phase, failures apart.
    pub phases: BTreeMap<Phase, PhaseFigures>,
    /// In the steady phase: bytes that crossed each network, per operation.
    pub network_bytes_per_request: BTreeMap<Network, f64>,
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
    /// How well the traffic generator kept its schedule.
    pub generator: GeneratorFigures,
}

/// Measures a history.
///
/// # Errors
/// When a histogram cannot be made or written down: a defect of this program.
pub fn measure(history: &History, circumstances: &Circumstances) -> Result<Measurements, String> {
    let app_nodes: Vec<&str> =
        circumstances.tiers.iter().filter(|(_, tier)| **tier == Tier::App).map(|(node, _)| node.as_str()).collect();
    Ok(Measurements {
        sessions: sessions::count(history),
        operations: sessions::count_operations(history),
        response_us: latency::responses(history)?,
        service_us: latency::services(history)?,
        phases: latency::by_phase(history)?,
        network_bytes_per_request: resources::network_bytes_per_request(history),
        cpu_us_per_request: resources::cpu_us_per_request(history, &circumstances.tiers),
        memory: resources::memory(history, circumstances, &app_nodes),
        memory_bytes_per_node: resources::resident_per_node(history, &app_nodes),
        live_heap_bytes_per_node: resources::live_heap_per_node(circumstances),
        skew: resources::skew(history, &app_nodes),
        recovery_ms: timing::recovery_ms(history),
        generator: timing::generator(history, circumstances.offered, circumstances.started),
    })
}
