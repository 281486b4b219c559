//! Errors by kind, each with its latency: an error after ten seconds has another cause than an immediate one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::MeasureError;
use super::latency::{Latency, empty, record};
use crate::history::{ErrorKind, Operation, Outcome};

/// Errors of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorFigures {
    /// Number of errors.
    pub count: u64,
    /// From the scheduled instant until the failure was known.
    pub response_us: Latency,
}

/// Counts errors.
#[derive(Default)]
pub struct ErrorTally {
    kinds: BTreeMap<ErrorKind, Histogram<u64>>,
}

impl ErrorTally {
    pub fn add(&mut self, operation: &Operation, ended_well: bool) -> Result<(), MeasureError> {
        let (Outcome::Fail(error) | Outcome::Indeterminate(error)) = operation.outcome else { return Ok(()) };
        if ended_well {
            return Ok(());
        }
        let histogram = match self.kinds.entry(error) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(empty()?),
        };
        record(histogram, operation.response_us());
        Ok(())
    }

    /// The figures by kind; the kinds are named as in histories.
    pub fn finish(&self) -> Result<BTreeMap<String, ErrorFigures>, MeasureError> {
        let figures = |histogram: &Histogram<u64>| {
            Ok::<_, MeasureError>(ErrorFigures { count: histogram.len(), response_us: Latency::of(histogram)? })
        };
        self.kinds.iter().map(|(kind, histogram)| Ok((kind.word().to_owned(), figures(histogram)?))).collect()
    }
}
