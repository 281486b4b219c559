//! One rate, and for a while another: a campaign, a match that begins, everyone who comes back after an outage.

use serde::{Deserialize, Serialize};

use super::{ConstantRate, Piece};

/// A rate with a peak.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spike {
    /// Operations a second before and after.
    pub rate: f64,
    /// Operations a second meanwhile.
    pub peak: f64,
    /// When the peak begins, in nanoseconds.
    pub at_ns: u64,
    /// How long it lasts, in nanoseconds.
    pub length_ns: u64,
}

impl Spike {
    /// Before, meanwhile and after, as far as they lie within `length_ns`.
    #[must_use]
    pub fn pieces(&self, length_ns: u64) -> Vec<(Piece, u64)> {
        let begin = self.at_ns.min(length_ns);
        let end = self.at_ns.saturating_add(self.length_ns).min(length_ns);
        let parts = [(self.rate, begin), (self.peak, end - begin), (self.rate, length_ns - end)];
        let parts = parts.into_iter().filter(|(_, length)| *length > 0);
        parts.map(|(rate, length)| (Piece::ConstantRate(ConstantRate::new(rate)), length)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_stands_between_two_stretches_of_the_usual_rate() {
        let pieces = |length| Spike { rate: 1.0, peak: 9.0, at_ns: 10, length_ns: 5 }.pieces(length);
        let rate = |rate| Piece::ConstantRate(ConstantRate::new(rate));
        assert_eq!(pieces(30), [(rate(1.0), 10), (rate(9.0), 5), (rate(1.0), 15)]);
        assert_eq!(pieces(12), [(rate(1.0), 10), (rate(9.0), 2)]);
    }
}
