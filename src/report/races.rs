//! The table of races: how often a request that a log-out, a log-in or a change of the id overtook undid it. It knows no format.

use serde::Serialize;

use crate::measure::{Race, Races};
use crate::record::Summary;

/// The races of one target, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RaceRow {
    /// The target.
    pub target: String,
    /// Undone of tried, in the order of [`RACE_HEADS`].
    pub cells: [String; 7],
}

/// The heads of the cells.
pub const RACE_HEADS: [&str; 7] = [
    "log-outs over a write undone",
    "over reads",
    "log-ins over a write lost",
    "over reads",
    "old id good after the log-in",
    "after a later change",
    "writes under that change lost",
];

/// What the table means.
pub const RACE_NOTE: &str = "Of the changes that overtook a request of the same session, how many that request undid: sessions that answered \
    after their log-out, users who were visitors again after their log-in, ids that still led to the session after they had been \
    changed, and acknowledged writes that went with the old id.";

/// One row for each target in which anything was overtaken.
pub fn rows(summary: &Summary) -> Vec<RaceRow> {
    let raced = summary.targets.iter().filter(|target| !target.races.is_empty());
    raced.map(|target| RaceRow { target: summary.label(target), cells: cells(&target.races) }).collect()
}

fn cells(races: &Races) -> [String; 7] {
    [
        races.log_outs_over_writes,
        races.log_outs_over_reads,
        races.log_ins_over_writes,
        races.log_ins_over_reads,
        races.old_ids_after_log_ins,
        races.old_ids_after_changes,
        races.writes_under_changes,
    ]
    .map(cell)
}

/// `3/91`, or a dash where it was never tried.
fn cell(race: Race) -> String {
    let Race { tried, undone } = race;
    if tried == 0 { "–".to_owned() } else { format!("{undone}/{tried}") }
}
