//! One rate with a temporary peak: a campaign, the start of a match, or the return of all users after an outage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConstantRate, Model, Piece, scaled, seconds};
use crate::parameters::BadParameter;
use crate::values::{Lasting, Rate, Time};

/// A rate with a peak.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spike {
    /// Operations a second before and after.
    pub rate: f64,
    /// Operations a second during the peak.
    pub peak: f64,
    /// When the peak begins, in nanoseconds.
    pub at_ns: u64,
    /// How long it lasts, in nanoseconds.
    pub length_ns: u64,
}

/// The keys of `[load]`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub struct Keys {
    /// Operations a second before and after.
    rate: Rate,
    /// The rate meanwhile.
    peak: Rate,
    /// When it begins.
    at: Time,
    /// How long it lasts.
    #[serde(rename = "for")]
    lasts: Lasting,
}

impl Model for Spike {
    type Keys = Keys;
    const NAME: &'static str = "spike";
    const DESCRIPTION: &'static str = "at one rate, and for a while at another";

    fn from_keys(keys: Keys, length: Time) -> Result<Self, BadParameter> {
        if keys.at >= length {
            let message = format!("the load ends at {length}, before the spike begins");
            return Err(BadParameter::new("at", message));
        }
        Ok(Self {
            rate: keys.rate.per_second(),
            peak: keys.peak.per_second(),
            at_ns: keys.at.as_nanos(),
            length_ns: keys.lasts.get().as_nanos(),
        })
    }

    /// Before, during and after the peak, as far as they are within `length_ns`.
    fn pieces(&self, length_ns: u64) -> Vec<(Piece, u64)> {
        let begin = self.at_ns.min(length_ns);
        let end = self.at_ns.saturating_add(self.length_ns).min(length_ns);
        let parts = [(self.rate, begin), (self.peak, end - begin), (self.rate, length_ns - end)];
        let parts = parts.into_iter().filter(|(_, length)| *length > 0);
        parts.map(|(rate, length)| (Piece::ConstantRate(ConstantRate::new(rate)), length)).collect()
    }

    fn first_rate(&self) -> f64 {
        self.rate
    }

    fn times(&self, factor: f64) -> Self {
        Self { rate: self.rate * factor, peak: self.peak * factor, ..*self }
    }

    fn in_time(&self, times: f64) -> Self {
        Self { at_ns: scaled(self.at_ns, times), length_ns: scaled(self.length_ns, times), ..*self }
    }

    fn describe(&self) -> String {
        let (at, length) = (seconds(self.at_ns), seconds(self.length_ns));
        format!("{} operations a second, {} for {length} from {at}", self.rate, self.peak)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_between_two_pieces_of_the_normal_rate() {
        let pieces = |length| Spike { rate: 1.0, peak: 9.0, at_ns: 10, length_ns: 5 }.pieces(length);
        let rate = |rate| Piece::ConstantRate(ConstantRate::new(rate));
        assert_eq!(pieces(30), [(rate(1.0), 10), (rate(9.0), 5), (rate(1.0), 15)]);
        assert_eq!(pieces(12), [(rate(1.0), 10), (rate(9.0), 2)]);
    }
}
