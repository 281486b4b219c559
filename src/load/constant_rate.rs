//! One operation every `1/rate` seconds.

use serde::{Deserialize, Serialize};

/// Evenly spaced starts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConstantRate {
    rate: f64,
}

impl ConstantRate {
    /// `rate` operations per second; with zero none starts.
    #[must_use]
    pub const fn new(rate: f64) -> Self {
        Self { rate }
    }

    /// Operations per second.
    #[must_use]
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// When operation `index` (from 0) starts; none where it never does.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "exact to 2^53 ns, which is 104 days")]
    pub fn start_ns(&self, index: u64) -> Option<u64> {
        (self.rate > 0.0).then(|| (index as f64 * 1e9 / self.rate).round() as u64)
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
