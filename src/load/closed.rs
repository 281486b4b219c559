//! Users that wait for their reply and then think, as people do with a slow system. For this reason such a load hides a
//! stall. It has no schedule: the next start depends on the last end.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How long a user thinks, in nanoseconds: uniformly distributed between the two limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThinkTime {
    /// The shortest.
    pub least_ns: u64,
    /// The longest.
    pub most_ns: u64,
}

/// A closed load: each user's next operation depends only on its own last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "model", rename = "closed")]
pub struct Closed {
    /// Between the end of one operation and the start of the next.
    pub think: ThinkTime,
}

impl ThinkTime {
    /// Multiplies both limits by `times`.
    #[must_use]
    pub fn times(&self, times: f64) -> Self {
        Self { least_ns: super::scaled(self.least_ns, times), most_ns: super::scaled(self.most_ns, times) }
    }

    /// Draws one think time, in nanoseconds.
    pub fn draw_ns(&self, rng: &mut ChaCha8Rng) -> u64 {
        if self.least_ns < self.most_ns { rng.random_range(self.least_ns..=self.most_ns) } else { self.least_ns }
    }
}

impl Closed {
    /// When user `index` of `count` starts for the first time. First starts are spread over one mean think time, so
    /// that the users do not all begin at once.
    #[must_use]
    pub fn first_ns(&self, index: usize, count: usize) -> u64 {
        let mean = u128::from(self.think.least_ns) + u128::from(self.think.most_ns);
        u64::try_from(mean * index as u128 / (2 * count.max(1) as u128)).unwrap_or(u64::MAX)
    }

    /// A description for plans and reports.
    #[must_use]
    pub fn describe(&self) -> String {
        let ThinkTime { least_ns, most_ns } = self.think;
        match (least_ns, most_ns) {
            (_, 0) => "each user as fast as it is answered".to_owned(),
            _ if least_ns == most_ns => format!("each user thinks for {}", super::seconds(least_ns)),
            _ => format!("each user thinks for {} to {}", super::seconds(least_ns), super::seconds(most_ns)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_starts_are_spread_over_one_think_time() {
        let closed = Closed { think: ThinkTime { least_ns: 50, most_ns: 150 } };
        assert_eq!([0, 1, 2, 3].map(|index| closed.first_ns(index, 4)), [0, 25, 50, 75]);
    }
}
