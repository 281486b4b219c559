//! Extra traffic among nodes when a node comes back: a member of a cluster fetches the data that it has missed.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::history::FaultRecord;
use crate::measure::resources::Sampled;
use crate::topology::Network;

/// A rate up to this multiple of the mean steady rate counts as usual.
const TOLERANCE: f64 = 1.25;
/// A rate up to this always counts as usual: idle members exchange that much.
const MIN_BYTES_PER_SECOND: f64 = 20_000.0;

/// What was exchanged on the cluster and store networks from the beginning of a heal until that was as usual again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CatchUp {
    /// Bytes beyond the usual.
    pub bytes: u64,
    /// Until it was as usual, in milliseconds from the beginning of the heal; to the second.
    pub ms: u64,
}

/// Returns `None` if the fault was not healed, or if no second of the steady phase has samples of these networks.
pub fn of(fault: &FaultRecord, scope: &Range<u64>, sampled: Sampled<'_>) -> Option<CatchUp> {
    let heal_ns = fault.heal_ordered_ns?;
    let healed_ns = fault.healed_ns?;
    let (from, to) = sampled.timeline.steady_ns();
    let seconds = exchanged(sampled);
    let steady: Vec<f64> =
        seconds.iter().filter(|one| from <= one.from_ns && one.to_ns <= to).map(Second::rate).collect();
    if steady.is_empty() {
        return None;
    }
    let usual = steady.iter().sum::<f64>() / steady.len() as f64;
    let (mut bytes, mut end_ns) = (0.0, heal_ns);
    for second in seconds.iter().filter(|one| one.to_ns > heal_ns && one.to_ns <= scope.end) {
        let is_usual = second.rate() <= (usual * TOLERANCE).max(MIN_BYTES_PER_SECOND);
        if is_usual && second.from_ns >= healed_ns {
            break;
        }
        if !is_usual {
            bytes += second.bytes - usual * second.seconds();
            end_ns = second.to_ns;
        }
    }
    Some(CatchUp { bytes: to_whole(bytes), ms: (end_ns - heal_ns) / 1_000_000 })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, and never less than none")]
fn to_whole(bytes: f64) -> u64 {
    bytes.max(0.0) as u64
}

/// Bytes that all nodes sent in one second.
struct Second {
    from_ns: u64,
    to_ns: u64,
    bytes: f64,
}

impl Second {
    fn seconds(&self) -> f64 {
        (self.to_ns - self.from_ns) as f64 / 1e9
    }

    fn rate(&self) -> f64 {
        self.bytes / self.seconds()
    }
}

/// Bytes sent, by second. The bytes between two samples of the same start of a node, in which counters only grow, are
/// assigned to the second of the later sample.
fn exchanged(sampled: Sampled<'_>) -> Vec<Second> {
    const SECOND_NS: u64 = 1_000_000_000;
    let at = |unix_ns: u64| unix_ns.saturating_sub(sampled.started_unix_ns);
    let sent =
        |network: &Network, of: &crate::history::NodeSample| of.networks.get(network).map(|traffic| traffic.sent_bytes);
    let mut by_second: BTreeMap<u64, f64> = BTreeMap::new();
    let mut last: BTreeMap<(&str, u32), &crate::history::NodeSample> = BTreeMap::new();
    for sample in sampled.samples {
        let before = last.insert((&sample.node, sample.starts), sample);
        let Some(before) = before.filter(|before| before.unix_ns < sample.unix_ns) else { continue };
        for network in [Network::Cluster, Network::Store] {
            if let Some((now, then)) = sent(&network, sample).zip(sent(&network, before)) {
                *by_second.entry(at(sample.unix_ns) / SECOND_NS).or_default() += now.saturating_sub(then) as f64;
            }
        }
    }
    by_second
        .into_iter()
        .map(|(second, bytes)| Second { from_ns: second * SECOND_NS, to_ns: (second + 1) * SECOND_NS, bytes })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::history::{NodeSample, Timeline, Traffic};

    #[test]
    fn extra_traffic_counts_until_the_rate_is_usual_again() {
        let second = 1_000_000_000;
        let fault = FaultRecord {
            injected_ns: Some(5 * second),
            heal_ordered_ns: Some(7 * second),
            healed_ns: Some(8 * second),
            ..FaultRecord::planned("kill", "app-2")
        };
        // The usual rate is 100 KB per second; in seconds 8 and 9 it is 1 MB.
        let mut total = 0;
        let samples: Vec<NodeSample> = (0..12)
            .map(|at| {
                total += if (8..10).contains(&at) { 1_000_000 } else { 100_000 };
                let traffic = Traffic { received_bytes: 0, sent_bytes: total };
                NodeSample {
                    node: "app-1".into(),
                    unix_ns: at * second + second / 2,
                    starts: 1,
                    resident_bytes: None,
                    cpu_ns: None,
                    networks: [(Network::Cluster, traffic)].into(),
                }
            })
            .collect();
        let timeline = Timeline {
            faults: vec![fault.clone()],
            warm_up: Duration::from_secs(1),
            load_end: Duration::from_secs(12),
            ..Timeline::default()
        };
        let sampled = Sampled { samples: &samples, started_unix_ns: 0, timeline: &timeline };
        let caught_up = of(&fault, &(5 * second..u64::MAX), sampled).unwrap();
        assert_eq!(caught_up, CatchUp { bytes: 1_800_000, ms: 3000 });
        assert_eq!(of(&fault, &(5 * second..u64::MAX), Sampled { samples: &[], ..sampled }), None);
    }
}
