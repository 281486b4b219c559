//! Renders a comparison as a table.

use tabled::builder::Builder;
use tabled::settings::object::{Columns, Object, Rows};
use tabled::settings::{Alignment, Style};

use crate::compare::{Finding, TargetComparison, show};

/// Renders the figures that differ between two targets, or every figure.
#[must_use]
pub fn table(comparison: &TargetComparison, every_figure: bool) -> String {
    let heading = if comparison.a == comparison.b {
        comparison.a.clone()
    } else {
        format!("{} (A) against {} (B)", comparison.a, comparison.b)
    };
    let mut text = format!("{heading}, {} and {} trials\n", comparison.trials.0, comparison.trials.1);
    if comparison.overall.0 != comparison.overall.1 {
        text.push_str(&format!("  verdict: {} in A, {} in B\n", comparison.overall.0, comparison.overall.1));
    }
    for verdict in &comparison.verdicts {
        text.push_str(&format!("  {}: {} in A, {} in B\n", verdict.guarantee, verdict.a, verdict.b));
    }
    let is_shown =
        |finding: Finding| every_figure || matches!(finding, Finding::Better | Finding::Worse | Finding::Different);
    let mut builder = Builder::default();
    builder.push_record(["figure", "A", "B", "B/A", "95 %", "B is"]);
    let mut rows = 0;
    for figure in comparison.figures.iter().filter(|figure| is_shown(figure.finding)) {
        rows += 1;
        builder.push_record([
            figure.metric.clone(),
            show(figure.unit, figure.a),
            show(figure.unit, figure.b),
            figure.ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}")),
            figure.interval.map_or("–".to_owned(), |interval| format!("{:.2} to {:.2}", interval.low, interval.high)),
            figure.finding.words().to_owned(),
        ]);
    }
    if rows > 0 {
        let mut table = builder.build();
        table.with(Style::blank());
        table.modify(Columns::new(1..5).not(Rows::first()), Alignment::right());
        text.push_str(&format!("{table}\n"));
    }
    text.push_str(&left_out(comparison, every_figure));
    text
}

/// The number of figures that are not in the table, by finding.
fn left_out(comparison: &TargetComparison, every_figure: bool) -> String {
    if every_figure {
        return String::new();
    }
    let count = |finding: Finding| comparison.figures.iter().filter(|figure| figure.finding == finding).count();
    let counts =
        [Finding::Same, Finding::NoDifferenceShown, Finding::TooFewTrials].map(|finding| (finding, count(finding)));
    let texts: Vec<String> = counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(finding, count)| format!("{count} {}", finding.words()))
        .collect();
    let advice = if count(Finding::TooFewTrials) > 0 {
        "; a difference takes 4 trials of each to be shown in one figure, and 8 or more in many at once"
    } else {
        ""
    };
    format!("  of the other figures: {}{advice}\n", if texts.is_empty() { "none".to_owned() } else { texts.join(", ") })
}
