//! Comparison of two records, or of two targets of one record: is B better than A? Each figure gets the ratio of its
//! medians, the ratio's interval, and whether a difference is shown. Verdicts, violations and numbers of trials are
//! compared, too. Pure: summaries in, findings out.

mod comparable;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::check::{Guarantee, Verdict};
use crate::metric::{Better, Unit};
use crate::record::{Figure, TargetSummary, TargetVerdict};
use crate::statistics::{Interval, Samples, family_p, interval_of_ratio, least_p, rank_sum_p};

pub use comparable::differences;

/// Maximum probability that two records of the same system show a difference in any figure of any target.
pub const LEVEL: f64 = 0.05;
/// Violations per trial are a regression if they are at least this multiple of A's, and at least this many more.
const MULTIPLIED: (f64, f64) = (2.0, 10.0);

/// The result of comparing a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// B is better.
    Better,
    /// B is worse.
    Worse,
    /// It differs, and neither direction is better.
    Different,
    /// All values are the same.
    Same,
    /// The difference may be chance.
    NoDifferenceShown,
    /// There are too few trials to show any difference.
    TooFewTrials,
}

impl Finding {
    /// The finding as text.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Different => "different",
            Self::Same => "the same",
            Self::NoDifferenceShown => "no difference shown",
            Self::TooFewTrials => "too few trials to tell",
        }
    }
}

/// One figure of both targets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FigureComparison {
    /// Its name.
    pub metric: String,
    /// Its unit.
    pub unit: Unit,
    /// A's median.
    pub a: Option<f64>,
    /// B's median.
    pub b: Option<f64>,
    /// B's median over A's; `None` if A's is zero or either is missing.
    pub ratio: Option<f64>,
    /// The 95 % interval of the ratio; `None` with fewer than five trials of either.
    pub interval: Option<Interval>,
    /// Probability of ranks this far apart in this figure if both are the same system; `None` if it was not tested.
    pub p: Option<f64>,
    /// Probability of ranks this far apart in any figure of any compared target.
    pub family_p: Option<f64>,
    /// The result.
    pub finding: Finding,
}

/// A guarantee on which the two have different verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerdictComparison {
    /// The guarantee.
    pub guarantee: Guarantee,
    /// A's verdict.
    pub a: Verdict,
    /// B's verdict.
    pub b: Verdict,
}

/// The comparison of a target of A with a target of B.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetComparison {
    /// A's name, with its number of nodes.
    pub a: String,
    /// B's name, with its number of nodes.
    pub b: String,
    /// Number of trials of each.
    pub trials: (usize, usize),
    /// The overall verdict of each.
    pub overall: (TargetVerdict, TargetVerdict),
    /// Violations of each guarantee, over all trials: A's and B's.
    pub violations: BTreeMap<Guarantee, (u64, u64)>,
    /// Guarantees with different verdicts.
    pub verdicts: Vec<VerdictComparison>,
    /// Every figure that both have.
    pub figures: Vec<FigureComparison>,
}

/// Compares targets, pair by pair. [`LEVEL`] holds over all figures of all pairs together.
#[must_use]
pub fn compare(pairs: &[(&TargetSummary, &TargetSummary)]) -> Vec<TargetComparison> {
    let mut compared: Vec<TargetComparison> = pairs.iter().map(|(a, b)| TargetComparison::of(a, b)).collect();
    let samples: Vec<Vec<Samples>> =
        pairs.iter().map(|(a, b)| common(a, b).map(|(a, b)| (values(a), values(b))).collect()).collect();
    for (target, family) in compared.iter_mut().zip(family_p(&samples)) {
        for (figure, family_p) in target.figures.iter_mut().zip(family) {
            figure.judge(family_p);
        }
    }
    compared
}

/// The figures that both targets have.
fn common<'a>(a: &'a TargetSummary, b: &'a TargetSummary) -> impl Iterator<Item = (&'a Figure, &'a Figure)> {
    a.figures.iter().filter_map(|of_a| Some((of_a, b.figures.iter().find(|of_b| of_b.metric == of_a.metric)?)))
}

impl TargetComparison {
    fn of(a: &TargetSummary, b: &TargetSummary) -> Self {
        let verdicts = a.guarantees.iter().filter_map(|(guarantee, of_a)| {
            let of_b = b.guarantees.get(guarantee).filter(|of_b| *of_b != of_a)?;
            Some(VerdictComparison { guarantee: *guarantee, a: *of_a, b: *of_b })
        });
        let count = |target: &TargetSummary, guarantee: &Guarantee| {
            target.violations.get(guarantee).copied().unwrap_or_default()
        };
        let both = a.violations.keys().chain(b.violations.keys());
        let name = |target: &TargetSummary| format!("{} ×{}", target.target, target.nodes);
        Self {
            a: name(a),
            b: name(b),
            trials: (a.trials, b.trials),
            overall: (a.verdict, b.verdict),
            violations: both.map(|guarantee| (*guarantee, (count(a, guarantee), count(b, guarantee)))).collect(),
            verdicts: verdicts.collect(),
            figures: common(a, b).map(|(a, b)| figure(a, b)).collect(),
        }
    }

    /// The regressions: worse verdicts, more violations, missing trials, and figures worse by more than this share.
    #[must_use]
    pub fn regressions(&self, threshold: f64) -> Vec<String> {
        let worse = self.figures.iter().filter(|figure| figure.finding == Finding::Worse);
        let over_threshold = worse.filter(|figure| match figure.ratio {
            Some(ratio) => (ratio - 1.0).abs() > threshold,
            None => true,
        });
        let figures = over_threshold.map(|figure| {
            let times = figure.ratio.map(|ratio| format!(", {ratio:.2} times")).unwrap_or_default();
            format!("{}: {} was {}{times}", figure.metric, show(figure.unit, figure.b), show(figure.unit, figure.a))
        });
        self.verdict_regressions().into_iter().chain(figures).collect()
    }

    fn verdict_regressions(&self) -> Vec<String> {
        let mut regressions = Vec::new();
        let (a, b) = self.overall;
        if (a == TargetVerdict::Pass || b == TargetVerdict::Violated) && a < b {
            regressions.push(format!("verdict: {b} was {a}"));
        } else if a == TargetVerdict::Violated && b == TargetVerdict::Unknown {
            regressions.push(format!("verdict: {b} was {a}: nothing was decided"));
        }
        let worse = self.verdicts.iter().filter(|verdict| verdict.b > verdict.a);
        regressions.extend(worse.map(|verdict| format!("{}: {} was {}", verdict.guarantee, verdict.b, verdict.a)));
        if self.trials.1 < self.trials.0 {
            regressions.push(format!("trials: {} of {} are missing", self.trials.0 - self.trials.1, self.trials.0));
        }
        let per_trial = |count: u64, trials: usize| count as f64 / trials.max(1) as f64;
        for (guarantee, (of_a, of_b)) in self.violations.iter().filter(|(_, (of_a, _))| *of_a > 0) {
            let (before, now) = (per_trial(*of_a, self.trials.0), per_trial(*of_b, self.trials.1));
            if now >= MULTIPLIED.0 * before && now - before >= MULTIPLIED.1 {
                regressions.push(format!("{guarantee}: {now:.0} violations a trial were {before:.0}"));
            }
        }
        regressions
    }
}

impl FigureComparison {
    /// Withdraws a difference that is not shown once all compared figures are taken together.
    fn judge(&mut self, family_p: f64) {
        if self.p.is_some() {
            self.family_p = Some(family_p);
            if family_p > LEVEL {
                self.finding = Finding::NoDifferenceShown;
            }
        }
    }
}

/// A value as text; a missing one is `never`.
#[must_use]
pub fn show(unit: Unit, value: Option<f64>) -> String {
    unit.show(value.unwrap_or(f64::INFINITY))
}

/// All values, then infinity for each recovery that never came.
fn values(figure: &Figure) -> Vec<f64> {
    let never = std::iter::repeat_n(f64::INFINITY, figure.never);
    figure.values.iter().copied().chain(never).collect()
}

/// Compares one figure of two targets by itself. The rank-sum test decides whether a difference is shown.
#[must_use]
pub fn figure(a: &Figure, b: &Figure) -> FigureComparison {
    let (of_a, of_b) = (values(a), values(b));
    let ratio = a.median.zip(b.median).filter(|(a, _)| *a > 0.0).map(|(a, b)| b / a);
    let is_same = of_a.iter().chain(&of_b).all(|value| Some(value) == of_a.first());
    let can_tell = least_p(of_a.len(), of_b.len()) <= LEVEL;
    let p = (!is_same && can_tell).then(|| rank_sum_p(&of_a, &of_b));
    let finding = match p {
        _ if is_same => Finding::Same,
        None => Finding::TooFewTrials,
        Some(p) if p <= LEVEL => direction(a.better, &of_a, &of_b),
        Some(_) => Finding::NoDifferenceShown,
    };
    FigureComparison {
        metric: a.metric.clone(),
        unit: a.unit,
        a: a.median,
        b: b.median,
        ratio,
        interval: interval_of_ratio(&b.values, &a.values).filter(|_| a.never + b.never == 0),
        p,
        family_p: None,
        finding,
    }
}

fn direction(better: Better, a: &[f64], b: &[f64]) -> Finding {
    // Compares ranks, because medians can be equal although a difference was shown.
    let pairs = || a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
    let (higher, lower) = (pairs().filter(|(a, b)| b > a).count(), pairs().filter(|(a, b)| b < a).count());
    match (better, higher > lower) {
        (Better::Neither, _) => Finding::Different,
        (Better::Lower, false) | (Better::Higher, true) => Finding::Better,
        (Better::Lower, true) | (Better::Higher, false) => Finding::Worse,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, LogNormal};

    use super::*;
    use crate::statistics::{interval_of_median, median};

    fn of(values: &[f64], better: Better) -> Figure {
        Figure {
            metric: "response.p99".into(),
            unit: Unit::Microseconds,
            better,
            values: values.to_vec(),
            never: 0,
            median: median(values),
            interval: interval_of_median(values),
        }
    }

    fn found(a: &[f64], b: &[f64]) -> Finding {
        figure(&of(a, Better::Lower), &of(b, Better::Lower)).finding
    }

    #[test]
    fn lower_in_every_trial_is_better_and_higher_is_worse() {
        let (low, high) = ([10.0, 11.0, 12.0, 13.0], [20.0, 21.0, 22.0, 23.0]);
        assert_eq!(found(&high, &low), Finding::Better);
        assert_eq!(found(&low, &high), Finding::Worse);
        assert_eq!(figure(&of(&low, Better::Higher), &of(&high, Better::Higher)).finding, Finding::Better);
        assert_eq!(figure(&of(&low, Better::Neither), &of(&high, Better::Neither)).finding, Finding::Different);
        assert_eq!(found(&low, &[10.5, 11.5, 12.5, 9.0]), Finding::NoDifferenceShown);
        assert_eq!(found(&low, &low.map(|_| 10.0)), Finding::NoDifferenceShown);
        assert_eq!(found(&[0.0; 3], &[0.0; 3]), Finding::Same);
    }

    #[test]
    fn three_trials_each_cannot_show_any_difference() {
        assert_eq!(found(&[1.0, 2.0, 3.0], &[100.0, 200.0, 300.0]), Finding::TooFewTrials);
    }

    #[test]
    fn a_recovery_that_never_came_is_worse_than_any() {
        let came = of(&[1.0, 2.0, 3.0, 4.0], Better::Lower);
        let never = Figure { values: vec![], never: 4, median: None, interval: None, ..came.clone() };
        let compared = figure(&came, &never);
        assert_eq!((compared.finding, compared.ratio, compared.interval), (Finding::Worse, None, None));
        assert_eq!(show(compared.unit, compared.b), "never");
    }

    #[test]
    fn two_records_of_the_same_thing_differ_in_at_most_5_of_100_comparisons() {
        const COMPARISONS: u32 = 1000;
        // Response times of runs have about this distribution. Both samples are drawn from it.
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let times = LogNormal::new(10.0, 0.3).unwrap();
        for trials in [4, 5, 8, 12] {
            let mut shown = 0u32;
            for _ in 0..COMPARISONS {
                let mut draw = || (0..trials).map(|_| times.sample(&mut rng)).collect::<Vec<f64>>();
                let finding = found(&draw(), &draw());
                shown += u32::from(matches!(finding, Finding::Better | Finding::Worse));
            }
            // A true rate of 5 % gives at most 6.5 % of 1000 comparisons, except in one series of a hundred.
            assert!(f64::from(shown) / f64::from(COMPARISONS) <= 0.065, "{trials} trials: {shown} of {COMPARISONS}");
            // The test must still find a real difference.
            let twice = |rng: &mut ChaCha8Rng| (0..trials).map(|_| 4.0 * times.sample(rng)).collect::<Vec<f64>>();
            let once: Vec<f64> = (0..trials).map(|_| times.sample(&mut rng)).collect();
            assert_eq!(found(&once, &twice(&mut rng)), Finding::Worse, "{trials} trials");
        }
    }
}
