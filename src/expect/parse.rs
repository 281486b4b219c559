//! Parses conditions. Each error names what is allowed.

use std::str::FromStr;

use super::{Condition, Demand, Limit, Operator, Reference};
use crate::check::Guarantee;
use crate::metric::{Metric, nearest};

const WORDS: [&str; 3] = ["pass", "unknown", "violated"];

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed =
            || format!("`{text}` is not of the form \"METRIC == VALUE\"; operators are ==, <, <=, >, >= and in");
        let (subject, rest) = text.trim().split_once(char::is_whitespace).ok_or_else(malformed)?;
        let (operator, value) = rest.trim().split_once(char::is_whitespace).ok_or_else(malformed)?;
        let demand = parse_demand(subject, operator, value.trim())?;
        Ok(Self { text: text.trim().to_owned(), demand })
    }
}

fn parse_demand(subject: &str, operator: &str, value: &str) -> Result<Demand, String> {
    let guarantee = Guarantee::ALL.into_iter().find(|guarantee| guarantee.name() == subject);
    if guarantee.is_some() || subject == "verdict" {
        return if operator == "==" && WORDS.contains(&value) {
            Ok(Demand::Word(guarantee, value.to_owned()))
        } else {
            Err(format!("`{operator} {value}`: a verdict can only be `== pass`, `== unknown` or `== violated`"))
        };
    }
    let metric = subject.parse::<Metric>().map_err(|message| {
        let words = ["verdict"].into_iter().chain(Guarantee::ALL.map(Guarantee::name));
        if message.contains("did you mean") {
            return message;
        }
        // The user may have meant a guarantee.
        match nearest(subject, words.clone()) {
            Some(word) => format!("`{subject}` is not a metric; did you mean `{word}`?"),
            None => format!("{message}, {}", words.collect::<Vec<_>>().join(", ")),
        }
    })?;
    let operator = match operator {
        "==" => Operator::Equal,
        "<" => Operator::Less,
        "<=" => Operator::AtMost,
        ">" => Operator::More,
        ">=" => Operator::AtLeast,
        "in" => return parse_range(metric, value),
        _ => return Err(format!("`{operator}` is not an operator; there are ==, <, <=, >, >= and in")),
    };
    Ok(Demand::Figure(metric, operator, parse_limit(metric, value)?))
}

fn parse_range(metric: Metric, text: &str) -> Result<Demand, String> {
    let (low, high) = text.split_once("..").ok_or_else(|| format!("`{text}` is not a range such as 0.2..0.5"))?;
    let (low, high) = (metric.unit().parse(low)?, metric.unit().parse(high)?);
    if low > high {
        return Err(format!("`{text}` begins above its end"));
    }
    Ok(Demand::Within(metric, low, high))
}

/// Parses a limit: a value, or a reference to another figure with an optional factor.
fn parse_limit(metric: Metric, text: &str) -> Result<Limit, String> {
    let (factor, whose) = match text.split_once('*') {
        Some((factor, whose)) => {
            let factor = factor.trim();
            let number = factor.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
            (number.ok_or_else(|| format!("`{factor}` is not a factor such as 1.5"))?, whose.trim())
        }
        None => (1.0, text),
    };
    if whose == "baseline" {
        return Ok(Limit::Times(factor, Reference::Baseline));
    }
    if let Some(name) = whose.strip_prefix("target(").and_then(|rest| rest.strip_suffix(')')) {
        return Ok(Limit::Times(factor, Reference::Target(name.trim().to_owned())));
    }
    if text.contains('*') {
        return Err(format!("`{whose}` is neither target(NAME) nor baseline"));
    }
    metric.unit().parse(text).map(Limit::Fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_what_is_allowed() {
        let error = |text: &str| text.parse::<Condition>().unwrap_err();
        insta::assert_snapshot!(error("session.lost == 0"), @"`session.lost` is not a metric; did you mean `sessions.lost`?");
        insta::assert_snapshot!(error("ownd == pass"), @"`ownd` is not a metric; did you mean `owned`?");
        insta::assert_snapshot!(error("sessions.lost"), @r#"`sessions.lost` is not of the form "METRIC == VALUE"; operators are ==, <, <=, >, >= and in"#);
        insta::assert_snapshot!(error("verdict == good"), @"`== good`: a verdict can only be `== pass`, `== unknown` or `== violated`");
        insta::assert_snapshot!(error("sessions.lost == none"), @"`none` is not a number");
        insta::assert_snapshot!(error("response.p99 < 250"), @"`250` is not a time such as 250ms, 5s or 80us");
        insta::assert_snapshot!(error("response.p99 < 1.5 * targets(x)"), @"`targets(x)` is neither target(NAME) nor baseline");
        insta::assert_snapshot!(error("response.p99 < much * baseline"), @"`much` is not a factor such as 1.5");
        insta::assert_snapshot!(error("sessions.lost_ratio in 0.5..0.2"), @"`0.5..0.2` begins above its end");
        insta::assert_snapshot!(error("skew ~ 1"), @"`~` is not an operator; there are ==, <, <=, >, >= and in");
    }

    #[test]
    fn a_space_is_allowed_between_a_number_and_its_unit() {
        for text in [
            "network.cluster.bytes_per_write < 8 KiB",
            "response.p99{phase=steady} < 250ms",
            "recovery.success < 5s",
            "response.p99 < 1.5 * target(tomcat-none)",
            "throughput >= 0.9 * baseline",
        ] {
            assert_eq!(text.parse::<Condition>().unwrap().to_string(), text);
        }
    }
}
