//! A sequence of rates, each for the same time, to find the rate at which a system fails and whether it recovers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConstantRate, Model, Piece, scaled, seconds};
use crate::parameters::BadParameter;
use crate::values::{Lasting, RateOrZero, Time};

/// A rate that changes in steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Operations a second on the first step.
    pub from: f64,
    /// Operations a second that each further step adds; it removes them if negative.
    pub by: f64,
    /// Length of a step, in nanoseconds.
    pub every_ns: u64,
}

/// The keys of `[load]`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub struct Keys {
    /// The rate of the first step, in operations a second.
    from: RateOrZero,
    /// How much each step adds.
    by: f64,
    /// How long a step lasts.
    every: Lasting,
}

impl Model for Step {
    type Keys = Keys;
    const NAME: &'static str = "step";
    const DESCRIPTION: &'static str = "on a stair of rates";

    fn from_keys(keys: Keys, length: Time) -> Result<Self, BadParameter> {
        let (from, by, every_ns) = (keys.from.per_second(), keys.by, keys.every.get().as_nanos());
        let last = from + by * (length.as_nanos().saturating_sub(1) / every_ns) as f64;
        if !(0.0..=1e6).contains(&last) {
            let message = format!("its last step would be {last} operations a second: it takes 0 to 1000000");
            return Err(BadParameter::new("by", message));
        }
        Ok(Self { from, by, every_ns })
    }

    /// The steps within `length_ns`; the last one may be shorter.
    fn pieces(&self, length_ns: u64) -> Vec<(Piece, u64)> {
        let every = self.every_ns.max(1);
        let rate = |index: u64| self.by.mul_add(index as f64, self.from).max(0.0);
        let step = |index: u64| {
            let length = every.min(length_ns - index * every);
            (Piece::ConstantRate(ConstantRate::new(rate(index))), length)
        };
        (0..length_ns.div_ceil(every)).map(step).collect()
    }

    fn first_rate(&self) -> f64 {
        self.from
    }

    fn times(&self, factor: f64) -> Self {
        Self { from: self.from * factor, by: self.by * factor, every_ns: self.every_ns }
    }

    fn in_time(&self, times: f64) -> Self {
        Self { every_ns: scaled(self.every_ns, times), ..*self }
    }

    fn describe(&self) -> String {
        let (more, by) = if self.by < 0.0 { ("fewer", -self.by) } else { ("more", self.by) };
        format!("{} operations a second, {by} {more} every {}", self.from, seconds(self.every_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_go_up_until_the_load_ends_and_down_to_zero() {
        let of = |by| Step { from: 10.0, by, every_ns: 2 }.pieces(5);
        let rate = |rate| Piece::ConstantRate(ConstantRate::new(rate));
        assert_eq!(of(5.0), [(rate(10.0), 2), (rate(15.0), 2), (rate(20.0), 1)]);
        assert_eq!(of(-8.0), [(rate(10.0), 2), (rate(2.0), 2), (rate(0.0), 1)]);
    }
}
