//! Chooses the user of each operation.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Zipf};
use serde::{Deserialize, Serialize};

/// How unequally users are active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Popularity {
    /// All users equally often.
    #[default]
    Uniform,
    /// The user of rank k in proportion to `1/k^s`.
    Zipf(f64),
}

/// Draws users.
#[derive(Debug)]
pub struct Choice {
    rng: ChaCha8Rng,
    count: usize,
    how: How,
}

#[derive(Debug)]
enum How {
    /// Each round contains every user once, in a new random order: with a fixed order, a round-robin balancer would
    /// send each session to the same node every time.
    Rounds(Vec<u32>),
    Ranks(Zipf<f64>),
}

impl Choice {
    /// Draws from `count` users or other items.
    #[must_use]
    pub fn new(popularity: Popularity, count: usize, rng: ChaCha8Rng) -> Self {
        let how = match popularity {
            Popularity::Uniform => How::Rounds(Vec::new()),
            Popularity::Zipf(s) => Zipf::new(count.max(1) as f64, s).map_or(How::Rounds(Vec::new()), How::Ranks),
        };
        Self { rng, count, how }
    }

    /// Index of the next user, from 0.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ranks are whole and at least 1")]
    pub fn draw(&mut self) -> usize {
        match &mut self.how {
            How::Rounds(round) => {
                if round.is_empty() {
                    round.extend(0..u32::try_from(self.count).unwrap_or(u32::MAX));
                    round.shuffle(&mut self.rng);
                }
                round.pop().unwrap_or_default() as usize
            }
            How::Ranks(zipf) => {
                (zipf.sample(&mut self.rng) as usize).saturating_sub(1).min(self.count.saturating_sub(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::random::{Draw, stream};

    fn counts(popularity: Popularity, users: usize, draws: usize) -> Vec<usize> {
        let (mut choice, mut counts) = (Choice::new(popularity, users, stream(3, Draw::Users)), vec![0; users]);
        (0..draws).for_each(|_| counts[choice.draw()] += 1);
        counts
    }

    #[test]
    fn uniform_gives_everyone_a_turn_in_each_round() {
        assert_eq!(counts(Popularity::Uniform, 10, 70), vec![7; 10]);
    }

    #[test]
    fn zipf_draws_each_rank_in_proportion_to_its_inverse() {
        let counts = counts(Popularity::Zipf(1.0), 100, 100_000);
        // 1/k divided by the sum of 1/k for 100 users, which is 5.187.
        for (rank, count) in [(1.0, counts[0]), (2.0, counts[1]), (10.0, counts[9])] {
            let expected = 100_000.0 / 5.187 / rank;
            assert!((count as f64 / expected - 1.0).abs() < 0.1, "{rank}: {count}, not {expected}");
        }
    }

    #[test]
    fn turns_follow_no_fixed_order() {
        let mut choice = Choice::new(Popularity::Uniform, 20, stream(1, Draw::Users));
        let mut round = || (0..20).map(|_| choice.draw()).collect::<Vec<_>>();
        assert_ne!(round(), round());
    }
}
