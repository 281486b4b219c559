//! A stair of rates, each held for the same time: at which one a system gives way, and whether it comes back.

use serde::{Deserialize, Serialize};

use super::{ConstantRate, Piece};

/// A rate that changes at once, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Operations a second on the first step.
    pub from: f64,
    /// How many more on each further one; fewer where it is negative.
    pub by: f64,
    /// How long a step is, in nanoseconds.
    pub every_ns: u64,
}

impl Step {
    /// The steps of `length_ns`; the last one may be cut short.
    #[must_use]
    pub fn pieces(&self, length_ns: u64) -> Vec<(Piece, u64)> {
        let every = self.every_ns.max(1);
        let rate = |index: u64| self.by.mul_add(index as f64, self.from).max(0.0);
        let step = |index: u64| {
            let length = every.min(length_ns - index * every);
            (Piece::ConstantRate(ConstantRate::new(rate(index))), length)
        };
        (0..length_ns.div_ceil(every)).map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stair_goes_up_until_the_load_ends_and_down_to_nothing() {
        let of = |by| Step { from: 10.0, by, every_ns: 2 }.pieces(5);
        let rate = |rate| Piece::ConstantRate(ConstantRate::new(rate));
        assert_eq!(of(5.0), [(rate(10.0), 2), (rate(15.0), 2), (rate(20.0), 1)]);
        assert_eq!(of(-8.0), [(rate(10.0), 2), (rate(2.0), 2), (rate(0.0), 1)]);
    }
}
