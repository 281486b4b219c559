//! Statistics over trials, never over requests, because the requests of one trial are not independent. All methods hold
//! with few trials and for any distribution: intervals of medians by order statistics (the inverted sign test: Hahn and
//! Meeker, Statistical Intervals, 1991, section 5.2), intervals of ratios and tests by ranks (Wilcoxon 1945; Mann and
//! Whitney 1947), and for many figures at once the step of Westfall and Young (Resampling-Based Multiple Testing, 1993,
//! section 2.3): each p is compared with the lowest p of all figures when trials are assigned to the samples at random.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The seed is fixed, so that the same values give the same result.
const SEED: u64 = 0x5eed;
/// Probability outside an interval, at both ends together.
const LEFT_OUT: f64 = 0.05;
/// Maximum number of assignments of ranks that are enumerated. If there are more, this many are drawn at random.
const MAX_DEALS: usize = 20_000;
/// Number of random assignments of trials for many figures at once.
const FAMILY_DEALS: usize = 2_000;
/// Maximum number of pairs for the exact distribution of ranks. Larger samples use the normal distribution.
const MAX_EXACT_PAIRS: usize = 2_500;
/// The normal distribution's 97.5th percentile.
const Z: f64 = 1.959_964;

/// Where a figure lies, at 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// Whether the two intervals have a value in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }

    /// Whether a value lies in the interval.
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

/// The 95 % interval of the true median, between two of these values. `None` with fewer than six trials, because then
/// even the lowest and the highest value enclose the median in less than 95 % of cases.
#[must_use]
pub fn interval_of_median(values: &[f64]) -> Option<Interval> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    // Number of values below the interval: the largest that the sign test allows.
    let mut below = None;
    let (mut chance, mut of_this) = (0.0, 0.5f64.powi(i32::try_from(count).ok()?));
    for left_out in 0..count {
        chance += of_this;
        if 2.0 * chance > LEFT_OUT {
            break;
        }
        below = Some(left_out);
        of_this *= (count - left_out) as f64 / (left_out + 1) as f64;
    }
    let below = below?;
    Some(Interval { low: *sorted.get(below)?, high: *sorted.get(count - 1 - below)? })
}

/// The 95 % interval of the ratio of two figures, if one is a multiple of the other: between two of the ratios of their
/// trials. `None` with fewer than five trials of either, or if a value of the base is zero or less.
#[must_use]
pub fn interval_of_ratio(values: &[f64], base: &[f64]) -> Option<Interval> {
    const MIN_TRIALS: usize = 5;
    if values.len() < MIN_TRIALS || base.len() < MIN_TRIALS || base.iter().any(|value| *value <= 0.0) {
        return None;
    }
    let mut ratios: Vec<f64> = values.iter().flat_map(|value| base.iter().map(move |base| value / base)).collect();
    ratios.sort_by(f64::total_cmp);
    let below = pairs_left_out(values.len(), base.len())?;
    Some(Interval { low: *ratios.get(below)?, high: *ratios.get(ratios.len() - 1 - below)? })
}

/// How many of all pairs may lie on one side of the true ratio: the largest number whose probability in the rank-sum
/// test is at most half of [`LEFT_OUT`].
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at least 0, and below the number of pairs"
)]
fn pairs_left_out(first: usize, second: usize) -> Option<usize> {
    let pairs = first * second;
    if pairs > MAX_EXACT_PAIRS {
        let spread = (pairs as f64 * (first + second + 1) as f64 / 12.0).sqrt();
        return Some((pairs as f64 / 2.0 - Z * spread).floor().max(0.0) as usize);
    }
    // ways[m][u]: number of ways in which m values of the first sample, among the values so far, give u pairs.
    let mut ways = vec![vec![0.0f64; pairs + 1]; first + 1];
    ways[0][0] = 1.0;
    for place in 0..first + second {
        for chosen in (1..=first.min(place + 1)).rev() {
            let below = place + 1 - chosen;
            if below > second {
                continue;
            }
            for count in (below..=pairs).rev() {
                ways[chosen][count] += ways[chosen - 1][count - below];
            }
        }
    }
    let all: f64 = ways[first].iter().sum();
    let mut chance = 0.0;
    let allowed = ways[first].iter().take_while(|count| {
        chance += **count / all;
        2.0 * chance <= LEFT_OUT
    });
    allowed.count().checked_sub(1)
}

/// The two-sided p of the rank-sum test: the probability that two samples of the same distribution have ranks at least
/// as far apart as these. Equal values get the mean of their ranks.
#[must_use]
pub fn rank_sum_p(first: &[f64], second: &[f64]) -> f64 {
    let test = RankSum::of(first, second);
    test.p(test.distance(&(0..first.len()).collect::<Vec<_>>()))
}

/// The rank-sum test of one pair of samples, for any assignment of their values to the two samples.
struct RankSum {
    ranks: Vec<f64>,
    own: usize,
    /// Rank distances of all assignments, or of a random selection, ascending.
    distances: Vec<f64>,
}

impl RankSum {
    fn of(first: &[f64], second: &[f64]) -> Self {
        let ranks = ranks(&[first, second].concat());
        let mut test = Self { own: first.len(), ranks, distances: Vec::new() };
        let mut distances = Vec::new();
        if deals(test.ranks.len(), test.own) <= MAX_DEALS {
            deal(&test.ranks, test.own, 0.0, &mut |sum| distances.push(test.distance_of(sum)));
        } else {
            let mut rng = ChaCha8Rng::seed_from_u64(SEED);
            distances.extend((0..MAX_DEALS).map(|_| test.distance_of(drawn_sum(&test.ranks, test.own, &mut rng))));
            // The observed assignment is one of them.
            distances.push(test.distance_of(test.ranks.iter().take(test.own).sum()));
        }
        distances.sort_by(f64::total_cmp);
        test.distances = distances;
        test
    }

    fn distance_of(&self, sum: f64) -> f64 {
        let mean = self.ranks.iter().sum::<f64>() / self.ranks.len().max(1) as f64;
        (sum - self.own as f64 * mean).abs()
    }

    /// The rank distance if the values at these indices are the first sample.
    fn distance(&self, chosen: &[usize]) -> f64 {
        self.distance_of(chosen.iter().filter_map(|place| self.ranks.get(*place)).sum())
    }

    fn p(&self, distance: f64) -> f64 {
        // Sums of half ranks are exact; the tolerance is for rounding in their mean.
        let nearer = self.distances.partition_point(|other| *other < distance - 1e-9);
        (self.distances.len() - nearer) as f64 / self.distances.len().max(1) as f64
    }
}

/// Two samples of one figure.
pub type Samples = (Vec<f64>, Vec<f64>);

/// The p of each figure, corrected for many figures: the probability that *any* figure of any group has a p as low as
/// this one if nothing differs. The trials of a group are assigned together, so that correlated figures count once. The
/// order is that of `groups`.
#[must_use]
pub fn family_p(groups: &[Vec<Samples>]) -> Vec<Vec<f64>> {
    let tests: Vec<Vec<RankSum>> =
        groups.iter().map(|group| group.iter().map(|(first, second)| RankSum::of(first, second)).collect()).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut lowest: Vec<f64> =
        (0..FAMILY_DEALS).map(|_| tests.iter().map(|group| lowest_p(group, &mut rng)).fold(1.0, f64::min)).collect();
    lowest.sort_by(f64::total_cmp);
    let family = |test: &RankSum| {
        let own = test.p(test.distance(&(0..test.own).collect::<Vec<_>>()));
        let as_low = lowest.partition_point(|other| *other <= own + 1e-12);
        // The observed assignment is one of them.
        ((as_low + 1) as f64 / (FAMILY_DEALS + 1) as f64).max(own)
    };
    tests.iter().map(|group| group.iter().map(family).collect()).collect()
}

/// The lowest p of a group after a random assignment of its trials.
fn lowest_p(group: &[RankSum], rng: &mut ChaCha8Rng) -> f64 {
    // Figures with equal numbers of trials were measured in the same trials, so they share an assignment.
    let mut dealt: Vec<((usize, usize), Vec<usize>)> = Vec::new();
    let mut lowest = 1.0f64;
    for test in group {
        let sizes = (test.ranks.len(), test.own);
        if !dealt.iter().any(|(known, _)| *known == sizes) {
            let mut left: Vec<usize> = (0..sizes.0).collect();
            let chosen = (0..sizes.1).map(|_| left.swap_remove(rng.random_range(0..left.len()))).collect();
            dealt.push((sizes, chosen));
        }
        let chosen = dealt.iter().find(|(known, _)| *known == sizes).map(|(_, chosen)| chosen.as_slice());
        lowest = lowest.min(test.p(test.distance(chosen.unwrap_or_default())));
    }
    lowest
}

/// The lowest p that samples of these sizes can reach.
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

/// Number of ways to choose `own` of `all`, at most [`MAX_DEALS`] + 1.
fn deals(all: usize, own: usize) -> usize {
    let mut count = 1usize;
    for chosen in 1..=own.min(all - own) {
        count = count.saturating_mul(all + 1 - chosen) / chosen;
        if count > MAX_DEALS {
            return MAX_DEALS + 1;
        }
    }
    count
}

/// Calls `each` with the sum of ranks for every way to choose `own` of them.
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
    fn the_rank_sum_test_gives_textbook_values() {
        // All values of one sample are above all of the other: 2 of C(8, 4) = 70 ways.
        assert!((rank_sum_p(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0]) - 2.0 / 70.0).abs() < 1e-12);
        assert!((rank_sum_p(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]) - 0.1).abs() < 1e-12);
        assert!((rank_sum_p(&[1.0, 1.0], &[1.0, 1.0]) - 1.0).abs() < 1e-12);
        assert!((least_p(4, 4) - 2.0 / 70.0).abs() < 1e-12);
    }

    #[test]
    fn an_interval_encloses_the_median_and_few_trials_have_none() {
        let values = [10.0, 11.0, 12.0, 13.0, 14.0, 30.0];
        assert_eq!(interval_of_median(&values), Some(Interval { low: 10.0, high: 30.0 }));
        assert_eq!(interval_of_median(&values[..5]), None);
        let nine: Vec<f64> = (1..=9).map(f64::from).collect();
        assert_eq!(interval_of_median(&nine), Some(Interval { low: 2.0, high: 8.0 }), "the sign test's table");
        assert_eq!(interval_of_ratio(&values, &[0.0, 1.0, 1.0, 1.0, 1.0]), None, "nothing is so many times zero");
        assert_eq!(interval_of_ratio(&values[..4], &values), None);
        assert_eq!(pairs_left_out(5, 5), Some(2), "the rank-sum test's table");
        assert_eq!(pairs_left_out(10, 10), Some(23));
    }

    /// Values that are distributed like run times: a few are far above the rest.
    fn draw(rng: &mut ChaCha8Rng, count: usize, times: f64) -> Vec<f64> {
        use rand_distr::{Distribution, LogNormal};
        let skewed = LogNormal::new(0.0, 0.6).unwrap();
        (0..count).map(|_| times * skewed.sample(rng)).collect()
    }

    #[test]
    fn intervals_cover_the_true_value_in_95_of_100_cases() {
        const SERIES: u32 = 4_000;
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for trials in [6, 7, 8, 10, 15, 30] {
            let (mut of_median, mut of_ratio) = (0u32, 0u32);
            for _ in 0..SERIES {
                let (values, base) = (draw(&mut rng, trials, 3.0), draw(&mut rng, trials, 1.0));
                of_median += u32::from(interval_of_median(&values).unwrap().contains(3.0));
                of_ratio += u32::from(interval_of_ratio(&values, &base).unwrap().contains(3.0));
            }
            for covered in [of_median, of_ratio] {
                let share = f64::from(covered) / f64::from(SERIES);
                // A true coverage of 95 % gives at least 94 % of 4000, except in one series of five hundred.
                assert!(share >= 0.94, "{trials} trials: {share}");
            }
        }
    }

    #[test]
    fn figures_without_a_difference_show_one_in_at_most_5_of_100_families() {
        const FAMILIES: u32 = 300;
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for (targets, figures, trials) in [(1, 30, 6), (3, 20, 8)] {
            let mut shown = 0u32;
            for _ in 0..FAMILIES {
                let group = |rng: &mut ChaCha8Rng| {
                    // Half of the figures are copies of each other.
                    let (a, b) = (draw(rng, trials, 1.0), draw(rng, trials, 1.0));
                    let same = (0..figures / 2).map(|_| (a.clone(), b.clone())).collect::<Vec<_>>();
                    let own = (0..figures / 2).map(|_| (draw(rng, trials, 1.0), draw(rng, trials, 1.0)));
                    own.collect::<Vec<_>>().into_iter().chain(same).collect::<Vec<Samples>>()
                };
                let family: Vec<Vec<Samples>> = (0..targets).map(|_| group(&mut rng)).collect();
                shown += u32::from(family_p(&family).into_iter().flatten().any(|p| p <= 0.05));
            }
            // A true rate of 5 % gives at most 8 % of 300, except in one series of a hundred.
            assert!(shown <= 24, "{shown} of {FAMILIES}");
        }
    }

    #[test]
    fn a_difference_in_one_figure_of_many_is_found_with_enough_trials() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let mut family: Vec<Samples> = (0..30).map(|_| (draw(&mut rng, 9, 1.0), draw(&mut rng, 9, 1.0))).collect();
        family.push((draw(&mut rng, 9, 1.0), draw(&mut rng, 9, 20.0)));
        let p = family_p(&[family]).remove(0);
        assert!(p[30] <= 0.05, "{}", p[30]);
        assert!(p[..30].iter().all(|p| *p > 0.05));
    }

    proptest! {
        #[test]
        fn p_is_a_probability_and_symmetric_in_the_samples(
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
