//! The findings on one guarantee: counted session by session, decided at the end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Verdict;
use super::rules::Rules;
use super::subject::Subject;
use super::violation::{Kind, Violation};
use crate::history::Operation;

/// The most examples that are kept per guarantee; the count is always exact.
const MAX_VIOLATIONS: usize = 5;

/// A reason why a guarantee cannot pass; each occurrence is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum InconclusiveReason {
    /// A session's final state was not read.
    NoFinalRead,
    /// The order of a session's final state is unknown.
    FinalNotPlaced,
    /// The order of a reply's state is unknown.
    NotPlaced,
    /// A session has more operations than are held in memory at once.
    TooLong,
    /// A session's states show only how many operations it holds.
    CounterOnly,
}

impl InconclusiveReason {
    fn describe(self, count: u64) -> String {
        let many = |one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        match self {
            Self::NoFinalRead => format!("{} gave no final read", many("session")),
            Self::FinalNotPlaced => {
                format!("the final state of {} cannot be explained from what was seen", many("session"))
            }
            Self::CounterOnly => format!("{} showed only how many operations it holds", many("session")),
            Self::NotPlaced => format!("{} cannot be explained from what was seen", many("state")),
            Self::TooLong => {
                format!("{} with more than {} operations", many("session"), crate::history::MAX_OPERATIONS)
            }
        }
    }
}

/// How many operations could have broken a guarantee, by the instant at which that would have shown: before the first
/// fault, from then until the last one was healed, or after that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exercise {
    /// Before the first fault; all of them if there was no fault.
    pub before: u64,
    /// From the first fault until the last one was healed.
    pub during: u64,
    /// After the last fault was healed.
    pub after: u64,
}

impl Exercise {
    const fn total(self) -> u64 {
        self.before + self.during + self.after
    }

    /// Why the operations are too few for a pass; `None` if they are enough.
    fn lacks(self, least: u64, has_fault: bool) -> Option<String> {
        let (count, when) = if has_fault { (self.after, " after the faults") } else { (self.total(), "") };
        match (self.total(), count) {
            (0, _) => Some("no operation could have broken it".to_owned()),
            (_, count) if count >= least => None,
            (_, 0) => Some(format!("no operation could have broken it{when}")),
            (_, count) => {
                let operations = if count == 1 { "operation" } else { "operations" };
                Some(format!("only {count} {operations} could have broken it{when}, fewer than {least}"))
            }
        }
    }
}

/// The counts for one guarantee so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Examination {
    exercise: Exercise,
    violations: u64,
    inconclusive_reasons: BTreeMap<InconclusiveReason, u64>,
    kinds: Vec<Kind>,
    examples: Vec<Violation>,
    more_examples: Vec<Violation>,
}

impl Examination {
    /// Counts an operation that could have broken the guarantee; that would have shown at `at_ns`.
    pub(super) fn examined(&mut self, subject: &Subject, at_ns: u64) {
        let Exercise { before, during, after } = &mut self.exercise;
        let count = match &subject.rules.faults_ns {
            Some(faults) if at_ns >= faults.end => after,
            Some(faults) if at_ns >= faults.start => during,
            _ => before,
        };
        *count += 1;
    }

    /// Counts each state with operations whose order is known.
    pub(super) fn examined_states(&mut self, subject: &Subject) {
        for reply in subject.replies.iter().filter(|reply| reply.state.version > 0 && reply.step.is_some()) {
            self.examined(subject, reply.operation.times.completed_ns);
        }
    }

    /// Counts a violation. Keeps examples of different kinds first, then more of the same kinds.
    pub(super) fn violated(&mut self, subject: &Subject, operation: &Operation, violation: impl FnOnce() -> Violation) {
        self.violations += 1;
        if self.examples.len() == MAX_VIOLATIONS {
            return;
        }
        let kind = Kind::of(subject, operation);
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
            self.examples.push(violation());
        } else if self.more_examples.len() < MAX_VIOLATIONS {
            self.more_examples.push(violation());
        }
    }

    /// Counts a reason why the guarantee cannot pass.
    pub(super) fn inconclusive(&mut self, reason: InconclusiveReason) {
        *self.inconclusive_reasons.entry(reason).or_default() += 1;
    }

    /// Decides: violations come first, then reasons why it cannot pass.
    pub(super) fn decide(mut self, rules: &Rules) -> Finding {
        let room = MAX_VIOLATIONS - self.examples.len();
        self.examples.extend(self.more_examples.into_iter().take(room));
        let inconclusive = self.inconclusive_reasons.first_key_value().map(|(reason, count)| reason.describe(*count));
        let lacks = self.exercise.lacks(rules.min_examined, rules.faults_ns.is_some());
        let reason = if self.violations > 0 { None } else { inconclusive.or(lacks) };
        let verdict = match (self.violations, &reason) {
            (1.., _) => Verdict::Violated,
            (0, Some(_)) => Verdict::Unknown,
            (0, None) => Verdict::Pass,
        };
        Finding {
            verdict,
            examined: self.exercise.total(),
            exercise: self.exercise,
            violations: self.violations,
            reason,
            examples: self.examples,
        }
    }
}

/// The result for one guarantee.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The verdict on it.
    pub verdict: Verdict,
    /// How many operations could have broken it.
    pub examined: u64,
    /// The same number, by time.
    #[serde(default)]
    pub exercise: Exercise,
    /// How often it was broken.
    pub violations: u64,
    /// Why it is unknown, if it is.
    pub reason: Option<String>,
    /// Examples of the violations.
    #[serde(rename = "stories")]
    pub examples: Vec<Violation>,
}
