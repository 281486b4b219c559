//! A rate that swings evenly about its mean: a day's wave in the time of a trial, whose peak a system must bear and in whose
//! trough it can recover.

use std::f64::consts::TAU;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Model, Piece, Ramp, scaled, seconds};
use crate::parameters::BadParameter;
use crate::values::{Lasting, Rate, Share, Time};

/// Into how many straight lines a wave is laid out: they miss it by at most (2π/48)²/8 of its swing, 0.2 %.
const LINES: u64 = 48;
/// How many waves a load may have, each of that many lines.
const MAX_WAVES: u64 = 1000;

/// A wave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sine {
    /// Operations a second over a whole wave.
    pub mean: f64,
    /// How far the rate goes up and down, as a share of the mean.
    pub swing: f64,
    /// How long a wave is, in nanoseconds.
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
    /// The rate at the start of a line, in operations a second.
    fn rate_at(&self, line: u64) -> f64 {
        let wave = (TAU * (line % LINES) as f64 / LINES as f64).sin();
        (self.mean * self.swing.mul_add(wave, 1.0)).max(0.0)
    }
}

impl Model for Sine {
    type Keys = Keys;
    const NAME: &'static str = "sine";
    const DESCRIPTION: &'static str = "in a wave about a mean rate, as over a day";

    fn from_keys(keys: Keys, length: Time) -> Result<Self, BadParameter> {
        let period_ns = keys.period.get().as_nanos();
        let waves = length.as_nanos() / period_ns;
        if waves > MAX_WAVES {
            return Err(BadParameter::new("period", format!("there would be {waves} waves; the limit is {MAX_WAVES}")));
        }
        Ok(Self { mean: keys.mean.per_second(), swing: keys.swing.get(), period_ns })
    }

    fn pieces(&self, length_ns: u64) -> Vec<(Piece, u64)> {
        let begin_ns = |line: u64| u128::from(self.period_ns) * u128::from(line) / u128::from(LINES);
        let length_of = |line: u64| u64::try_from(begin_ns(line + 1) - begin_ns(line)).unwrap_or(u64::MAX);
        let line = |line: u64| {
            let ramp = Ramp { from: self.rate_at(line), to: self.rate_at(line + 1), over_ns: length_of(line) };
            (Piece::Ramp(ramp), ramp.over_ns)
        };
        let lines = (u128::from(length_ns) * u128::from(LINES)).div_ceil(u128::from(self.period_ns));
        (0..u64::try_from(lines).unwrap_or(u64::MAX)).map(line).collect()
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
    use super::*;
    use crate::load::{Schedule, Starts};

    const SECOND: u64 = 1_000_000_000;

    fn starts(sine: Sine, length_ns: u64) -> Vec<u64> {
        Starts::new(&Schedule::Sine(sine), 0, length_ns, 1).collect()
    }

    #[test]
    fn whole_waves_start_as_many_as_the_mean_says_and_most_in_their_first_half() {
        let sine = Sine { mean: 1000.0, swing: 0.8, period_ns: 10 * SECOND };
        let all = starts(sine, 20 * SECOND);
        // A line may end with a part of a start, so that each of the 96 can have one less.
        assert!(all.len().abs_diff(20_000) <= 96, "{}", all.len());
        // Over half a wave the sine has a mean of 2/π.
        let first_half = all.iter().filter(|start| **start < 5 * SECOND).count() as f64;
        assert!((first_half - 5000.0 * (1.0 + 0.8 * 2.0 / std::f64::consts::PI)).abs() < 50.0, "{first_half}");
    }

    #[test]
    fn the_peak_is_a_quarter_of_a_wave_after_the_start() {
        let all = starts(Sine { mean: 1000.0, swing: 0.5, period_ns: 8 * SECOND }, 8 * SECOND);
        let in_half_second_from = |quarter: u64| {
            let from = quarter * SECOND / 4;
            all.iter().filter(|start| (from..from + SECOND / 2).contains(start)).count()
        };
        assert!(in_half_second_from(7).abs_diff(747) <= 5, "{}", in_half_second_from(7));
        assert!(in_half_second_from(23).abs_diff(253) <= 5, "{}", in_half_second_from(23));
    }

    #[test]
    fn a_load_of_very_many_waves_is_refused() {
        let keys = toml::from_str("mean = 10\nswing = 0.5\nperiod = \"1ms\"").unwrap();
        let error = Sine::read(&keys, Time::from_millis(60_000)).unwrap_err();
        assert_eq!(error, BadParameter::new("period", "there would be 60000 waves; the limit is 1000"));
    }
}
