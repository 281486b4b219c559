//! Expectations: conditions that a profile states, such as `"verdict == pass"`, `"sessions.lost == 0"`,
//! `"response.p99{phase=steady} < 250ms"` or `"response.p99 < 1.5 * target(tomcat-none)"`. A trial's figures meet or
//! breach them.

mod parse;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{Guarantee, Judgement};
use crate::measure::Measurements;
use crate::metric::{Metric, verdict_word};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// The source of a figure that another figure is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// Another target in the same run: its median over trials.
    Target(String),
    /// The same target in an earlier run: its median over trials.
    Baseline,
}

#[derive(Clone, Debug, PartialEq)]
enum Limit {
    Fixed(f64),
    Times(f64, Reference),
}

#[derive(Clone, Debug, PartialEq)]
enum Demand {
    /// The verdict on a guarantee, or on all of them, is this word.
    Word(Option<Guarantee>, String),
    /// A figure compares with a limit by this operator.
    Figure(Metric, Operator, Limit),
    /// A figure lies between two values.
    Within(Metric, f64, f64),
}

/// One condition, such as `sessions.lost == 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition {
    text: String,
    demand: Demand,
}

/// A condition and the targets that must meet it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// The names of the targets.
    pub targets: Vec<String>,
    /// The condition that each of their trials must meet.
    pub condition: Condition,
    /// Whether it is about the targets themselves, so that no stand-in has to meet it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_of_the_targets_alone: bool,
}

/// What became of a condition in one trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Assessment {
    /// The target.
    pub target: String,
    /// The trial's number.
    pub trial: usize,
    /// How many app nodes it had; none in records of before.
    #[serde(default)]
    pub nodes: Option<u8>,
    /// The condition.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Whether it was met.
    pub met: bool,
}

/// The trial that a condition is checked against.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Its target.
    pub target: &'a str,
    /// Its number.
    pub trial: usize,
    /// Its verdicts.
    pub judgement: &'a Judgement,
    /// Its figures.
    pub measurements: &'a Measurements,
}

impl Condition {
    /// Checks a trial against the condition. `reference` returns the figure of a reference, or `None` if there is none.
    /// A figure or reference that was not measured breaches the condition.
    #[must_use]
    pub fn assess(
        &self,
        subject: Subject<'_>,
        reference: &dyn Fn(&Reference, &str, Metric) -> Option<f64>,
    ) -> Assessment {
        let (met, seen) = match &self.demand {
            Demand::Word(guarantee, word) => {
                let seen = verdict_word(subject.judgement, *guarantee);
                (seen.as_ref() == Some(word), seen.unwrap_or_else(not_measured))
            }
            Demand::Within(metric, low, high) => {
                let seen = metric.of(subject.measurements);
                (seen.is_some_and(|seen| (*low..=*high).contains(&seen)), show(*metric, seen))
            }
            Demand::Figure(metric, operator, limit) => {
                let seen = metric.of(subject.measurements);
                let (limit, of) = match limit {
                    Limit::Fixed(limit) => (Some(*limit), String::new()),
                    Limit::Times(factor, source) => {
                        let limit = reference(source, subject.target, *metric).map(|value| value * factor);
                        let of = format!(" (limit {})", show(*metric, limit));
                        (limit, of)
                    }
                };
                let met = seen.zip(limit).is_some_and(|(seen, limit)| operator.holds(seen, limit));
                (met, show(*metric, seen) + &of)
            }
        };
        let Subject { target, trial, .. } = subject;
        Assessment { target: target.to_owned(), trial, nodes: None, expected: self.text.clone(), seen, met }
    }

    /// The guarantee whose verdict it checks; `None` for the overall verdict or a figure.
    #[must_use]
    pub const fn guarantee(&self) -> Option<Guarantee> {
        match &self.demand {
            Demand::Word(guarantee, _) => *guarantee,
            Demand::Figure(..) | Demand::Within(..) => None,
        }
    }

    /// The metric whose figure it checks; `None` for a verdict.
    #[must_use]
    pub const fn metric(&self) -> Option<Metric> {
        match &self.demand {
            Demand::Figure(metric, ..) | Demand::Within(metric, ..) => Some(*metric),
            Demand::Word(..) => None,
        }
    }

    /// Why the condition decides nothing, or `None` if it does: no figure is below zero, and its limit is below zero or
    /// zero times another figure.
    #[must_use]
    pub fn is_vain(&self) -> Option<String> {
        let limit = match &self.demand {
            Demand::Figure(_, _, Limit::Fixed(limit)) => *limit,
            Demand::Within(_, low, _) => *low,
            Demand::Figure(_, _, Limit::Times(factor, _)) if *factor == 0.0 => {
                return Some(format!("`{}`: 0 times another figure is 0, whatever that is", self.text));
            }
            Demand::Figure(..) | Demand::Word(..) => return None,
        };
        (limit < 0.0).then(|| format!("`{}`: no figure is below 0", self.text))
    }

    /// Whether no trial can meet both conditions: they expect different verdicts on the same guarantee.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        match (&self.demand, &other.demand) {
            // A trial passes only if every guarantee does.
            (Demand::Word(None, whole), Demand::Word(Some(_), part))
            | (Demand::Word(Some(_), part), Demand::Word(None, whole)) => whole == "pass" && part != "pass",
            (Demand::Word(of, word), Demand::Word(other_of, other_word)) => of == other_of && word != other_word,
            _ => false,
        }
    }

    /// Renames the target that it refers to, if `renamed` returns a new name for it.
    pub fn rename_targets(&mut self, renamed: &dyn Fn(&str) -> Option<String>) {
        if let Demand::Figure(_, _, Limit::Times(_, Reference::Target(name))) = &mut self.demand
            && let Some(new) = renamed(name)
        {
            self.text = self.text.replace(&format!("target({name})"), &format!("target({new})"));
            *name = new;
        }
    }

    /// The reference that it compares with; `None` if it compares with a value.
    #[must_use]
    pub fn refers_to(&self) -> Option<&Reference> {
        match &self.demand {
            Demand::Figure(_, _, Limit::Times(_, reference)) => Some(reference),
            _ => None,
        }
    }
}

fn not_measured() -> String {
    "not measured".to_owned()
}

fn show(metric: Metric, value: Option<f64>) -> String {
    value.map_or_else(not_measured, |value| metric.unit().show(value))
}

impl Operator {
    fn holds(self, seen: f64, limit: f64) -> bool {
        match self {
            Self::Equal => (seen - limit).abs() < f64::EPSILON,
            Self::Less => seen < limit,
            Self::AtMost => seen <= limit,
            Self::More => seen > limit,
            Self::AtLeast => seen >= limit,
        }
    }
}

impl TryFrom<String> for Condition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> Self {
        condition.text
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::history::Timeline;
    use crate::measure::{Circumstances, Meter, SessionCounts};

    fn assessed(condition: &str, sessions: SessionCounts, verdict: Verdict) -> Assessment {
        let mut measurements = Meter::new(&Timeline::default(), &crate::measure::AgentsOfTrial::default())
            .unwrap()
            .finish(&[], 0, &Circumstances::default())
            .unwrap()
            .0;
        measurements.sessions = sessions;
        let judgement = Judgement { verdict, ..Judgement::default() };
        let subject = Subject { target: "x", trial: 1, judgement: &judgement, measurements: &measurements };
        let reference = |reference: &Reference, target: &str, _| match reference {
            Reference::Target(name) => (name == "y").then_some(4.0),
            Reference::Baseline => (target == "x").then_some(2.0),
        };
        condition.parse::<Condition>().unwrap().assess(subject, &reference)
    }

    fn met(condition: &str, sessions: SessionCounts, verdict: Verdict) -> bool {
        assessed(condition, sessions, verdict).met
    }

    #[test]
    fn numbers_are_compared() {
        let sessions = SessionCounts { lost: 3, lost_ratio: Some(0.3), ..SessionCounts::default() };
        for (condition, expected) in [
            ("sessions.lost == 3", true),
            ("sessions.lost == 0", false),
            ("sessions.lost < 3", false),
            ("sessions.lost <= 3", true),
            ("sessions.lost > 2", true),
            ("sessions.lost >= 4", false),
            ("sessions.lost_ratio in 0.2..0.5", true),
            ("sessions.lost_ratio in 40%..50%", false),
        ] {
            assert_eq!(met(condition, sessions, Verdict::Pass), expected, "{condition}");
        }
    }

    #[test]
    fn a_figure_is_compared_with_another_target_or_an_earlier_run() {
        let sessions = SessionCounts { lost: 3, ..SessionCounts::default() };
        let of = |condition| assessed(condition, sessions, Verdict::Pass);
        assert!(of("sessions.lost < target(y)").met);
        assert!(!of("sessions.lost < 0.5 * target(y)").met);
        assert!(of("sessions.lost <= 1.5 * baseline").met);
        assert_eq!(of("sessions.lost < 2 * baseline").seen, "3 (limit 4)");
        let unknown = of("sessions.lost < target(z)");
        assert_eq!((unknown.met, unknown.seen.as_str()), (false, "3 (limit not measured)"));
    }

    #[test]
    fn an_unexpected_pass_breaches_as_much_as_an_unexpected_loss() {
        assert!(!met("verdict == violated", SessionCounts::default(), Verdict::Pass));
        assert!(!met("verdict == pass", SessionCounts::default(), Verdict::Violated));
        assert!(!met("verdict == pass", SessionCounts::default(), Verdict::Unknown));
    }

    #[test]
    fn an_unmeasured_figure_never_meets_a_condition() {
        assert!(!met("sessions.lost_ratio in 0..1", SessionCounts::default(), Verdict::Pass));
        assert!(!met("owned == pass", SessionCounts::default(), Verdict::Pass));
        assert!(!met("recovery.success < 5s", SessionCounts::default(), Verdict::Pass));
    }
}
