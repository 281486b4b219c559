//! Users who wait for their answer and then think: how people behave towards a system that is slow, and the reason
//! why such a load hides a stall. No schedule: the next start follows from the last end.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How long a user thinks, in nanoseconds: evenly between the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThinkTime {
    /// The shortest.
    pub least_ns: u64,
    /// The longest.
    pub most_ns: u64,
}

/// Each user goes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "model", rename = "closed")]
pub struct Closed {
    /// Between the end of one operation and the start of the next.
    pub think: ThinkTime,
}

impl ThinkTime {
    /// So many times as long.
    #[must_use]
    pub fn times(&self, times: f64) -> Self {
        Self { least_ns: super::scaled(self.least_ns, times), most_ns: super::scaled(self.most_ns, times) }
    }

    /// One of them.
    pub fn draw_ns(&self, rng: &mut ChaCha8Rng) -> u64 {
        if self.least_ns < self.most_ns { rng.random_range(self.least_ns..=self.most_ns) } else { self.least_ns }
    }
}

impl Closed {
    /// When user `index` of `count` starts for the first time: spread over one time of thinking, so that they do not
    /// all begin at once.
    #[must_use]
    pub fn first_ns(&self, index: usize, count: usize) -> u64 {
        let mean = u128::from(self.think.least_ns) + u128::from(self.think.most_ns);
        u64::try_from(mean * index as u128 / (2 * count.max(1) as u128)).unwrap_or(u64::MAX)
    }

    /// In words, for plans and reports.
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
    fn users_begin_spread_over_one_time_of_thinking() {
        let closed = Closed { think: ThinkTime { least_ns: 50, most_ns: 150 } };
        assert_eq!([0, 1, 2, 3].map(|index| closed.first_ns(index, 4)), [0, 25, 50, 75]);
    }
}
