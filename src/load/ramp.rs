//! A rate that rises or falls linearly, to find the load at which a system fails.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Model, Piece, scaled};
use crate::parameters::BadParameter;
use crate::values::{RateOrZero, Time};

/// A linear change from one rate to another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ramp {
    /// Operations a second at its start.
    pub from: f64,
    /// Operations a second at its end.
    pub to: f64,
    /// Length of the ramp, in nanoseconds.
    pub over_ns: u64,
}

impl Ramp {
    /// When operation `index` (from 0) starts; `None` if the ramp ends before.
    ///
    /// After time t, `from * t + slope * t² / 2` operations have started. This is solved for t, in the form without
    /// cancellation for a small slope.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and at most the ramp's length"
    )]
    pub fn start_ns(&self, index: u64) -> Option<u64> {
        let over = self.over_ns as f64 / 1e9;
        let slope = if over > 0.0 { (self.to - self.from) / over } else { 0.0 };
        let count = index as f64;
        let root = self.from.mul_add(self.from, 2.0 * slope * count);
        if root < 0.0 {
            return None;
        }
        let divisor = self.from + root.sqrt();
        let at = if count == 0.0 { 0.0 } else { 2.0 * count / divisor };
        (at.is_finite() && at < over).then(|| (at * 1e9).round() as u64)
    }
}

/// The keys of `[load]`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub struct Keys {
    /// The rate at its start, in operations a second.
    from: RateOrZero,
    /// The rate at its end.
    to: RateOrZero,
}

impl Model for Ramp {
    type Keys = Keys;
    const NAME: &'static str = "ramp";
    const DESCRIPTION: &'static str = "faster and faster, or slower";

    fn from_keys(keys: Keys, length: Time) -> Result<Self, BadParameter> {
        let (from, to) = (keys.from.per_second(), keys.to.per_second());
        if from == 0.0 && to == 0.0 {
            return Err(BadParameter::new("to", "a ramp from 0 to 0 asks for nothing"));
        }
        Ok(Self { from, to, over_ns: length.as_nanos() })
    }

    fn pieces(&self, length_ns: u64) -> Vec<(Piece, u64)> {
        vec![(Piece::Ramp(*self), length_ns)]
    }

    fn first_rate(&self) -> f64 {
        self.from
    }

    fn times(&self, factor: f64) -> Self {
        Self { from: self.from * factor, to: self.to * factor, over_ns: self.over_ns }
    }

    fn in_time(&self, times: f64) -> Self {
        Self { over_ns: scaled(self.over_ns, times), ..*self }
    }

    fn describe(&self) -> String {
        format!("{} to {} operations a second", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(ramp: Ramp) -> u64 {
        (0..1_000_000).take_while(|index| ramp.start_ns(*index).is_some()).count() as u64
    }

    #[test]
    fn a_ramp_starts_as_many_as_its_mean_rate_says_up_and_down() {
        let ramp = |from, to| Ramp { from, to, over_ns: 10_000_000_000 };
        for (ramp, expected) in [(ramp(0.0, 100.0), 500), (ramp(100.0, 0.0), 500), (ramp(50.0, 50.0), 500)] {
            assert!(count(ramp).abs_diff(expected) <= 1, "{ramp:?}: {}", count(ramp));
        }
    }

    #[test]
    fn half_way_the_rate_is_the_mean() {
        let ramp = Ramp { from: 0.0, to: 1000.0, over_ns: 10_000_000_000 };
        // 1,250 of 5,000 have started after 5 s, and the next follows after 1/500 s.
        let gap = ramp.start_ns(1251).unwrap() - ramp.start_ns(1250).unwrap();
        assert_eq!(ramp.start_ns(1250), Some(5_000_000_000));
        assert!((1_990_000..2_010_000).contains(&gap), "{gap}");
    }

    proptest! {
        #[test]
        fn starts_never_go_back(from in 0f64..1e4, to in 0f64..1e4, index in 0u64..100_000) {
            let ramp = Ramp { from, to, over_ns: 60_000_000_000 };
            if let Some(next) = ramp.start_ns(index + 1) {
                prop_assert!(ramp.start_ns(index).unwrap() <= next);
            }
        }
    }
}
