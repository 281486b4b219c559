//! Collects what the sessions did: every operation for the history, and counts for the driver's live line.

use hdrhistogram::Histogram;

use super::protocol::Summary;
use super::session::owner;
use crate::history::{HIGHEST_LATENCY_US, Operation, Outcome};

/// Operations so far, and the current interval's counts.
pub struct Recorder {
    operations: Vec<Operation>,
    interval: Summary,
    response_us: Histogram<u64>,
}

impl Recorder {
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        // With fixed bounds: a histogram that resizes itself does not do so for a saturating record.
        let response_us = Histogram::new_with_bounds(1, HIGHEST_LATENCY_US, 3)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{ErrorKind, OperationId, OperationKind, State, Times};

    fn operation(number: u32, outcome: Outcome) -> Operation {
        let times = Times { completed_ns: u64::from(number) * 1_000_000, ..Times::default() };
        let id = OperationId { session: 1, life: 1, number };
        Operation { id, kind: OperationKind::Read, times, outcome, status: None, answer: None }
    }

    fn ok(owner: &str) -> Outcome {
        let (owner, epoch, digest) = (owner.to_owned(), String::new(), String::new());
        Outcome::Ok(State { owner, epoch, version: 0, digest, tail: Vec::new() })
    }

    #[test]
    fn a_summary_has_the_counts_and_the_latency_of_its_interval_alone() {
        let mut recorder = Recorder::new().unwrap();
        (1..=100).for_each(|number| recorder.record(operation(number, ok("s1"))));
        recorder.record(operation(101, ok("s2")));
        recorder.record(operation(102, Outcome::Fail(ErrorKind::UnknownSession)));
        recorder.record(operation(103, Outcome::Fail(ErrorKind::Refused)));
        recorder.record(operation(104, Outcome::Indeterminate(ErrorKind::Timeout)));
        let summary = recorder.take_summary(7);
        let counts = (summary.ok, summary.foreign, summary.unknown, summary.fail, summary.indeterminate);
        assert_eq!(counts, (101, 1, 1, 1, 1));
        assert!((99_900..=100_100).contains(&summary.p99_us), "{} µs", summary.p99_us);
        assert_eq!(recorder.take_summary(8), Summary { at_ns: 8, ..Summary::default() });
        assert_eq!(recorder.operations().len(), 104, "and every operation is kept");
    }
}
