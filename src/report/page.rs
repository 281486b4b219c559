//! Pages of one's own: a template in Jinja's syntax whose figures come from records, so that no number is typed. It knows neither
//! folders nor the templates' subjects.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde::{Deserialize, Serialize};

use super::races;
use super::side_table::SideRow;
use super::table::table;
use super::view::{Row, View};
use crate::record::{self, Evidence, Figure, Summary, TargetSummary};

/// A record in a template.
#[derive(Serialize)]
struct PageRecord {
    /// Its name, as the template asks for it.
    name: String,
    /// Where it is from: trials, version, machine and date, in a sentence.
    source: String,
    /// The command that made it.
    command: String,
    /// The table that `run` prints, without the sentences below it.
    table: String,
    /// Its targets, in the order of the plan.
    targets: Vec<PageTarget>,
    /// What overtaken requests undid.
    races: Vec<SideRow>,
    /// All of `summary.json`.
    summary: Summary,
}

/// A target in a template: what `summary.json` says, and the same as reports show it.
#[derive(Serialize)]
struct PageTarget {
    /// Its row in reports, as text.
    row: Row,
    #[serde(flatten)]
    summary: TargetSummary,
}

impl PageRecord {
    fn of(name: &str, evidence: &Evidence) -> Self {
        let view = View::of(&evidence.summary);
        let table = table(&View { sentences: Vec::new(), ..view.clone() });
        let Summary { targets, .. } = evidence.summary.clone();
        let command = evidence.environment.as_ref().map(|environment| environment.command.join(" "));
        Self {
            name: name.to_owned(),
            source: source(evidence),
            command: command.unwrap_or_default(),
            table: table.trim_end().to_owned(),
            targets: view.rows.iter().cloned().zip(targets).map(|(row, summary)| PageTarget { row, summary }).collect(),
            races: races::table(&evidence.summary).rows,
            summary: evidence.summary.clone(),
        }
    }
}

/// Where figures are from, in a sentence.
fn source(evidence: &Evidence) -> String {
    let trials = evidence.summary.targets.iter().map(|target| target.trials);
    let (fewest, most) = (trials.clone().min().unwrap_or_default(), trials.max().unwrap_or_default());
    let trials = match (fewest, most) {
        (1, 1) => "one trial of each".to_owned(),
        (fewest, most) if fewest == most => format!("{most} trials of each"),
        (fewest, most) => format!("{fewest} to {most} trials of each"),
    };
    let date = evidence.summary.started_at.split('T').next().unwrap_or_default();
    let Some(environment) = &evidence.environment else { return format!("{trials}, {date}") };
    let record::Environment { steadfast, cores, cpu, note, .. } = environment;
    let engine = environment.engine.as_ref().map_or_else(
        || "no engine".to_owned(),
        |engine| format!("{} {}, {}", engine.product_name(), engine.version, engine.operating_system),
    );
    let note = note.as_ref().map_or_else(String::new, |note| format!(" ({note})"));
    format!("{trials}, steadfast {steadfast}{note}, {cores} cores of {cpu}, {engine}, {date}")
}

/// Why a template cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {message}")]
pub struct PageError {
    /// The line of the template, counted from 1.
    pub line: usize,
    /// What is wrong there, and what there is instead.
    pub message: String,
}

impl PageError {
    fn of(error: &Error, template: &str) -> Self {
        let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        let place =
            error.range().and_then(|range| template.get(range)).map(str::trim).filter(|place| !place.is_empty());
        let message = match (error.kind(), place) {
            (ErrorKind::UndefinedError, Some(place)) => format!("there is no `{place}`"),
            _ => message,
        };
        Self { line: error.line().unwrap_or(1), message }
    }
}

/// Fills a template with what records say.
///
/// # Errors
/// When the template is wrong, or asks for what the records do not have, with its line.
pub fn page(template: &str, records: &BTreeMap<String, Evidence>) -> Result<String, PageError> {
    render(template, records).map_err(|error| PageError::of(&error, template))
}

fn render(template: &str, records: &BTreeMap<String, Evidence>) -> Result<String, Error> {
    let records: BTreeMap<String, Value> = records
        .iter()
        .map(|(name, evidence)| (name.clone(), Value::from(Serde(PageRecord::of(name, evidence)))))
        .collect();
    let records = Arc::new(records);
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // A line with nothing but a statement makes no line.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?;
    environment.set_syntax(syntax);
    environment.add_function("record", move |name: &str| {
        let names = || records.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        records.get(name).cloned().ok_or_else(|| wrong(format!("no record is called `{name}`; there are: {}", names())))
    });
    environment.add_filter("target", target);
    environment.add_filter("figure", figure);
    environment.add_filter("broken", broken);
    environment.add_filter("of", of);
    environment.render_str(template, ())
}

fn wrong(text: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, text)
}

/// `record | target("tomcat-redis")`: one target of a record.
fn target(record: &Value, name: &str) -> Result<Value, Error> {
    let targets: Vec<Value> = record.get_attr("targets")?.try_iter()?.collect();
    let name_of = |target: &Value| Some(target.get_attr("row").ok()?.get_attr("target").ok()?.to_string());
    let found = targets.iter().find(|target| name_of(target).as_deref() == Some(name));
    let names = || targets.iter().filter_map(name_of).collect::<Vec<_>>().join(", ");
    found.cloned().ok_or_else(|| wrong(format!("the record has no target `{name}`; it has: {}", names())))
}

/// `target | figure("response.p99")`: the median over the trials with its unit, and with `interval=true` where the median lies, or
/// of few trials the lowest and the highest value.
#[expect(clippy::needless_pass_by_value, reason = "the template's engine hands the options over")]
fn figure(target: &Value, metric: &str, options: Kwargs) -> Result<String, Error> {
    let with_interval = options.get::<Option<bool>>("interval")?.unwrap_or_default();
    options.assert_all_used()?;
    let figures: Vec<Figure> = Vec::deserialize(target.get_attr("figures")?)?;
    let found = figures.iter().find(|figure| figure.metric == metric);
    let names = || figures.iter().map(|figure| figure.metric.as_str()).collect::<Vec<_>>().join(", ");
    let found = found.ok_or_else(|| wrong(format!("no figure is called `{metric}`; there are: {}", names())))?;
    Ok(if with_interval { format!("{}{}", found.show(), spread(found)) } else { found.show() })
}

fn spread(figure: &Figure) -> String {
    let between = |low: f64, high: f64| format!(" ({} to {})", figure.unit.show(low), figure.unit.show(high));
    let extremes = || {
        let low = figure.values.iter().copied().reduce(f64::min)?;
        Some((low, figure.values.iter().copied().reduce(f64::max)?))
    };
    match (&figure.interval, figure.values.len()) {
        (Some(interval), _) => between(interval.low, interval.high),
        (None, 2..) => extremes().map(|(low, high)| between(low, high)).unwrap_or_default(),
        (None, _) => String::new(),
    }
}

/// `target | broken`: the guarantees that were broken, or `nothing`.
fn broken(target: &Value) -> Result<String, Error> {
    let guarantees = target.get_attr("guarantees")?;
    let mut broken = Vec::new();
    for name in guarantees.try_iter()? {
        if guarantees.get_item(&name)?.as_str() == Some("violated") {
            broken.push(format!("`{name}`"));
        }
    }
    Ok(if broken.is_empty() { "nothing".to_owned() } else { broken.join(", ") })
}

/// `undone | of(tried)`: `3 of 91`, bold unless it is 0, and a dash where nothing was tried.
fn of(part: u64, whole: u64) -> String {
    match (part, whole) {
        (_, 0) => "–".to_owned(),
        (0, whole) => format!("0 of {whole}"),
        (part, whole) => format!("**{part} of {whole}**"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn rendered(template: &str) -> Result<String, String> {
        let evidence = Evidence::read(Path::new("reports/example")).unwrap();
        let records = BTreeMap::from([("quick".to_owned(), evidence)]);
        page(template, &records).map_err(|error| error.to_string())
    }

    #[test]
    fn a_page_shows_what_the_record_says() {
        let summary = Summary::read(Path::new("reports/example")).unwrap();
        let lost = summary.targets[1].sessions.lost;
        let text = rendered(concat!(
            "{% set quick = record('quick') %}\n",
            "{% for target in quick.targets %}\n",
            "| {{ target.target }} | {{ target.sessions.lost | of(target.sessions.created) }} | {{ target | broken }} |\n",
            "{% endfor %}\n",
            "{{ (quick | target('tomcat-delta')).row.front_kb }}, {{ quick | target('tomcat-delta') | figure('response.p50') }}\n",
        ));
        let text = text.unwrap();
        let sticky = text.lines().nth(1).unwrap();
        assert!(sticky.starts_with(&format!("| tomcat-sticky-cookie | **{lost} of ")), "{text}");
        assert!(sticky.contains("`session-survives`") && text.lines().next().unwrap().starts_with("| tomcat-none"));
        assert_eq!(text.lines().count(), 6, "a line for each target, and the last one: {text}");
        assert!(rendered("{{ record('quick').table }}").unwrap().contains("tomcat-backup"));
        assert!(rendered("{{ record('quick').source }}").unwrap().starts_with("one trial of each, steadfast "));
    }

    #[test]
    fn what_records_do_not_have_is_named_with_the_line_of_the_template() {
        let error = |template: &str| rendered(template).unwrap_err();
        insta::assert_snapshot!(error("\n{{ record('quik') }}"), @"2: no record is called `quik`; there are: quick");
        insta::assert_snapshot!(error("{{ record('quick') | target('tomcat') }}"), @"1: the record has no target `tomcat`; it has: tomcat-none, tomcat-sticky-cookie, tomcat-delta, tomcat-backup, tomcat-redis");
        insta::assert_snapshot!(error("{{ record('quick').targets[0].sesions }}"), @"1: there is no `record('quick').targets[0].sesions`");
        insta::assert_snapshot!(error("{% for x in %}"), @"1: unexpected end of block");
        assert!(
            error("{{ record('quick').targets[0] | figure('p50') }}")
                .contains("no figure is called `p50`; there are: ")
        );
    }

    #[test]
    fn a_part_is_bold_unless_it_is_nothing() {
        assert_eq!([of(0, 9), of(3, 9), of(0, 0)], ["0 of 9", "**3 of 9**", "–"]);
    }
}
