//! Which figure of a column is the best and which the worst: only where they can be told apart.

use serde::Serialize;

use crate::metric::Better;
use crate::record::{Figure, TargetSummary, TargetVerdict};

/// How a figure stands among those of other targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Neither, or it cannot be told.
    #[default]
    None,
    /// No other is better.
    Best,
    /// No other is worse.
    Worst,
}

/// The marks of a metric, a target each, in their order. Figures whose intervals overlap are not ranked, and neither are
/// those of a trial whose generator was the limit.
#[must_use]
pub fn marks(targets: &[TargetSummary], metric: &str) -> Vec<Mark> {
    let figure = |target: &TargetSummary| {
        target.figures.iter().find(|figure| is_counted(target) && figure.metric == metric).cloned()
    };
    let figures: Vec<Option<Figure>> = targets.iter().map(figure).collect();
    let known = || figures.iter().flatten();
    let counting = targets.iter().filter(|target| is_counted(target)).count();
    // What some do not have at all, such as a network, is not better or worse than what others have.
    if known().count() < counting {
        return vec![Mark::None; targets.len()];
    }
    let is_better = |one: &Figure, other: &Figure| match (one.median, other.median) {
        (Some(a), Some(b)) => {
            let apart = one.interval.zip(other.interval).is_none_or(|(one, other)| !one.overlaps(&other));
            apart && if one.better == Better::Higher { a > b } else { a < b }
        }
        // A recovery that never came is worse than any.
        (Some(_), None) => other.never > 0,
        _ => false,
    };
    let mark = |figure: &Option<Figure>| {
        let Some(own) = figure.as_ref().filter(|own| own.better != Better::Neither) else { return Mark::None };
        let (beaten, beats) = (known().any(|other| is_better(other, own)), known().any(|other| is_better(own, other)));
        match (beaten, beats) {
            (false, true) => Mark::Best,
            (true, false) => Mark::Worst,
            _ => Mark::None,
        }
    };
    figures.iter().map(mark).collect()
}

const fn is_counted(target: &TargetSummary) -> bool {
    !matches!(target.verdict, TargetVerdict::Invalid | TargetVerdict::Unsupported)
}
