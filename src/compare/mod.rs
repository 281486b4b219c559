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
            format!("{}: {}, was {}{times}", figure.metric, show(figure.unit, figure.b), show(figure.unit, figure.a))
        });
        self.verdict_regressions().into_iter().chain(figures).collect()
    }

    fn verdict_regressions(&self) -> Vec<String> {
        let mut regressions = Vec::new();
        let (a, b) = self.overall;
        if (a == TargetVerdict::Pass || b == TargetVerdict::Violated) && a < b {
            regressions.push(format!("verdict: {b}, was {a}"));
        } else if a == TargetVerdict::Violated && b == TargetVerdict::Unknown {
            regressions.push(format!("verdict: {b}, was {a}: nothing was decided"));
        }
        let worse = self.verdicts.iter().filter(|verdict| verdict.b > verdict.a);
        regressions.extend(worse.map(|verdict| format!("{}: {}, was {}", verdict.guarantee, verdict.b, verdict.a)));
        if self.trials.1 < self.trials.0 {
            regressions.push(format!("trials: {} of {} are missing", self.trials.0 - self.trials.1, self.trials.0));
        }
        let per_trial = |count: u64, trials: usize| count as f64 / trials.max(1) as f64;
        for (guarantee, (of_a, of_b)) in self.violations.iter().filter(|(_, (of_a, _))| *of_a > 0) {
            let (before, now) = (per_trial(*of_a, self.trials.0), per_trial(*of_b, self.trials.1));
            if now >= MULTIPLIED.0 * before && now - before >= MULTIPLIED.1 {
                regressions.push(format!("{guarantee}: {now:.0} violations a trial, {before:.0} before"));
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
    use std::path::Path;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, LogNormal};

    use super::*;
    use crate::record::Evidence;
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
    fn each_finding_has_words_of_its_own() {
        use Finding::{Better, Different, NoDifferenceShown, Same, TooFewTrials, Worse};
        let words = [Better, Worse, Different, Same, NoDifferenceShown, TooFewTrials].map(Finding::words);
        let expected = ["better", "worse", "different", "the same", "no difference shown", "too few trials to tell"];
        assert_eq!(words, expected);
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

    /// Two targets that do not differ.
    fn alike() -> TargetComparison {
        TargetComparison {
            a: "x ×3".into(),
            b: "x ×3".into(),
            trials: (5, 5),
            overall: (TargetVerdict::Pass, TargetVerdict::Pass),
            violations: BTreeMap::new(),
            verdicts: Vec::new(),
            figures: Vec::new(),
        }
    }

    #[test]
    fn a_verdict_that_got_worse_is_a_regression_and_one_that_is_not_decided_any_more_too() {
        use TargetVerdict::{Invalid, Pass, Unknown, Violated};
        let of = |a, b| TargetComparison { overall: (a, b), ..alike() }.regressions(0.0).join("; ");
        for as_good in [Pass, Unknown, Violated, Invalid] {
            assert_eq!((of(as_good, as_good), of(as_good, Pass)), (String::new(), String::new()), "{as_good}");
        }
        assert_eq!(of(Pass, Unknown), "verdict: unknown, was pass");
        assert_eq!(of(Pass, Violated), "verdict: violated, was pass");
        assert_eq!(of(Pass, Invalid), "verdict: invalid, was pass");
        assert_eq!(of(Unknown, Violated), "verdict: violated, was unknown");
        assert_eq!(of(Violated, Unknown), "verdict: unknown, was violated: nothing was decided");
        assert_eq!(of(Invalid, Violated), "");
        assert_eq!(of(Unknown, Invalid), "");
    }

    #[test]
    fn a_guarantee_that_got_worse_and_a_trial_that_is_missing_are_regressions() {
        let verdict = |guarantee, a, b| VerdictComparison { guarantee, a, b };
        let verdicts = vec![
            verdict(Guarantee::NoLostUpdate, Verdict::Pass, Verdict::Violated),
            verdict(Guarantee::OneHistory, Verdict::Violated, Verdict::Unknown),
        ];
        let compared = TargetComparison { verdicts, trials: (5, 3), ..alike() };
        assert_eq!(compared.regressions(0.0), ["no-lost-update: violated, was pass", "trials: 2 of 5 are missing"]);
        assert!(TargetComparison { trials: (3, 5), ..alike() }.regressions(0.0).is_empty());
    }

    #[test]
    fn violations_are_a_regression_if_each_trial_has_twice_as_many_and_ten_more() {
        let of = |a, b| {
            let violations = BTreeMap::from([(Guarantee::NoLostUpdate, (a, b))]);
            TargetComparison { violations, trials: (5, 10), ..alike() }.regressions(0.0).join("; ")
        };
        // A's five trials had twenty each.
        assert_eq!(of(100, 400), "no-lost-update: 40 violations a trial, 20 before");
        assert_eq!(of(100, 399), "");
        // Eleven instead of one, and a little fewer than that.
        assert_eq!(of(5, 110), "no-lost-update: 11 violations a trial, 1 before");
        assert_eq!(of(5, 109), "");
        assert_eq!(of(100, 100), "");
        assert_eq!(of(0, 400), "", "the verdict says that");
    }

    #[test]
    fn a_figure_is_a_regression_if_it_is_worse_by_more_than_the_threshold() {
        let of = |finding, ratio| {
            let low = of(&[1000.0, 2000.0], Better::Lower);
            let mut figure = FigureComparison { finding, ..figure(&low, &low) };
            figure.ratio = ratio;
            TargetComparison { figures: vec![figure], ..alike() }.regressions(0.25).join("; ")
        };
        assert_eq!(of(Finding::Worse, Some(1.5)), "response.p99: 1.5 ms, was 1.5 ms, 1.50 times");
        assert_eq!(of(Finding::Worse, Some(0.5)), "response.p99: 1.5 ms, was 1.5 ms, 0.50 times");
        assert_eq!(of(Finding::Worse, Some(1.25)), "");
        assert_eq!(of(Finding::Worse, None), "response.p99: 1.5 ms, was 1.5 ms");
        for finding in [Finding::Better, Finding::Different, Finding::Same, Finding::NoDifferenceShown] {
            assert_eq!(of(finding, Some(1.5)), "");
        }
    }

    #[test]
    fn the_ratio_is_b_over_a_where_there_is_something_to_divide_by() {
        let ratio = |a: &[f64], b: &[f64]| figure(&of(a, Better::Lower), &of(b, Better::Lower)).ratio;
        assert_eq!(ratio(&[2.0], &[5.0]), Some(2.5));
        assert_eq!(ratio(&[0.0], &[5.0]), None);
        assert_eq!(ratio(&[2.0], &[]), None);
        let five = of(&[1.0, 2.0, 3.0, 4.0, 5.0], Better::Lower);
        assert!(figure(&five, &five).interval.is_some());
        let once_never = Figure { never: 1, ..five.clone() };
        assert_eq!(figure(&five, &once_never).interval, None);
        assert_eq!(figure(&once_never, &five).interval, None);
        assert_eq!(values(&once_never), [1.0, 2.0, 3.0, 4.0, 5.0, f64::INFINITY]);
    }

    #[test]
    fn targets_are_compared_by_what_both_have_and_a_difference_must_stand_out_of_all_figures() {
        let mut a = Evidence::read(Path::new("reports/example")).unwrap().summary.targets.swap_remove(0);
        let (low, high) = ([10.0, 11.0, 12.0, 13.0], [20.0, 21.0, 22.0, 23.0]);
        let named = |name: &str, values: &[f64]| Figure { metric: name.into(), ..of(values, Better::Lower) };
        a.figures = vec![named("one", &low), named("of-a", &low)];
        a.guarantees = [(Guarantee::NoLostUpdate, Verdict::Pass), (Guarantee::OneHistory, Verdict::Pass)].into();
        a.violations = [(Guarantee::SessionSurvives, 3)].into();
        let mut b = a.clone();
        b.figures = vec![named("of-b", &low), named("one", &high)];
        b.guarantees = [(Guarantee::NoLostUpdate, Verdict::Violated), (Guarantee::OneHistory, Verdict::Pass)].into();
        b.violations = [(Guarantee::NoLostUpdate, 7)].into();
        let alone = compare(&[(&a, &b)]).remove(0);
        assert_eq!((alone.a, alone.trials), ("tomcat-none ×3".to_owned(), (a.trials, b.trials)));
        let lost = VerdictComparison { guarantee: Guarantee::NoLostUpdate, a: Verdict::Pass, b: Verdict::Violated };
        assert_eq!(alone.verdicts, [lost]);
        let violations = [(Guarantee::SessionSurvives, (3, 0)), (Guarantee::NoLostUpdate, (0, 7))];
        assert_eq!(alone.violations, violations.into());
        let [figure] = alone.figures.as_slice() else { panic!("{:?}", alone.figures) };
        assert_eq!((figure.metric.as_str(), figure.finding), ("one", Finding::Worse));
        assert_eq!(figure.p, figure.family_p, "it is the only one");
        // The same difference in one of three targets could be chance.
        let among_others = compare(&[(&a, &a), (&a, &b), (&a, &a)]);
        let findings: Vec<Finding> = among_others.iter().map(|target| target.figures[0].finding).collect();
        assert_eq!(findings, [Finding::NoDifferenceShown; 3]);
        assert!(among_others[1].figures[0].family_p > Some(LEVEL));
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
