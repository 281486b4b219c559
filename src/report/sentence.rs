//! What happened to a target, in one sentence: for who reads no table.

use crate::record::{CopyCounts, TargetSummary, TargetVerdict};

/// What happened to a target, in a sentence.
pub fn sentence(target: &TargetSummary, label: &str) -> String {
    if target.verdict == TargetVerdict::Unsupported {
        return format!("{label} was not tried: {}.", target.reasons.join("; "));
    }
    let sessions = &target.sessions;
    if sessions.created == 0 && target.verdict == TargetVerdict::Unknown {
        return format!("{label} was not measured: {}.", target.reasons.join("; "));
    }
    let fault = target.faults.first().map_or(String::new(), |fault| format!(" at the {fault}"));
    let mut text = match (sessions.lost, sessions.lost_before_fault, sessions.alive_at_fault) {
        (0, _, _) => format!("{label} lost none of its {} sessions", sessions.created),
        (lost, 0, Some(alive)) => {
            format!("{label} lost {lost} of the {alive} sessions that were alive{fault}, and none before")
        }
        (lost, before, Some(_)) => {
            format!("{label} lost {lost} of {} sessions, {before} of them before any fault", sessions.created)
        }
        (lost, _, None) => format!("{label} lost {lost} of {} sessions without any fault", sessions.created),
    };
    if sessions.forgotten > 0 {
        text.push_str(&format!("; {} unknown for a while", many(sessions.forgotten, "was", "were")));
    }
    let broken = target.broken();
    if !broken.is_empty() {
        text.push_str(&format!("; broke {broken}"));
    }
    let (lost, acknowledged) = (target.operations.acknowledged_writes_lost, target.operations.acknowledged_writes);
    if sessions.lost == 0 && lost > 0 {
        text.push_str(&format!("; lost {lost} of {acknowledged} acknowledged writes"));
    }
    if target.copies.disagreeing > 0 {
        let CopyCounts { sessions, disagreeing, behind, apart } = target.copies;
        text.push_str(&format!(
            "; in the end its nodes disagreed about {disagreeing} of {sessions} sessions ({behind} copies behind, {apart} gone apart)"
        ));
    }
    if target.by_counter_only {
        text.push_str("; judged by a counter alone, which cannot show a phantom or a second history");
    }
    if target.operations.indeterminate > 0 {
        let operations = many(target.operations.indeterminate, "operation", "operations");
        text.push_str(&format!("; {operations} may or may not have been applied"));
    }
    for reason in &target.reasons {
        text.push_str(&format!("; {reason}"));
    }
    text + "."
}

fn many(number: u64, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}
