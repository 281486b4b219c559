//! What crossed between hosts, by the pair of hosts.

use super::side_table::{Head, SideRow, SideTable};
use crate::record::Summary;

/// One row for each pair of hosts of each target, the busiest first; none where no file named hosts.
pub fn table(summary: &Summary) -> SideTable {
    let mut rows = Vec::new();
    for target in &summary.targets {
        let mut links: Vec<_> = target.links.iter().collect();
        links.sort_by(|one, other| other.bytes_per_request.total_cmp(&one.bytes_per_request));
        for link in links {
            let sent = format!("{:.2}", link.bytes_per_request / 1000.0);
            rows.push(SideRow { target: summary.label(target), cells: vec![link.from.clone(), link.to.clone(), sent] });
        }
    }
    SideTable {
        title: "What crossed between hosts",
        heads: vec![Head::words("from"), Head::words("to"), Head::numbers("KB/op", "KB/op")],
        note: "In the steady phase, with the headers of Ethernet, IP and TCP. An overlay adds 50 bytes to each packet.",
        rows,
    }
}
