//! Marks the best and the worst figures of a column, if their intervals do not overlap.

use serde::Serialize;

use crate::metric::Better;
use crate::record::{Figure, TargetSummary, TargetVerdict};

/// The rank of a figure among those of other targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Neither best nor worst, or not decidable.
    #[default]
    None,
    /// No other is better.
    Best,
    /// No other is worse.
    Worst,
}

/// The marks of a metric, one per target, in the order of `targets`. Figures whose intervals overlap are not ranked.
/// Invalid and unsupported targets have no rank.
#[must_use]
pub fn marks(targets: &[TargetSummary], metric: &str) -> Vec<Mark> {
    let figure = |target: &TargetSummary| {
        target.figures.iter().find(|figure| is_counted(target) && figure.metric == metric).cloned()
    };
    let figures: Vec<Option<Figure>> = targets.iter().map(figure).collect();
    let known = || figures.iter().flatten();
    let counting = targets.iter().filter(|target| is_counted(target)).count();
    // A figure that some targets lack, such as the bytes of a network, is not ranked.
    if known().count() < counting {
        return vec![Mark::None; targets.len()];
    }
    let is_better = |one: &Figure, other: &Figure| match (one.median, other.median) {
        (Some(a), Some(b)) => {
            let apart = one.interval.zip(other.interval).is_none_or(|(one, other)| !one.overlaps(&other));
            apart && if one.better == Better::Higher { a > b } else { a < b }
        }
        // A recovery that never came is worse than any other.
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
