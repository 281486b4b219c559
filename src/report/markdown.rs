//! `report.md`: the same table and sentences, for a page that renders Markdown.

use super::view::{Row, View};
use crate::check::Guarantee;

/// A head and what stands below it.
type Column = (&'static str, fn(&Row) -> &str);

const COLUMNS: [Column; 13] = [
    ("target", |row| &row.target),
    ("sessions live in", |row| &row.strategy),
    ("verdict", |row| &row.verdict),
    ("sessions lost / alive at the fault", |row| &row.lost),
    ("acknowledged writes lost", |row| &row.writes_lost),
    ("p50 ms", |row| &row.p50_ms),
    ("p99 ms", |row| &row.p99_ms),
    ("front KB/op", |row| &row.front_kb),
    ("cluster KB/op", |row| &row.cluster_kb),
    ("store KB/op", |row| &row.store_kb),
    ("MiB/node", |row| &row.memory_mib),
    ("skew", |row| &row.skew),
    ("last error after s", |row| &row.recovery_s),
];

/// Lays out a view as Markdown.
#[must_use]
pub fn markdown(view: &View) -> String {
    let mut text = format!("# {}\n\n", view.question);
    for notice in &view.notices {
        text.push_str(&format!("> {notice}\n\n"));
    }
    text.push_str(&format!("{}\n\n", view.outcome));
    let heads: Vec<&str> = COLUMNS.iter().map(|(head, _)| *head).collect();
    text.push_str(&format!("| {} |\n", heads.join(" | ")));
    text.push_str(&format!("| --- | --- | --- |{}\n", " ---: |".repeat(COLUMNS.len() - 3)));
    for row in &view.rows {
        let cells: Vec<&str> = COLUMNS.iter().map(|(_, cell)| cell(row)).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
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
    text.push_str("\n## What held\n\n");
    let guarantees = Guarantee::ALL.map(Guarantee::name);
    text.push_str(&format!("| target | {} |\n| --- |{}\n", guarantees.join(" | "), " --- |".repeat(guarantees.len())));
    for (target, held) in &view.held {
        text.push_str(&format!("| {target} | {} |\n", held.join(" | ")));
    }
    text.push_str("\n## What happened\n\n");
    for sentence in &view.sentences {
        text.push_str(&format!("- {sentence}\n"));
    }
    if !view.breaches.is_empty() {
        text.push_str("\n## Breached expectations\n\n");
        for breach in &view.breaches {
            text.push_str(&format!("- {breach}\n"));
        }
    }
    if !view.stories.is_empty() {
        text.push_str("\n## Some violations\n\n");
        for (target, stories) in &view.stories {
            for story in stories {
                text.push_str(&format!("- {target}: {story}\n"));
            }
        }
    }
    text.push_str(&format!("\n{}\n", view.footer));
    text
}
