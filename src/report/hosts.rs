//! The map of a run on several hosts: which node ran where, and what each host did.

use super::side_table::{Head, SideRow, SideTable};
use crate::record::Summary;

/// One row for each host of each target; none where no file named hosts.
pub fn table(summary: &Summary) -> SideTable {
    let mut rows = Vec::new();
    for target in &summary.targets {
        for (host, figures) in &target.hosts {
            let number = |value: Option<f64>, scale: f64, digits: usize| {
                value.map_or_else(|| "–".to_owned(), |value| format!("{:.digits$}", value / scale))
            };
            let (cores, sent) = (number(figures.busy_cores, 1.0, 2), number(figures.sent_bytes_per_request, 1000.0, 1));
            rows.push(SideRow {
                target: summary.label(target),
                cells: vec![host.clone(), figures.nodes.join(", "), cores, sent],
            });
        }
    }
    SideTable {
        title: "Where the nodes ran",
        heads: vec![
            Head::words("host"),
            Head::words("nodes"),
            Head::numbers("cores busy", "cores busy"),
            Head::numbers("KB/op sent", "KB/op sent"),
        ],
        note: "Cores that the nodes of a host kept busy in the steady phase, and what they sent into all networks, to nodes of \
            the same host too.",
        rows,
    }
}
