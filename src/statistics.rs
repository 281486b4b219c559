//! Statistics over trials, never over requests: requests of one trial share its accidents. Medians, bootstrap intervals
//! (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13: percentiles), and the exact rank-sum test
//! (Wilcoxon 1945; Mann and Whitney 1947), which holds its level with any number of trials, as the bootstrap with few
//! does not.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How often values are drawn again.
const RESAMPLES: usize = 2000;
/// The same values give the same interval.
const SEED: u64 = 0x5eed;
/// What an interval leaves out at each end.
const TAIL: f64 = 0.025;
/// Up to so many ways to deal out the ranks all of them are gone through; beyond, so many are drawn.
const MOST_DEALS: usize = 20_000;

/// Where a figure lies, at 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// Whether two have a value in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }

    /// Whether a value lies in it.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// The middle value; of an even number, the mean of the two in the middle.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    median_in_place(&mut values)
}

fn median_in_place(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(*values.get(middle - 1)?, upper)) }
}

/// The median's interval over trials; none of a single one, which says nothing about others.
#[must_use]
pub fn interval_of_median(values: &[f64]) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let medians = (0..RESAMPLES).filter_map(|_| resampled_median(values, &mut rng)).collect();
    percentiles(medians)
}

/// The interval of the ratio of two medians; none where either has a single trial, or the base can be zero.
#[must_use]
pub fn interval_of_ratio(values: &[f64], base: &[f64]) -> Option<Interval> {
    if values.len() < 2 || base.len() < 2 || base.iter().any(|value| *value <= 0.0) {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut ratio = || Some(resampled_median(values, &mut rng)? / resampled_median(base, &mut rng)?);
    percentiles((0..RESAMPLES).filter_map(|_| ratio()).collect())
}

fn resampled_median(values: &[f64], rng: &mut ChaCha8Rng) -> Option<f64> {
    let mut drawn: Vec<f64> =
        (0..values.len()).filter_map(|_| values.get(rng.random_range(0..values.len())).copied()).collect();
    median_in_place(&mut drawn)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place among the resamples")]
fn percentiles(mut values: Vec<f64>) -> Option<Interval> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |share: f64| values.get((share * last as f64).round() as usize).copied();
    Some(Interval { low: at(TAIL)?, high: at(1.0 - TAIL)? })
}

/// How likely it is that two samples of the same thing have ranks as far apart as these, whichever is higher: the
/// two-sided p of the rank-sum test, with middle ranks for equal values.
#[must_use]
pub fn rank_sum_p(first: &[f64], second: &[f64]) -> f64 {
    let ranks = ranks(&[first, second].concat());
    let own = first.len();
    let mean = ranks.iter().sum::<f64>() / ranks.len().max(1) as f64;
    let distance = |chosen: f64| (chosen - own as f64 * mean).abs();
    let seen = distance(ranks.iter().take(own).sum());
    // Sums of halves are exact; the room is for their mean.
    let is_as_far = |chosen: f64| distance(chosen) >= seen - 1e-9;
    if deals(ranks.len(), own) <= MOST_DEALS {
        let mut counts = (0usize, 0usize);
        deal(&ranks, own, 0.0, &mut |sum| {
            counts.0 += usize::from(is_as_far(sum));
            counts.1 += 1;
        });
        return counts.0 as f64 / counts.1.max(1) as f64;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let far = (0..MOST_DEALS).filter(|_| is_as_far(drawn_sum(&ranks, own, &mut rng))).count();
    // The deal that was seen is one of them.
    (far + 1) as f64 / (MOST_DEALS + 1) as f64
}

/// The lowest p that so many values can reach.
#[must_use]
pub fn least_p(first: usize, second: usize) -> f64 {
    2.0 / deals(first + second, first).max(1) as f64
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let equal = values.iter().filter(|other| other.total_cmp(value).is_eq()).count();
        below as f64 + f64::midpoint(equal as f64, 1.0)
    };
    values.iter().map(rank).collect()
}

/// In how many ways `own` of `all` can be chosen; no more than one beyond what is gone through.
fn deals(all: usize, own: usize) -> usize {
    let mut count = 1usize;
    for chosen in 1..=own.min(all - own) {
        count = count.saturating_mul(all + 1 - chosen) / chosen;
        if count > MOST_DEALS {
            return MOST_DEALS + 1;
        }
    }
    count
}

/// Goes through every way to choose `own` of the ranks.
fn deal(ranks: &[f64], own: usize, sum: f64, each: &mut dyn FnMut(f64)) {
    match ranks.split_first() {
        _ if own == 0 => each(sum),
        Some((first, rest)) if ranks.len() >= own => {
            deal(rest, own - 1, sum + first, each);
            deal(rest, own, sum, each);
        }
        _ => {}
    }
}

fn drawn_sum(ranks: &[f64], own: usize, rng: &mut ChaCha8Rng) -> f64 {
    let mut left = ranks.to_vec();
    (0..own).map(|_| left.swap_remove(rng.random_range(0..left.len()))).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rank_sum_test_gives_the_textbooks_values() {
        // All of one sample above all of the other: 2 of C(8, 4) = 70 ways.
        assert!((rank_sum_p(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0]) - 2.0 / 70.0).abs() < 1e-12);
        assert!((rank_sum_p(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]) - 0.1).abs() < 1e-12);
        assert!((rank_sum_p(&[1.0, 1.0], &[1.0, 1.0]) - 1.0).abs() < 1e-12);
        assert!((least_p(4, 4) - 2.0 / 70.0).abs() < 1e-12);
    }

    #[test]
    fn an_interval_lies_around_the_median_and_a_single_trial_has_none() {
        let values = [10.0, 11.0, 12.0, 13.0, 30.0];
        let interval = interval_of_median(&values).unwrap();
        assert!(interval.contains(12.0) && interval.low >= 10.0 && interval.high <= 30.0, "{interval:?}");
        assert_eq!(interval_of_median(&[10.0]), None);
        assert_eq!(interval_of_ratio(&values, &[0.0, 1.0]), None, "nothing is so many times zero");
    }

    proptest! {
        #[test]
        fn p_is_a_share_and_does_not_care_which_sample_is_first(
            first in prop::collection::vec(0u8..20, 1..7),
            second in prop::collection::vec(0u8..20, 1..7),
        ) {
            let (first, second): (Vec<f64>, Vec<f64>) =
                (first.into_iter().map(f64::from).collect(), second.into_iter().map(f64::from).collect());
            let p = rank_sum_p(&first, &second);
            prop_assert!(p > 0.0 && p <= 1.0);
            prop_assert!((p - rank_sum_p(&second, &first)).abs() < 1e-9);
        }
    }
}
