//! One operation every `1/rate` seconds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Model, Piece};
use crate::parameters::BadParameter;
use crate::values::{Rate, Time};

/// Evenly spaced starts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConstantRate {
    rate: f64,
}

impl ConstantRate {
    /// `rate` operations per second; with a rate of 0, none starts.
    #[must_use]
    pub const fn new(rate: f64) -> Self {
        Self { rate }
    }

    /// Operations per second.
    #[must_use]
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// When operation `index` (from 0) starts; `None` if the rate is 0.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "exact to 2^53 ns, which is 104 days")]
    pub fn start_ns(&self, index: u64) -> Option<u64> {
        (self.rate > 0.0).then(|| (index as f64 * 1e9 / self.rate).round() as u64)
    }
}

/// The keys of `[load]`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub struct Keys {
    /// Operations a second.
    rate: Rate,
}

impl Model for ConstantRate {
    type Keys = Keys;
    const NAME: &'static str = "constant-rate";
    const DESCRIPTION: &'static str = "evenly";

    fn from_keys(keys: Keys, _: Time) -> Result<Self, BadParameter> {
        Ok(Self::new(keys.rate.per_second()))
    }

    fn pieces(&self, length_ns: u64) -> Vec<(Piece, u64)> {
        vec![(Piece::ConstantRate(*self), length_ns)]
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
        format!("{} operations a second", self.rate)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn starts_never_go_back_and_never_drift(rate in 0.1f64..1e6, index in 0u64..1_000_000) {
            let model = ConstantRate::new(rate);
            prop_assert!(model.start_ns(index) <= model.start_ns(index + 1));
            let exact = index as f64 * 1e9 / rate;
            prop_assert!((model.start_ns(index).unwrap() as f64 - exact).abs() <= 1.0);
        }
    }
}
