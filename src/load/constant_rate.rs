//! One operation every `1/rate` seconds, whatever the system under test does: an open loop, so that a
//! stall is felt by every operation that should have started meanwhile.

use serde::{Deserialize, Serialize};

/// Evenly spaced starts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConstantRate {
    rate: f64,
}

impl ConstantRate {
    /// `rate` operations per second; it must be positive.
    #[must_use]
    pub const fn new(rate: f64) -> Self {
        Self { rate }
    }

    /// Operations per second.
    #[must_use]
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// When operation `index` starts.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "exact to 2^53 ns, which is 104 days")]
    pub fn start_ns(&self, index: u64) -> u64 {
        (index as f64 * 1e9 / self.rate).round() as u64
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
            prop_assert!((model.start_ns(index) as f64 - exact).abs() <= 1.0);
        }
    }
}
