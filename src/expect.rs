//! Expectations: what must come out, in words that a profile can hold: `"verdict == pass"`,
//! `"sessions.lost == 0"`, `"sessions.lost_ratio in 0.2..0.5"`. A trial's figures meet or breach them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::check::{Guarantee, Judgement};
use crate::measure::Measurements;

/// What a condition looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metric {
    Verdict,
    Guarantee(Guarantee),
    SessionsCreated,
    SessionsLost,
    SessionsLostBeforeFault,
    SessionsLostRatio,
    AcknowledgedWritesLost,
    ResponseP99Us,
    Skew,
    RecoveryMs,
}

const METRICS: [(&str, Metric); 9] = [
    ("verdict", Metric::Verdict),
    ("sessions.created", Metric::SessionsCreated),
    ("sessions.lost", Metric::SessionsLost),
    ("sessions.lost_before_fault", Metric::SessionsLostBeforeFault),
    ("sessions.lost_ratio", Metric::SessionsLostRatio),
    ("operations.acknowledged_writes_lost", Metric::AcknowledgedWritesLost),
    ("response.p99_us", Metric::ResponseP99Us),
    ("skew", Metric::Skew),
    ("recovery_ms", Metric::RecoveryMs),
];

#[derive(Clone, Debug, PartialEq)]
enum Comparison {
    Is(String),
    Equal(f64),
    Less(f64),
    AtMost(f64),
    More(f64),
    AtLeast(f64),
    Within(f64, f64),
}

/// One condition, such as `sessions.lost == 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition {
    text: String,
    metric: Metric,
    comparison: Comparison,
}

/// A condition and the targets that must meet it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// The names of the targets.
    pub targets: Vec<String>,
    /// What each of their trials must show.
    pub condition: Condition,
}

/// What became of a condition in one trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    /// The target.
    pub target: String,
    /// The trial's number.
    pub trial: usize,
    /// The condition.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Whether it was met.
    pub met: bool,
}

enum Value {
    Word(String),
    Number(f64),
    Absent,
}

impl Condition {
    /// Holds a trial against the condition.
    #[must_use]
    pub fn assess(&self, target: &str, trial: usize, judgement: &Judgement, measurements: &Measurements) -> Assessment {
        let value = value_of(self.metric, judgement, measurements);
        let met = match (&value, &self.comparison) {
            (Value::Word(seen), Comparison::Is(word)) => seen == word,
            (Value::Number(seen), Comparison::Equal(limit)) => (seen - limit).abs() < f64::EPSILON,
            (Value::Number(seen), Comparison::Less(limit)) => seen < limit,
            (Value::Number(seen), Comparison::AtMost(limit)) => seen <= limit,
            (Value::Number(seen), Comparison::More(limit)) => seen > limit,
            (Value::Number(seen), Comparison::AtLeast(limit)) => seen >= limit,
            (Value::Number(seen), Comparison::Within(low, high)) => (low..=high).contains(&seen),
            _ => false,
        };
        let seen = match value {
            Value::Word(word) => word,
            Value::Number(number) => number.to_string(),
            Value::Absent => "not measured".to_owned(),
        };
        Assessment { target: target.to_owned(), trial, expected: self.text.clone(), seen, met }
    }
}

fn value_of(metric: Metric, judgement: &Judgement, measurements: &Measurements) -> Value {
    let number = |value: Option<f64>| value.map_or(Value::Absent, Value::Number);
    let sessions = &measurements.sessions;
    match metric {
        Metric::Verdict => Value::Word(judgement.verdict.to_string()),
        Metric::Guarantee(guarantee) => judgement
            .guarantees
            .get(&guarantee)
            .map_or(Value::Absent, |finding| Value::Word(finding.verdict.to_string())),
        Metric::SessionsCreated => Value::Number(sessions.created as f64),
        Metric::SessionsLost => Value::Number(sessions.lost as f64),
        Metric::SessionsLostBeforeFault => Value::Number(sessions.lost_before_fault as f64),
        Metric::SessionsLostRatio => number(sessions.lost_ratio),
        Metric::AcknowledgedWritesLost => Value::Number(measurements.operations.acknowledged_writes_lost as f64),
        Metric::ResponseP99Us => Value::Number(measurements.response_us.p99 as f64),
        Metric::Skew => number(measurements.skew),
        Metric::RecoveryMs => number(measurements.recovery_ms.map(|ms| ms as f64)),
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let (Some(metric), Some(operator), Some(limit), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(format!(
                "`{text}` is not of the form \"METRIC == VALUE\"; operators are ==, <, <=, >, >= and in"
            ));
        };
        let metric = parse_metric(metric)?;
        let comparison = parse_comparison(metric, operator, limit)?;
        Ok(Self { text: text.to_owned(), metric, comparison })
    }
}

fn parse_metric(text: &str) -> Result<Metric, String> {
    let named = METRICS.iter().find(|(name, _)| *name == text).map(|(_, metric)| *metric);
    let guarantee =
        || Guarantee::ALL.into_iter().find(|guarantee| guarantee.to_string() == text).map(Metric::Guarantee);
    named.or_else(guarantee).ok_or_else(|| {
        let names = METRICS.iter().map(|(name, _)| (*name).to_owned());
        let known: Vec<String> = names.chain(Guarantee::ALL.iter().map(ToString::to_string)).collect();
        format!("`{text}` is no metric; there are: {}", known.join(", "))
    })
}

fn parse_comparison(metric: Metric, operator: &str, limit: &str) -> Result<Comparison, String> {
    if matches!(metric, Metric::Verdict | Metric::Guarantee(_)) {
        return match (operator, limit) {
            ("==", "pass" | "unknown" | "violated") => Ok(Comparison::Is(limit.to_owned())),
            _ => Err(format!("`{operator} {limit}`: a verdict can only be `== pass`, `== unknown` or `== violated`")),
        };
    }
    let number = |text: &str| {
        text.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(|| format!("`{text}` is not a number"))
    };
    Ok(match operator {
        "==" => Comparison::Equal(number(limit)?),
        "<" => Comparison::Less(number(limit)?),
        "<=" => Comparison::AtMost(number(limit)?),
        ">" => Comparison::More(number(limit)?),
        ">=" => Comparison::AtLeast(number(limit)?),
        "in" => {
            let (low, high) =
                limit.split_once("..").ok_or_else(|| format!("`{limit}` is not a range such as 0.2..0.5"))?;
            let (low, high) = (number(low)?, number(high)?);
            if low > high {
                return Err(format!("`{limit}` begins above its end"));
            }
            Comparison::Within(low, high)
        }
        _ => return Err(format!("`{operator}` is no operator; there are ==, <, <=, >, >= and in")),
    })
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

    fn met(condition: &str, sessions: SessionCounts, verdict: Verdict) -> bool {
        let mut measurements =
            Meter::new(&Timeline::default()).unwrap().finish(&[], 0, &Circumstances::default()).unwrap().0;
        measurements.sessions = sessions;
        let judgement = Judgement { verdict, ..Judgement::default() };
        condition.parse::<Condition>().unwrap().assess("x", 1, &judgement, &measurements).met
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
            ("sessions.lost_ratio in 0.4..0.5", false),
        ] {
            assert_eq!(met(condition, sessions, Verdict::Pass), expected, "{condition}");
        }
    }

    #[test]
    fn an_unexpected_pass_breaches_as_much_as_an_unexpected_loss() {
        assert!(!met("verdict == violated", SessionCounts::default(), Verdict::Pass));
        assert!(!met("verdict == pass", SessionCounts::default(), Verdict::Violated));
        assert!(!met("verdict == pass", SessionCounts::default(), Verdict::Unknown));
    }

    #[test]
    fn what_was_not_measured_never_meets_a_condition() {
        assert!(!met("sessions.lost_ratio in 0..1", SessionCounts::default(), Verdict::Pass));
        assert!(!met("owned == pass", SessionCounts::default(), Verdict::Pass));
    }

    #[test]
    fn what_cannot_be_read_is_answered_with_what_is_allowed() {
        let error = |text: &str| text.parse::<Condition>().unwrap_err();
        insta::assert_snapshot!(error("session.lost == 0"), @"`session.lost` is no metric; there are: verdict, sessions.created, sessions.lost, sessions.lost_before_fault, sessions.lost_ratio, operations.acknowledged_writes_lost, response.p99_us, skew, recovery_ms, session-survives, owned, read-your-writes, monotonic-reads, no-lost-update, applied-once, no-phantom, one-history, logout-is-final");
        insta::assert_snapshot!(error("sessions.lost"), @r#"`sessions.lost` is not of the form "METRIC == VALUE"; operators are ==, <, <=, >, >= and in"#);
        insta::assert_snapshot!(error("verdict == good"), @"`== good`: a verdict can only be `== pass`, `== unknown` or `== violated`");
        insta::assert_snapshot!(error("sessions.lost == none"), @"`none` is not a number");
        insta::assert_snapshot!(error("sessions.lost_ratio in 0.5..0.2"), @"`0.5..0.2` begins above its end");
        insta::assert_snapshot!(error("skew ~ 1"), @"`~` is no operator; there are ==, <, <=, >, >= and in");
    }
}
