//! How long sessions last. Real users do not log in, act and log out in step: lifetimes are drawn about their mean, and
//! who is there from the start is met in the middle of a session.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::random::{Draw, stream_of};

/// How much a session does before its user logs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Span {
    /// So many operations, its creation included.
    Operations(u32),
    /// So many nanoseconds.
    Time(u64),
}

/// How lifetimes differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// Evenly between half of the mean and one and a half times the mean; users begin in the middle of a session.
    #[default]
    Drawn,
    /// Not at all: all users that began together log out together.
    Lockstep,
}

/// When sessions end by their users' will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetime {
    /// How long, in the mean.
    pub mean: Span,
    /// How different.
    pub spread: Spread,
}

/// The fewest operations of a session: to be made, and to do something.
const MIN_OPERATIONS: u64 = 2;

impl Lifetime {
    /// How long session `life` (from 1) of `user` lasts. Of a user who is met in the middle of its first session, what is
    /// left of that one. The same seed gives the same.
    #[must_use]
    pub fn draw(&self, seed: u64, user: u32, life: u32, is_met_in_the_middle: bool) -> Span {
        if self.spread == Spread::Lockstep {
            return self.mean;
        }
        let mut rng = stream_of(seed, Draw::Lifetimes, user);
        // Far more than one session draws, so that no two share a draw.
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

/// Evenly between half of the mean and one and a half times the mean.
fn whole(mean: u64, rng: &mut ChaCha8Rng) -> u64 {
    rng.random_range(mean - mean / 2..=mean.saturating_add(mean / 2))
}

/// What is left of a session at a random instant. A long one is met more often, in proportion to its length, and every
/// instant of it is as likely (the renewal theory's inspection paradox).
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
    fn lifetimes_are_spread_about_their_mean() {
        for life in [1, 2, 7] {
            let counts = operations(Spread::Drawn, life, false);
            assert!((mean(&counts) - 20.0).abs() < 0.2, "{}", mean(&counts));
            assert_eq!((counts.iter().min(), counts.iter().max()), (Some(&10), Some(&30)));
        }
    }

    #[test]
    fn who_is_met_in_the_middle_of_a_session_has_less_of_it_left_and_later_ones_whole() {
        let first = operations(Spread::Drawn, 1, true);
        // Of a random length L: E[L²] / 2 E[L], and half an operation because they are counted from 1; L is even on 10..30.
        assert!((mean(&first) - (436.67 / 40.0 + 0.5)).abs() < 0.3, "{}", mean(&first));
        assert_eq!(first.iter().min(), Some(&2));
        let second = operations(Spread::Drawn, 2, true);
        assert_eq!(second, operations(Spread::Drawn, 2, false));
    }

    #[test]
    fn in_lockstep_all_are_as_long() {
        assert_eq!(operations(Spread::Lockstep, 1, true), vec![20; 10_000]);
    }

    #[test]
    fn one_session_of_a_user_does_not_tell_of_the_next() {
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
