//! The answer to a run's question in a few sentences: which targets lost how many sessions, which kept all of them, and
//! at which cost.

use crate::record::{Summary, TargetSummary, TargetVerdict};
use crate::topology::Network;

/// The targets that lost sessions, those that kept all, and their cost. Empty if nothing was measured.
pub fn answer(summary: &Summary) -> Vec<String> {
    let counts =
        |target: &&TargetSummary| !matches!(target.verdict, TargetVerdict::Unsupported) && target.sessions.created > 0;
    let (lost, kept): (Vec<&TargetSummary>, Vec<&TargetSummary>) =
        summary.targets.iter().filter(counts).partition(|target| target.sessions.lost > 0);
    let name = |target: &&TargetSummary| summary.label(target);
    let mut answer = Vec::new();
    if !lost.is_empty() {
        let losses: Vec<String> = lost.iter().map(|target| format!("{} ({})", name(target), share(target))).collect();
        answer.push(format!("Lost sessions: {}.", losses.join(", ")));
    }
    if !kept.is_empty() {
        let names: Vec<String> = kept.iter().map(name).collect();
        answer.push(format!("Kept every session: {}.", names.join(", ")));
        let wrong: Vec<String> = kept
            .iter()
            .filter(|target| target.verdict == TargetVerdict::Violated)
            .map(|target| format!("{} ({})", name(target), target.broken()))
            .collect();
        if !wrong.is_empty() {
            answer.push(format!("But broke something else: {}.", wrong.join(", ")));
        }
        let paid: Vec<String> = kept
            .iter()
            .filter(|target| target.verdict != TargetVerdict::Invalid)
            .map(|target| cost(target, &name(target)))
            .collect();
        if !paid.is_empty() {
            answer.push(format!("Their cost: {}.", paid.join("; ")));
        }
    }
    answer
}

fn share(target: &TargetSummary) -> String {
    let sessions = &target.sessions;
    match sessions.alive_of_all_lost() {
        Some(alive) => format!("{} of the {alive} alive at the fault", sessions.lost),
        None => format!("{} of {}", sessions.lost, sessions.created),
    }
}

fn cost(target: &TargetSummary, name: &str) -> String {
    let bytes = |network| target.network_bytes_per_request.get(&network).copied().unwrap_or_default();
    let shared = (bytes(Network::Cluster) + bytes(Network::Store)) / 1000.0;
    format!(
        "{name} {:.1} ms at the 99th percentile and {shared:.1} KB per operation to keep copies",
        target.response_us.p99 as f64 / 1000.0
    )
}
