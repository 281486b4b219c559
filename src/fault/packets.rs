//! Partition, loss and reject: packets between a node and others are dropped, all or a share, or answered with a reset.

use super::network::Rules;
use crate::history::{FaultKind, Packets};

/// None arrives.
pub fn partition(packets: &Packets) -> Rules<'_> {
    Rules { kind: FaultKind::Partition, packets, rule: "-j DROP".to_owned(), is_total: true }
}

/// A share does not arrive.
pub fn loss(packets: &Packets, share: f64) -> Rules<'_> {
    let rule = format!("-m statistic --mode random --probability {share} -j DROP");
    Rules { kind: FaultKind::Loss, packets, rule, is_total: share >= 1.0 }
}

/// Connections are reset.
pub fn reject(packets: &Packets) -> Rules<'_> {
    let rule = "-p tcp -j REJECT --reject-with tcp-reset".to_owned();
    Rules { kind: FaultKind::Reject, packets, rule, is_total: true }
}
