//! The map of a run on several hosts: which node ran where, and what each host did. It knows no format.

use serde::Serialize;

use crate::record::Summary;

/// One host of one target, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostRow {
    /// The target.
    pub target: String,
    /// In the order of [`HOST_HEADS`].
    pub cells: [String; 4],
}

/// The heads of the cells.
pub const HOST_HEADS: [&str; 4] = ["host", "nodes", "cores busy", "KB/op sent"];

/// What the table means.
pub const HOST_NOTE: &str = "Cores that the nodes of a host kept busy in the steady phase, and what they sent into all networks, to \
    nodes of the same host too.";

/// One row for each host of each target; none where no file named hosts.
pub fn rows(summary: &Summary) -> Vec<HostRow> {
    let mut rows = Vec::new();
    for target in &summary.targets {
        for (host, figures) in &target.hosts {
            let number = |value: Option<f64>, scale: f64, digits: usize| {
                value.map_or_else(|| "–".to_owned(), |value| format!("{:.digits$}", value / scale))
            };
            let (cores, sent) = (number(figures.busy_cores, 1.0, 2), number(figures.sent_bytes_per_request, 1000.0, 1));
            rows.push(HostRow {
                target: summary.label(target),
                cells: [host.clone(), figures.nodes.join(", "), cores, sent],
            });
        }
    }
    rows
}
