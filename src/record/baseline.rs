//! The figures of an earlier run, for expectations that are held against it.

use std::collections::BTreeMap;
use std::path::Path;

use super::{RecordError, Summary};
use crate::metric::Metric;

/// The medians of an earlier run, by target and metric.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    medians: BTreeMap<(String, String), f64>,
}

impl Baseline {
    /// Takes the figures of the record in `folder`.
    ///
    /// # Errors
    /// When it is no record, or of a version that this program does not read.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        Ok(Self::of(&Summary::read(folder)?))
    }

    fn of(summary: &Summary) -> Self {
        let figures =
            summary.targets.iter().flat_map(|target| target.figures.iter().map(move |figure| (target, figure)));
        let medians = figures
            .filter_map(|(target, figure)| Some(((target.target.clone(), figure.metric.clone()), figure.median?)));
        Self { medians: medians.collect() }
    }

    /// A target's median; none where it was not measured then.
    #[must_use]
    pub fn median(&self, target: &str, metric: Metric) -> Option<f64> {
        self.medians.get(&(target.to_owned(), metric.name())).copied()
    }
}
