//! What is found of one guarantee: counted while lives go by, decided in the end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Verdict;
use super::story::{Kind, Story};
use super::subject::Subject;
use crate::history::Operation;

/// The stories kept of one guarantee; the count is always exact.
const MOST_STORIES: usize = 5;

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
}

impl Doubt {
    fn tell(self, count: u64) -> String {
        let many = |one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        match self {
            Self::NoFinalRead => format!("{} gave no final read", many("session")),
            Self::FinalNotPlaced => {
                format!("the final state of {} cannot be explained from what was seen", many("session"))
            }
            Self::NotPlaced => format!("{} cannot be explained from what was seen", many("state")),
            Self::TooLong => {
                format!("{} with more than {} operations", many("session"), crate::history::MOST_OPERATIONS)
            }
        }
    }
}

/// What is known of one guarantee so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Examination {
    examined: u64,
    violations: u64,
    doubts: BTreeMap<Doubt, u64>,
    kinds: Vec<Kind>,
    stories: Vec<Story>,
    more_stories: Vec<Story>,
}

impl Examination {
    /// Counts operations that could have broken the guarantee.
    pub(super) fn examined(&mut self, count: usize) {
        self.examined += count as u64;
    }

    /// Counts a violation. Stories are told of those that differ first, then of others.
    pub(super) fn violated(&mut self, subject: &Subject, sign: &Operation, story: impl FnOnce() -> Story) {
        self.violations += 1;
        if self.stories.len() == MOST_STORIES {
            return;
        }
        let kind = Kind::of(subject, sign);
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
            self.stories.push(story());
        } else if self.more_stories.len() < MOST_STORIES {
            self.more_stories.push(story());
        }
    }

    /// Counts what keeps the guarantee from passing.
    pub(super) fn doubt(&mut self, doubt: Doubt) {
        *self.doubts.entry(doubt).or_default() += 1;
    }

    /// Decides: violations first, then whatever keeps it from passing.
    pub(super) fn decide(mut self) -> Finding {
        let room = MOST_STORIES - self.stories.len();
        self.stories.extend(self.more_stories.into_iter().take(room));
        let doubt = self.doubts.first_key_value().map(|(doubt, count)| doubt.tell(*count));
        let vacuous = (self.examined == 0).then(|| "no operation could have broken it".to_owned());
        let reason = if self.violations > 0 { None } else { doubt.or(vacuous) };
        let verdict = match (self.violations, &reason) {
            (1.., _) => Verdict::Violated,
            (0, Some(_)) => Verdict::Unknown,
            (0, None) => Verdict::Pass,
        };
        Finding { verdict, examined: self.examined, violations: self.violations, reason, stories: self.stories }
    }
}

/// What was found of one guarantee.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was decided.
    pub verdict: Verdict,
    /// How many operations could have broken it.
    pub examined: u64,
    /// How often it was broken.
    pub violations: u64,
    /// Why it is unknown.
    pub reason: Option<String>,
    /// Some of the violations, told.
    pub stories: Vec<Story>,
}
