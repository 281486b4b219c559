//! Collects what the sessions did: every operation for the history, and counts for the driver's live line.

use hdrhistogram::Histogram;

use super::protocol::Summary;
use super::session::owner;
use crate::history::{Operation, Outcome};

/// Operations so far, and the current interval's counts.
pub struct Recorder {
    operations: Vec<Operation>,
    interval: Summary,
    response_us: Histogram<u64>,
}

impl Recorder {
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        let mut response_us = Histogram::new(3)?;
        response_us.auto(true);
        Ok(Self { operations: Vec::new(), interval: Summary::default(), response_us })
    }

    pub fn record(&mut self, operation: Operation) {
        match &operation.outcome {
            Outcome::Ok(state) => {
                self.interval.foreign += u64::from(state.owner != owner(operation.id.session));
                self.interval.ok += 1;
                self.response_us.saturating_record(operation.response_us());
            }
            Outcome::Fail(_) if operation.session_was_unknown() => self.interval.unknown += 1,
            Outcome::Fail(_) => self.interval.fail += 1,
            Outcome::Indeterminate(_) => self.interval.indeterminate += 1,
        }
        self.operations.push(operation);
    }

    /// The counts since the last call.
    pub fn take_summary(&mut self, at_ns: u64) -> Summary {
        let summary = Summary { at_ns, p99_us: self.response_us.value_at_quantile(0.99), ..self.interval };
        self.interval = Summary::default();
        self.response_us.reset();
        summary
    }

    /// Every operation so far, in the order of dispatch.
    pub fn operations(&mut self) -> &[Operation] {
        self.operations.sort_by_key(|operation| (operation.times.dispatched_ns, operation.id));
        &self.operations
    }
}
