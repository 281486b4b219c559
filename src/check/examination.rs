//! What is found of one guarantee: counted while lives go by, decided in the end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Verdict;
use super::rules::Rules;
use super::subject::Subject;
use super::violation::{Kind, Violation};
use crate::history::Operation;

/// The stories kept of one guarantee; the count is always exact.
const MAX_VIOLATIONS: usize = 5;

/// What keeps a guarantee from passing, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    /// A session's final state was not read.
    NoFinalRead,
    /// The order of a session's final state cannot be told.
    FinalNotPlaced,
    /// The order of a reply's state cannot be told.
    NotPlaced,
    /// A session has more operations than are held at once.
    TooLong,
    /// A session's states show only how many operations it holds.
    CounterOnly,
}

impl Doubt {
    fn tell(self, count: u64) -> String {
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

/// How often a guarantee could have been broken: by the instant at which that would have shown, before the first fault,
/// from then until the last one was healed, and after that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exercise {
    /// Before the first fault; all of it where there was none.
    pub before: u64,
    /// Until the last fault was healed.
    pub during: u64,
    /// Afterwards.
    pub after: u64,
}

impl Exercise {
    const fn total(self) -> u64 {
        self.before + self.during + self.after
    }

    /// Why so few operations are inconclusive; none where they are enough.
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

/// What is known of one guarantee so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Examination {
    exercise: Exercise,
    violations: u64,
    inconclusive_reasons: BTreeMap<Doubt, u64>,
    kinds: Vec<Kind>,
    stories: Vec<Violation>,
    more_stories: Vec<Violation>,
}

impl Examination {
    /// Counts an operation that could have broken the guarantee, which would have shown at an instant.
    pub(super) fn examined(&mut self, subject: &Subject, at_ns: u64) {
        let Exercise { before, during, after } = &mut self.exercise;
        let count = match &subject.rules.faults_ns {
            Some(faults) if at_ns >= faults.end => after,
            Some(faults) if at_ns >= faults.start => during,
            _ => before,
        };
        *count += 1;
    }

    /// Counts each state that shows operations.
    pub(super) fn examined_states(&mut self, subject: &Subject) {
        for reply in subject.replies.iter().filter(|reply| reply.state.version > 0 && reply.step.is_some()) {
            self.examined(subject, reply.operation.times.completed_ns);
        }
    }

    /// Counts a violation. Stories are told of those that differ first, then of others.
    pub(super) fn violated(&mut self, subject: &Subject, sign: &Operation, story: impl FnOnce() -> Violation) {
        self.violations += 1;
        if self.stories.len() == MAX_VIOLATIONS {
            return;
        }
        let kind = Kind::of(subject, sign);
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
            self.stories.push(story());
        } else if self.more_stories.len() < MAX_VIOLATIONS {
            self.more_stories.push(story());
        }
    }

    /// Counts what keeps the guarantee from passing.
    pub(super) fn doubt(&mut self, doubt: Doubt) {
        *self.inconclusive_reasons.entry(doubt).or_default() += 1;
    }

    /// Decides: violations first, then whatever keeps it from passing.
    pub(super) fn decide(mut self, rules: &Rules) -> Finding {
        let room = MAX_VIOLATIONS - self.stories.len();
        self.stories.extend(self.more_stories.into_iter().take(room));
        let doubt = self.inconclusive_reasons.first_key_value().map(|(doubt, count)| doubt.tell(*count));
        let lacks = self.exercise.lacks(rules.min_examined, rules.faults_ns.is_some());
        let reason = if self.violations > 0 { None } else { doubt.or(lacks) };
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
            stories: self.stories,
        }
    }
}

/// What was found of one guarantee.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was decided.
    pub verdict: Verdict,
    /// How many operations could have broken it.
    pub examined: u64,
    /// The same by when.
    #[serde(default)]
    pub exercise: Exercise,
    /// How often it was broken.
    pub violations: u64,
    /// Why it is unknown.
    pub reason: Option<String>,
    /// Some of the violations, told.
    pub stories: Vec<Violation>,
}
