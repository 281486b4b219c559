//! Random starts, as from very many independent people: the gaps between them are exponentially distributed (Kingman,
//! Poisson Processes, 1993, section 4.1). They depend on the trial's seed.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Model, Piece};
use crate::parameters::BadParameter;
use crate::values::{Rate, Time};

/// Independent starts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Poisson {
    rate: f64,
}

impl Poisson {
    /// `rate` operations per second on average; with a rate of 0, none starts.
    #[must_use]
    pub const fn new(rate: f64) -> Self {
        Self { rate }
    }

    /// Operations per second on average.
    #[must_use]
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// Draws the gap between two starts, in nanoseconds.
    pub fn gap_ns(&self, rng: &mut ChaCha8Rng) -> f64 {
        // The logarithm of 1 - u, because u may be 0 and is never 1.
        let u: f64 = rng.random();
        if self.rate > 0.0 { -(1.0 - u).ln() * 1e9 / self.rate } else { f64::INFINITY }
    }
}

/// The keys of `[load]`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub struct Keys {
    /// Operations a second.
    rate: Rate,
}

impl Model for Poisson {
    type Keys = Keys;
    const NAME: &'static str = "poisson";
    const DESCRIPTION: &'static str = "at random, each independent of the others";

    fn from_keys(keys: Keys, _: Time) -> Result<Self, BadParameter> {
        Ok(Self::new(keys.rate.per_second()))
    }

    fn pieces(&self, length_ns: u64) -> Vec<(Piece, u64)> {
        vec![(Piece::Poisson(*self), length_ns)]
    }

    fn first_rate(&self) -> f64 {
        self.rate
    }

    fn times(&self, factor: f64) -> Self {
        Self::new(self.rate * factor)
    }

    fn in_time(&self, _: f64) -> Self {
        *self
    }

    fn at_rate(&self, per_second: f64) -> Option<Self> {
        Some(Self::new(per_second))
    }

    fn describe(&self) -> String {
        format!("{} operations a second, at random", self.rate)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn gaps_have_the_mean_and_the_spread_of_an_exponential_distribution() {
        let (mut rng, count) = (ChaCha8Rng::seed_from_u64(1), 100_000);
        let gaps: Vec<f64> = (0..count).map(|_| Poisson::new(1000.0).gap_ns(&mut rng)).collect();
        let mean = gaps.iter().sum::<f64>() / f64::from(count);
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / f64::from(count);
        // Both are 1 ms; with 100,000 gaps their standard errors are 0.3 % and 0.7 %.
        assert!((mean / 1e6 - 1.0).abs() < 0.02, "{mean}");
        assert!((variance.sqrt() / 1e6 - 1.0).abs() < 0.04, "{variance}");
    }
}
