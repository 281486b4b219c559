//! A rate that follows a sine wave around its mean, as over a day but in the time of a trial: the system must handle
//! the peak and can recover in the trough.

use std::f64::consts::TAU;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Model, Piece, scaled, seconds};
use crate::parameters::BadParameter;
use crate::values::{Lasting, Rate, Share, Time};

/// A sine wave around a mean rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sine {
    /// Operations a second over a whole wave.
    pub mean: f64,
    /// How far the rate goes up and down, as a share of the mean.
    pub swing: f64,
    /// Length of one wave, in nanoseconds.
    pub period_ns: u64,
}

/// The keys of `[load]`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub struct Keys {
    /// Operations a second over a whole wave.
    mean: Rate,
    /// How far the rate goes up and down, as a share of the mean.
    swing: Share,
    /// How long a wave is.
    period: Lasting,
}

impl Sine {
    /// Number of operations that have started by `at_ns`, with a fraction for the next one: the integral of the rate.
    fn started_by(&self, at_ns: f64) -> f64 {
        let period = self.period_ns as f64;
        let ahead_ns = self.swing * period / TAU * (1.0 - (TAU * at_ns / period).cos());
        self.mean * (at_ns + ahead_ns) / 1e9
    }

    /// When operation `index` (from 0) starts; `None` if the mean is not positive.
    ///
    /// The integral has no inverse in closed form and never falls, so the start is found by bisection. The integral is
    /// ahead of the mean by at most the amount that half a wave adds.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and a cast saturates")]
    pub fn start_ns(&self, index: u64) -> Option<u64> {
        if self.mean <= 0.0 {
            return None;
        }
        let count = index as f64;
        let mut latest = count * 1e9 / self.mean;
        let mut earliest = (latest - self.swing * self.period_ns as f64 * 2.0 / TAU).max(0.0);
        while latest - earliest > 0.25 {
            let middle = f64::midpoint(earliest, latest);
            if middle <= earliest || middle >= latest {
                break;
            }
            if self.started_by(middle) < count { earliest = middle } else { latest = middle }
        }
        Some(latest.round() as u64)
    }
}

impl Model for Sine {
    type Keys = Keys;
    const NAME: &'static str = "sine";
    const DESCRIPTION: &'static str = "in a wave about a mean rate, as over a day";

    fn from_keys(keys: Keys, _: Time) -> Result<Self, BadParameter> {
        Ok(Self { mean: keys.mean.per_second(), swing: keys.swing.get(), period_ns: keys.period.get().as_nanos() })
    }

    fn pieces(&self, length_ns: u64) -> Vec<(Piece, u64)> {
        vec![(Piece::Sine(*self), length_ns)]
    }

    fn first_rate(&self) -> f64 {
        self.mean
    }

    fn times(&self, factor: f64) -> Self {
        Self { mean: self.mean * factor, ..*self }
    }

    fn in_time(&self, times: f64) -> Self {
        Self { period_ns: scaled(self.period_ns, times).max(1), ..*self }
    }

    fn describe(&self) -> String {
        let (low, high) = (self.mean * (1.0 - self.swing), self.mean * (1.0 + self.swing));
        format!("{low} to {high} operations a second, in waves of {}", seconds(self.period_ns))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::{Schedule, Starts};

    const SECOND: u64 = 1_000_000_000;

    fn starts(sine: Sine, length_ns: u64) -> Vec<u64> {
        Starts::new(&Schedule::Sine(sine), 0, length_ns, 1).collect()
    }

    #[test]
    fn whole_waves_start_as_many_as_the_mean_says_and_most_in_their_first_half() {
        // Few starts per wave, and many.
        for mean in [0.5, 7.0, 1000.0] {
            let sine = Sine { mean, swing: 0.8, period_ns: 10 * SECOND };
            let all = starts(sine, 200 * SECOND);
            assert!((all.len() as f64 - mean * 200.0).abs() <= 1.0, "{mean}: {}", all.len());
        }
        let all = starts(Sine { mean: 1000.0, swing: 0.8, period_ns: 10 * SECOND }, 10 * SECOND);
        // Over half a wave the sine has a mean of 2/π.
        let first_half = all.iter().filter(|start| **start < 5 * SECOND).count() as f64;
        assert!((first_half - 5000.0 * (1.0 + 0.8 * 2.0 / std::f64::consts::PI)).abs() <= 1.0, "{first_half}");
    }

    #[test]
    fn the_peak_is_a_quarter_of_a_wave_after_the_start() {
        let all = starts(Sine { mean: 1000.0, swing: 0.5, period_ns: 8 * SECOND }, 8 * SECOND);
        let in_half_second_from = |quarter: u64| {
            let from = quarter * SECOND / 4;
            all.iter().filter(|start| (from..from + SECOND / 2).contains(start)).count()
        };
        assert!(in_half_second_from(7).abs_diff(748) <= 2, "{}", in_half_second_from(7));
        assert!(in_half_second_from(23).abs_diff(252) <= 2, "{}", in_half_second_from(23));
    }

    #[test]
    fn a_wave_far_shorter_than_its_load_is_no_more_work_than_a_long_one() {
        let sine = Sine { mean: 10.0, swing: 1.0, period_ns: 1_000_000 };
        assert_eq!(sine.pieces(86_400 * SECOND).len(), 1);
        assert_eq!(starts(sine, 100 * SECOND).len(), 1000);
    }

    proptest! {
        #[test]
        fn starts_never_go_back(mean in 0.001f64..1e5, swing in 0f64..=1.0, period_ms in 1u64..100_000, index in 0u64..1_000_000) {
            let sine = Sine { mean, swing, period_ns: period_ms * 1_000_000 };
            prop_assert!(sine.start_ns(index) <= sine.start_ns(index + 1));
        }
    }
}
