//! The figures of an earlier run, for expectations that refer to them.

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
    /// Reads the figures of the record in `folder`.
    ///
    /// # Errors
    /// When it is not a record, or has a version that this program does not read.
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

    /// A target's median; `None` if the earlier run did not measure it.
    #[must_use]
    pub fn median(&self, target: &str, metric: Metric) -> Option<f64> {
        self.medians.get(&(target.to_owned(), metric.name())).copied()
    }
}
