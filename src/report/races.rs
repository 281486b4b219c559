//! The table of races: how often a request that a log-out, a log-in or a change of the id overtook undid it.

use super::side_table::{Head, SideRow, SideTable};
use crate::measure::{Race, Races};
use crate::record::Summary;

/// One row for each target in which anything was overtaken.
pub fn table(summary: &Summary) -> SideTable {
    let raced = summary.targets.iter().filter(|target| !target.races.is_empty());
    SideTable {
        title: "What overtaken requests undid",
        heads: vec![
            Head::numbers("log-outs over a write undone", "log-outs\nundone"),
            Head::numbers("over reads", "over\nreads"),
            Head::numbers("log-ins over a write lost", "log-ins\nlost"),
            Head::numbers("over reads", "over\nreads"),
            Head::numbers("old id good after the log-in", "old id good\nat log-in"),
            Head::numbers("after a later change", "after a\nchange"),
            Head::numbers("writes under that change lost", "its writes\nlost"),
        ],
        note: "Of the changes that overtook a request of the same session, how many that request undid: sessions that answered \
            after their log-out, users who were visitors again after their log-in, ids that still led to the session after they \
            had been changed, and acknowledged writes that went with the old id.",
        rows: raced
            .map(|target| SideRow { target: summary.label(target), cells: cells(&target.races).into() })
            .collect(),
    }
}

/// Undone of tried.
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
