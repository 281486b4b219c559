//! The agents of a run that had several: what each sent, and how exactly they started together.

use super::side_table::{Head, SideRow, SideTable};
use crate::record::Summary;

/// One row for each agent of each target; none where there was one.
pub fn table(summary: &Summary) -> SideTable {
    let mut rows = Vec::new();
    for target in &summary.targets {
        for agent in &target.agents {
            let generator = &agent.generator;
            rows.push(SideRow {
                target: summary.label(target),
                cells: vec![
                    agent.name.clone(),
                    agent.host.clone().unwrap_or_else(|| "–".to_owned()),
                    format!("{}/{}", generator.started, generator.offered),
                    format!("{:.1}", generator.lag.p99_us as f64 / 1000.0),
                    format!("{:.0} %", generator.busiest_core * 100.0),
                    format!("{:.2}", agent.starts_apart_us as f64 / 1000.0),
                ],
            });
        }
    }
    SideTable {
        title: "Who sent the load",
        heads: vec![
            Head::words("agent"),
            Head::words("host"),
            Head::numbers("operations started", "operations\nstarted"),
            Head::numbers("late at p99, ms", "late at\np99, ms"),
            Head::numbers("busiest core", "busiest\ncore"),
            Head::numbers("starts apart by at most, ms", "apart by at\nmost, ms"),
        ],
        note: "Each agent has its own users. Starts are apart by how late an agent was, and by the error with which its clock \
            can be compared with the first agent's. Over several trials, the worst of each.",
        rows,
    }
}
