//! Every figure of a target over its trials: each value, their median, and the median's interval.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::measure::Measurements;
use crate::metric::{Better, Metric, Unit};
use crate::statistics::{Interval, interval_of_median, median};

/// One figure of a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// Its name, as expectations use it.
    pub metric: String,
    /// What it is counted in.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    /// Of each trial in which it was measured, in their order.
    pub values: Vec<f64>,
    /// In how many trials it is a recovery that never came; they have no value.
    #[serde(default)]
    pub never: usize,
    /// The middle value, for maxima, the highest value; none where a recovery never came.
    pub median: Option<f64>,
    /// Where the median over all trials that could be made lies, at 95 %; none with fewer than six, and of maxima.
    pub interval: Option<Interval>,
}

impl Figure {
    fn of(metric: Metric, measured: &[&Measurements]) -> Option<Self> {
        let all: Vec<f64> = measured.iter().filter_map(|measurements| metric.of(measurements)).collect();
        if all.is_empty() {
            return None;
        }
        let values: Vec<f64> = all.iter().copied().filter(|value| value.is_finite()).collect();
        let never = all.len() - values.len();
        let is_whole = never == 0;
        Some(Self {
            metric: metric.name(),
            unit: metric.unit(),
            better: metric.better(),
            median: metric.over_trials(&values).filter(|_| is_whole),
            interval: interval_of_median(&values)
                .filter(|_| is_whole && metric.over_trials(&values) == median(&values)),
            values,
            never,
        })
    }

    /// The median with its unit, or `never`.
    #[must_use]
    pub fn show(&self) -> String {
        match self.median {
            Some(median) => self.unit.show(median),
            None => self.unit.show(f64::INFINITY),
        }
    }
}

/// Every figure that was measured in at least one trial.
pub fn figures(measured: &[&Measurements]) -> Vec<Figure> {
    Metric::all().into_iter().filter_map(|metric| Figure::of(metric, measured)).collect()
}
