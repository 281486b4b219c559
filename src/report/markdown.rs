//! `report.md`: the tables and sentences of a report, for pages that render Markdown.

use super::printable::in_markdown;
use super::side_table::SideTable;
use super::table::{AFFINITY_NOTE, RECOVERY_NOTE};
use super::view::{AffinityRow, ExpectationRow, RecoveryRow, Row, View};

/// The head of a column, and the cell of a row in it.
type Column<R> = (&'static str, fn(&R) -> &str);

const COLUMNS: [Column<Row>; 14] = [
    ("target", |row| &row.target),
    ("sessions live in", |row| &row.strategy),
    ("verdict", |row| &row.verdict),
    ("sessions lost / alive at the fault", |row| &row.lost),
    ("acknowledged writes lost", |row| &row.writes_lost),
    ("p50 ms", |row| &row.p50_ms),
    ("p99 ms, steady", |row| &row.p99_ms),
    ("p99 ms, during the fault", |row| &row.p99_fault_ms),
    ("front KB/op", |row| &row.front_kb),
    ("cluster KB/op", |row| &row.cluster_kb),
    ("store KB/op", |row| &row.store_kb),
    ("MiB/node", |row| &row.memory_mib),
    ("skew", |row| &row.skew),
    ("last error after s", |row| &row.recovery_s),
];

/// The columns of the table of faults.
const RECOVERY_COLUMNS: [Column<RecoveryRow>; 12] = [
    ("target", |row| &row.target),
    ("fault", |row| &row.fault),
    ("lost / alive, the victim's", |row| &row.lost_of_victim),
    ("lost / alive, others", |row| &row.lost_of_others),
    ("acknowledged writes lost (oldest)", |row| &row.writes_lost),
    ("in flight: ok/fail/indeterminate", |row| &row.in_flight),
    ("last error s", |row| &row.last_error_s),
    ("longest wait s", |row| &row.gap_s),
    ("success back s", |row| &row.success_back),
    ("p99 back s", |row| &row.p99_back),
    ("balancer: down from, to s", |row| &row.marked_s),
    ("catch-up KB", |row| &row.catch_up_kb),
];

/// The columns of the table of sessions that are bound to a node.
const AFFINITY_COLUMNS: [Column<AffinityRow>; 6] = [
    ("target", |row| &row.target),
    ("fault", |row| &row.fault),
    ("requests answered elsewhere", |row| &row.breaks),
    ("sessions moved, the victim's", |row| &row.moved_of_victim),
    ("sessions moved, others", |row| &row.moved_of_others),
    ("moved by the heal", |row| &row.moved_by_heal),
];

/// A table whose first `words` columns are text; the others are numbers and aligned right.
fn table<R>(columns: &[Column<R>], words: usize, rows: &[R]) -> String {
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let numbers = columns.len().saturating_sub(words);
    let mut text = format!("| {} |\n|{}{}\n", heads.join(" | "), " --- |".repeat(words), " ---: |".repeat(numbers));
    for row in rows {
        let cells: Vec<String> = columns.iter().map(|(_, cell)| in_markdown(cell(row))).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

fn side_table(table: &SideTable) -> String {
    let heads: Vec<&str> = table.heads.iter().map(|head| head.text).collect();
    let rules: String = table.heads.iter().map(|head| if head.is_of_words { " --- |" } else { " ---: |" }).collect();
    let mut text = format!("| target | {} |\n| --- |{rules}\n", heads.join(" | "));
    for row in &table.rows {
        let cells: Vec<String> = row.cells.iter().map(|cell| in_markdown(cell)).collect();
        text.push_str(&format!("| {} | {} |\n", in_markdown(&row.target), cells.join(" | ")));
    }
    text
}

/// Renders a view as Markdown.
#[must_use]
pub fn markdown(view: &View) -> String {
    let mut text = format!("# {}\n\n", view.question);
    for notice in &view.notices {
        text.push_str(&format!("> {}\n\n", in_markdown(notice)));
    }
    text.push_str(&format!("{}\n\n", view.outcome));
    if !view.answer.is_empty() {
        text.push_str(&format!("{}\n\n", in_markdown(&view.answer.join(" "))));
    }
    text.push_str(&table(&COLUMNS, 3, &view.rows));
    for scaling in &view.scaling {
        text.push_str(&format!(
            "\n## {} against its number of nodes\n\nClaimed are {}.\n\n",
            scaling.target, scaling.claim
        ));
        text.push_str("| nodes | measured KB/op | predicted KB/op | ratio | p50 ms | p99 ms | MiB/node |\n");
        text.push_str("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
        for row in &scaling.rows {
            text.push_str(&format!("| {} |\n", row.cells().join(" | ")));
        }
        text.push_str(&format!("\nFitted: {}.\n", scaling.fit));
    }
    if !view.recoveries.is_empty() {
        let table = table(&RECOVERY_COLUMNS, 2, &view.recoveries);
        text.push_str(&format!("\n## What each fault did\n\n{table}\n{RECOVERY_NOTE}\n"));
    }
    if !view.affinity.is_empty() {
        let table = table(&AFFINITY_COLUMNS, 2, &view.affinity);
        text.push_str(&format!("\n## Which sessions moved to another node\n\n{table}\n{AFFINITY_NOTE}\n"));
    }
    for table in &view.side_tables {
        text.push_str(&format!("\n## {}\n\n{}\n{}\n", table.title, side_table(table), table.note));
    }
    text.push_str("\n## What held\n\n");
    let guarantees = &view.guarantees;
    text.push_str(&format!("| target | {} |\n| --- |{}\n", guarantees.join(" | "), " --- |".repeat(guarantees.len())));
    for (target, held) in &view.held {
        text.push_str(&format!("| {} | {} |\n", in_markdown(target), held.join(" | ")));
    }
    text.push_str("\n## What happened\n\n");
    for sentence in &view.sentences {
        text.push_str(&format!("- {}\n", in_markdown(sentence)));
    }
    if !view.expectations.is_empty() {
        text.push_str("\n## Expectations\n\n| target | expected | seen | |\n| --- | --- | --- | --- |\n");
        for ExpectationRow { target, expected, seen, met } in &view.expectations {
            let verdict = if *met { "met" } else { "**breached**" };
            let (target, seen) = (in_markdown(target), in_markdown(seen));
            text.push_str(&format!("| {target} | `{expected}` | {seen} | {verdict} |\n"));
        }
    }
    if !view.examples.is_empty() {
        text.push_str("\n## Some violations\n\n");
        for (target, examples) in &view.examples {
            for example in examples {
                text.push_str(&format!("- {}: {}\n", in_markdown(target), in_markdown(example)));
            }
        }
    }
    text.push_str(&format!("\n{}\n", view.footer));
    text
}
