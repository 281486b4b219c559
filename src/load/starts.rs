//! All starts of a load in order: the warm-up at the schedule's first rate, then the schedule.

use rand_chacha::ChaCha8Rng;

use super::random::{Draw, stream};
use super::{ConstantRate, Piece, Schedule};

/// The instants at which operations start, in nanoseconds from the start of the load, in ascending order.
#[derive(Clone, Debug)]
pub struct Starts {
    /// The remaining pieces with their lengths in nanoseconds, the next one last.
    pieces: Vec<(Piece, u64)>,
    begins_ns: u64,
    index: u64,
    /// In a random piece: its latest start, in nanoseconds from the start of the piece.
    at_ns: f64,
    rng: ChaCha8Rng,
}

impl Starts {
    /// The starts of `warm_up_ns` at the schedule's first rate, and then of `length_ns` of the schedule.
    #[must_use]
    pub fn new(schedule: &Schedule, warm_up_ns: u64, length_ns: u64, seed: u64) -> Self {
        let mut pieces = vec![(Piece::ConstantRate(ConstantRate::new(schedule.first_rate())), warm_up_ns)];
        let mut left = length_ns;
        for (piece, length) in schedule.pieces(length_ns) {
            let length = length.min(left);
            left -= length;
            pieces.push((piece, length));
        }
        pieces.reverse();
        Self { pieces, begins_ns: 0, index: 0, at_ns: 0.0, rng: stream(seed, Draw::Starts) }
    }

    /// The next start in a piece, in nanoseconds from the start of the piece.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast saturates, and gaps are positive"
    )]
    fn next_in(&mut self, piece: Piece) -> Option<u64> {
        let index = self.index;
        self.index += 1;
        match piece {
            Piece::ConstantRate(model) => model.start_ns(index),
            Piece::Ramp(model) => model.start_ns(index),
            Piece::Sine(model) => model.start_ns(index),
            Piece::Poisson(model) => {
                self.at_ns += model.gap_ns(&mut self.rng);
                self.at_ns.is_finite().then_some(self.at_ns as u64)
            }
        }
    }
}

impl Iterator for Starts {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        while let Some((piece, length_ns)) = self.pieces.last().copied() {
            if let Some(start_ns) = self.next_in(piece).filter(|start_ns| *start_ns < length_ns) {
                return Some(self.begins_ns + start_ns);
            }
            self.pieces.pop();
            self.begins_ns += length_ns;
            (self.index, self.at_ns) = (0, 0.0);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::{Poisson, Ramp, Spike, Stage, Stages, Step};

    const SECOND: u64 = 1_000_000_000;

    fn all() -> Vec<Schedule> {
        let ramp = Schedule::Ramp(Ramp { from: 10.0, to: 200.0, over_ns: 10 * SECOND });
        let constant = Schedule::ConstantRate(ConstantRate::new(100.0));
        vec![
            constant.clone(),
            Schedule::Poisson(Poisson::new(100.0)),
            ramp.clone(),
            Schedule::Step(Step { from: 50.0, by: 25.0, every_ns: 2 * SECOND }),
            Schedule::Spike(Spike { rate: 50.0, peak: 300.0, at_ns: 4 * SECOND, length_ns: 2 * SECOND }),
            Schedule::Stages(Stages {
                stages: vec![
                    Stage { schedule: ramp, length_ns: 5 * SECOND },
                    Stage { schedule: constant, length_ns: 5 * SECOND },
                ],
            }),
        ]
    }

    #[test]
    fn each_model_starts_as_many_as_its_rates_say() {
        // In the 10 s after a warm-up of 2 s at the first rate. The ramp in the stages is cut off at half its length.
        let expected = [1000.0, 1000.0, 1050.0, 1000.0, 1000.0, 787.5];
        for (schedule, expected) in all().iter().zip(expected) {
            let starts: Vec<u64> = Starts::new(schedule, 2 * SECOND, 10 * SECOND, 7).collect();
            let warm_up = starts.iter().filter(|start| **start < 2 * SECOND).count() as f64;
            let load = starts.len() as f64 - warm_up;
            assert!((warm_up - 2.0 * schedule.first_rate()).abs() <= 1.0, "{}: {warm_up}", schedule.describe());
            let spread = if matches!(schedule, Schedule::Poisson(_)) { 130.0 } else { 5.0 };
            assert!((load - expected).abs() <= spread, "{}: {load}", schedule.describe());
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_starts() {
        let starts = |seed| Starts::new(&all()[1], 0, SECOND, seed).collect::<Vec<u64>>();
        assert_eq!(starts(1), starts(1));
        assert_ne!(starts(1), starts(2));
    }

    #[test]
    fn models_in_words() {
        let words: Vec<String> = all().iter().map(Schedule::describe).collect();
        insta::assert_snapshot!(words.join("\n"), @r"
        100 operations a second
        100 operations a second, at random
        10 to 200 operations a second
        50 operations a second, 25 more every 2 s
        50 operations a second, 300 for 2 s from 4 s
        10 to 200 operations a second for 5 s, then 100 operations a second for 5 s
        ");
    }

    proptest! {
        #[test]
        fn starts_never_go_back_and_none_is_after_the_end(model in 0usize..6, seed: u64, warm_up in 0..3 * SECOND) {
            let starts: Vec<u64> = Starts::new(&all()[model], warm_up, 10 * SECOND, seed).collect();
            prop_assert!(starts.is_sorted());
            prop_assert!(starts.last().is_none_or(|last| *last < warm_up + 10 * SECOND));
        }
    }
}
