//! How long sessions last. Real users do not log in, act and log out in lockstep: lifetimes are random with a given
//! mean, and a user that exists from the start begins in the middle of a session.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::random::{Draw, stream_of};

/// The length of a session until its user logs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Span {
    /// A number of operations, including the creation.
    Operations(u32),
    /// A time in nanoseconds.
    Time(u64),
}

/// The distribution of lifetimes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// Uniformly distributed between 0.5 and 1.5 times the mean; users begin in the middle of a session.
    #[default]
    Drawn,
    /// All the same: users that began together log out together.
    Lockstep,
}

/// When users end their sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetime {
    /// The mean length of a session.
    pub mean: Span,
    /// The distribution of lengths around the mean.
    pub spread: Spread,
}

/// Fewest operations of a session: its creation and one more.
const MIN_OPERATIONS: u64 = 2;

impl Lifetime {
    /// How long session `life` (from 1) of `user` lasts. If the user starts in the middle of its first session, this is
    /// the rest of that session. The same seed gives the same result.
    #[must_use]
    pub fn draw(&self, seed: u64, user: u32, life: u32, is_met_in_the_middle: bool) -> Span {
        if self.spread == Spread::Lockstep {
            return self.mean;
        }
        let mut rng = stream_of(seed, Draw::Lifetimes, user);
        // 4096 words are far more than one session draws, so that no two sessions share a random number.
        rng.set_word_pos(u128::from(life) << 12);
        let draw = |mean: u64, rng: &mut ChaCha8Rng| {
            if is_met_in_the_middle && life <= 1 { left_of(mean, rng) } else { whole(mean, rng) }
        };
        match self.mean {
            Span::Operations(mean) => {
                let count = draw(u64::from(mean), &mut rng).max(MIN_OPERATIONS);
                Span::Operations(u32::try_from(count).unwrap_or(u32::MAX))
            }
            Span::Time(mean_ns) => Span::Time(draw(mean_ns, &mut rng)),
        }
    }
}

/// Uniformly distributed between 0.5 and 1.5 times the mean.
fn whole(mean: u64, rng: &mut ChaCha8Rng) -> u64 {
    rng.random_range(mean - mean / 2..=mean.saturating_add(mean / 2))
}

/// The rest of a session at a random instant. The probability of a session is proportional to its length, and every
/// instant of it is equally likely (the inspection paradox of renewal theory).
fn left_of(mean: u64, rng: &mut ChaCha8Rng) -> u64 {
    let most = mean.saturating_add(mean / 2).max(1);
    let length = loop {
        let length = whole(mean, rng);
        if rng.random_range(0..most) < length || mean == 0 {
            break length;
        }
    };
    if length == 0 { 0 } else { rng.random_range(1..=length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations(spread: Spread, life: u32, in_the_middle: bool) -> Vec<u32> {
        let lifetime = Lifetime { mean: Span::Operations(20), spread };
        let draw = |user| match lifetime.draw(3, user, life, in_the_middle) {
            Span::Operations(count) => count,
            Span::Time(_) => unreachable!(),
        };
        (0..10_000).map(draw).collect()
    }

    fn mean(counts: &[u32]) -> f64 {
        f64::from(counts.iter().sum::<u32>()) / counts.len() as f64
    }

    #[test]
    fn lifetimes_are_spread_around_their_mean() {
        for life in [1, 2, 7] {
            let counts = operations(Spread::Drawn, life, false);
            assert!((mean(&counts) - 20.0).abs() < 0.2, "{}", mean(&counts));
            assert_eq!((counts.iter().min(), counts.iter().max()), (Some(&10), Some(&30)));
        }
    }

    #[test]
    fn a_user_in_the_middle_of_its_first_session_has_the_rest_of_it_and_later_sessions_are_whole() {
        let first = operations(Spread::Drawn, 1, true);
        // For a random length L: E[L²] / 2 E[L], plus half an operation because they are counted from 1; L is uniform
        // on 10..=30.
        assert!((mean(&first) - (436.67 / 40.0 + 0.5)).abs() < 0.3, "{}", mean(&first));
        assert_eq!(first.iter().min(), Some(&2));
        let second = operations(Spread::Drawn, 2, true);
        assert_eq!(second, operations(Spread::Drawn, 2, false));
    }

    #[test]
    fn in_lockstep_all_sessions_have_the_same_length() {
        assert_eq!(operations(Spread::Lockstep, 1, true), vec![20; 10_000]);
    }

    #[test]
    fn the_lengths_of_two_sessions_of_a_user_are_independent() {
        let (first, second) = (operations(Spread::Drawn, 3, false), operations(Spread::Drawn, 4, false));
        let same = first.iter().zip(&second).filter(|(one, other)| one == other).count();
        assert!((300..700).contains(&same), "{same} of 10000 are equal, of 21 lengths");
    }

    #[test]
    fn the_shortest_times_can_be_drawn_too() {
        for mean_ns in [0, 1, 2] {
            let lifetime = Lifetime { mean: Span::Time(mean_ns), spread: Spread::Drawn };
            for user in 0..100 {
                let Span::Time(ns) = lifetime.draw(1, user, 1, true) else { unreachable!() };
                assert!(ns <= mean_ns + 1);
            }
        }
    }
}
