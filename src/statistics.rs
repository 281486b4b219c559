//! Statistics over trials, never over requests: requests of one trial share its accidents. Everything here keeps its promise
//! with few trials and whatever the distribution: intervals of medians by order statistics (the sign test turned around:
//! Hahn and Meeker, Statistical Intervals, 1991, section 5.2), intervals of ratios and tests by ranks (Wilcoxon 1945; Mann and
//! Whitney 1947), and for many figures at once the step of Westfall and Young (Resampling-Based Multiple Testing, 1993,
//! section 2.3): the lowest of all p, against how low it gets when trials are dealt out anew.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The same values give the same result.
const SEED: u64 = 0x5eed;
/// What an interval leaves out, at both ends together.
const LEFT_OUT: f64 = 0.05;
/// Up to so many ways to deal out the ranks all of them are gone through; beyond, so many are drawn.
const MAX_DEALS: usize = 20_000;
/// How often trials are dealt out anew for many figures at once.
const FAMILY_DEALS: usize = 2_000;
/// Of larger samples the normal distribution tells how far ranks may be apart.
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

/// Where the median over all trials that could be made lies: between two of these. None of fewer than six trials, of which
/// not even the lowest and the highest have it between them 19 times in 20.
#[must_use]
pub fn interval_of_median(values: &[f64]) -> Option<Interval> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    // So many values may lie below the interval: as many as the sign test allows.
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

/// Where the ratio of two figures lies, if one is so many times the other: between two of the ratios of their trials. None
/// of fewer than five trials each, or where the base can be zero.
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

/// How many of all pairs may lie on one side of the truth: the largest number to which the rank-sum test gives at most half
/// of what is left out.
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
    // ways[m][u]: in how many ways m of the first sample among the values so far give u pairs.
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

/// How likely it is that two samples of the same thing have ranks as far apart as these, whichever is higher: the
/// two-sided p of the rank-sum test, with middle ranks for equal values.
#[must_use]
pub fn rank_sum_p(first: &[f64], second: &[f64]) -> f64 {
    let test = RankSum::of(first, second);
    test.p(test.distance(&(0..first.len()).collect::<Vec<_>>()))
}

/// The rank-sum test of one pair of samples, for any dealing out of their values.
struct RankSum {
    ranks: Vec<f64>,
    own: usize,
    /// How far apart ranks are, of every dealing out or of many, ascending.
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
            // What was seen is one of them.
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

    /// How far apart ranks are if the values in these places are the first sample.
    fn distance(&self, chosen: &[usize]) -> f64 {
        self.distance_of(chosen.iter().filter_map(|place| self.ranks.get(*place)).sum())
    }

    fn p(&self, distance: f64) -> f64 {
        // Sums of halves are exact; the room is for their mean.
        let nearer = self.distances.partition_point(|other| *other < distance - 1e-9);
        (self.distances.len() - nearer) as f64 / self.distances.len().max(1) as f64
    }
}

/// Two samples of one figure.
pub type Samples = (Vec<f64>, Vec<f64>);

/// For many figures at once: how likely it is that of all figures of all groups *any* has ranks as far apart as this one, if
/// nothing differs. Trials of a group are dealt out together, so that figures that follow each other count once. The order
/// is that of `groups`.
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
        // The deal that was seen is one of them.
        ((as_low + 1) as f64 / (FAMILY_DEALS + 1) as f64).max(own)
    };
    tests.iter().map(|group| group.iter().map(family).collect()).collect()
}

/// The lowest p of a group whose trials are dealt out anew.
fn lowest_p(group: &[RankSum], rng: &mut ChaCha8Rng) -> f64 {
    // Figures that were measured in as many trials were measured in the same ones.
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
        if count > MAX_DEALS {
            return MAX_DEALS + 1;
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
    fn an_interval_lies_around_the_median_and_few_trials_have_none() {
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

    /// Values that scatter as run times do: few are far above the rest.
    fn draw(rng: &mut ChaCha8Rng, count: usize, times: f64) -> Vec<f64> {
        use rand_distr::{Distribution, LogNormal};
        let skewed = LogNormal::new(0.0, 0.6).unwrap();
        (0..count).map(|_| times * skewed.sample(rng)).collect()
    }

    #[test]
    fn intervals_cover_the_truth_as_often_as_they_promise() {
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
                // What is at least 95 % is seen in at least 94 % of 4000, but for one series in five hundred.
                assert!(share >= 0.94, "{trials} trials: {share}");
            }
        }
    }

    #[test]
    fn of_many_figures_of_the_same_thing_any_differs_in_at_most_5_of_100_families() {
        const FAMILIES: u32 = 300;
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for (targets, figures, trials) in [(1, 30, 6), (3, 20, 8)] {
            let mut shown = 0u32;
            for _ in 0..FAMILIES {
                let group = |rng: &mut ChaCha8Rng| {
                    // Half of the figures follow each other.
                    let (a, b) = (draw(rng, trials, 1.0), draw(rng, trials, 1.0));
                    let same = (0..figures / 2).map(|_| (a.clone(), b.clone())).collect::<Vec<_>>();
                    let own = (0..figures / 2).map(|_| (draw(rng, trials, 1.0), draw(rng, trials, 1.0)));
                    own.collect::<Vec<_>>().into_iter().chain(same).collect::<Vec<Samples>>()
                };
                let family: Vec<Vec<Samples>> = (0..targets).map(|_| group(&mut rng)).collect();
                shown += u32::from(family_p(&family).into_iter().flatten().any(|p| p <= 0.05));
            }
            // What is at most 5 % is seen in at most 8 % of 300, but for one series in a hundred.
            assert!(shown <= 24, "{shown} of {FAMILIES}");
        }
    }

    #[test]
    fn a_difference_in_one_figure_of_many_is_found_where_there_are_trials_enough() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let mut family: Vec<Samples> = (0..30).map(|_| (draw(&mut rng, 9, 1.0), draw(&mut rng, 9, 1.0))).collect();
        family.push((draw(&mut rng, 9, 1.0), draw(&mut rng, 9, 20.0)));
        let p = family_p(&[family]).remove(0);
        assert!(p[30] <= 0.05, "{}", p[30]);
        assert!(p[..30].iter().all(|p| *p > 0.05));
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
