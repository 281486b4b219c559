//! The result of a target in one sentence, for readers who skip the table.

use super::view::shown_of;
use crate::check::Guarantee;
use crate::measure::SessionCounts;
use crate::record::{CopyCounts, TargetSummary, TargetVerdict};

/// The result of a target in one sentence.
pub fn sentence(target: &TargetSummary, label: &str) -> String {
    if target.verdict == TargetVerdict::Unsupported {
        return format!("{label} was not tried: {}.", target.reasons.join("; "));
    }
    let sessions = &target.sessions;
    if sessions.created == 0 && target.verdict == TargetVerdict::Unknown {
        return format!("{label} was not measured: {}.", target.reasons.join("; "));
    }
    let fault = target.faults.first().map_or(String::new(), |fault| format!(" at the {fault}"));
    let SessionCounts { created, lost, .. } = sessions;
    let mut text = match (lost, sessions.alive_of_all_lost()) {
        (0, _) => format!("{label} lost none of its {created} sessions"),
        (_, Some(alive)) => {
            format!("{label} lost {lost} of the {alive} sessions that were alive{fault}, and none before")
        }
        (_, None) if sessions.alive_at_fault.is_none() => {
            format!("{label} lost {lost} of {created} sessions without any fault")
        }
        (_, None) => {
            let before = match sessions.lost_before_fault {
                0 => "none".to_owned(),
                before => before.to_string(),
            };
            format!("{label} lost {lost} of {created} sessions, {before} of them before any fault")
        }
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
    let judged = target.guarantees.len();
    let shown = shown_of(target);
    if judged > 0 && judged < shown.len() {
        let left_out = shown.iter().filter(|guarantee| !target.guarantees.contains_key(guarantee));
        let left_out = left_out.map(|guarantee| guarantee.name()).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("; {judged} of {} guarantees were judged, not {left_out}", shown.len()));
    }
    // Of an app that shows neither, the guarantees above say which of them are not judged.
    if target.by_counter_only && target.guarantees.contains_key(&Guarantee::ReadYourWrites) {
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
