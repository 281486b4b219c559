//! `report.html`: one page to look at and to share. It holds all that it needs: no script, nothing fetched; light and dark
//! as the reader's system has it; every chart has its numbers in words beside it.

mod bars;
mod chart;
mod distribution;
mod timeline;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::view::View;
use crate::check::Guarantee;
use crate::record::Evidence;

const PAGE: &str = include_str!("page.html.j2");
const STYLE: &str = include_str!("style.css");

/// A picture with its words.
#[derive(Serialize)]
struct Chart {
    title: String,
    /// What to look for in it.
    caption: String,
    svg: String,
}

/// What only one trial shows.
#[derive(Serialize)]
struct TrialSection {
    title: String,
    charts: Vec<Chart>,
}

/// What the page's template sees.
#[derive(Serialize)]
struct Page<'a> {
    view: View,
    overview: Vec<Chart>,
    trials: Vec<TrialSection>,
    guarantees: [&'static str; Guarantee::ALL.len()],
    style: &'a str,
    machine: Vec<(String, String)>,
    plan: String,
    recovery_note: &'a str,
    version: &'a str,
}

/// Lays out a record as a page.
///
/// # Errors
/// When a chart or the page cannot be drawn: a defect of this program.
pub fn html(evidence: &Evidence) -> Result<String, String> {
    let view = View::of_evidence(evidence);
    let mut overview = Vec::new();
    overview.extend(bars::network(evidence)?);
    overview.extend(distribution::distribution(evidence)?);
    let mut trials = Vec::new();
    for trial in &evidence.trials {
        let mut charts = timeline::charts(trial)?;
        charts.extend(bars::nodes(trial)?);
        if !charts.is_empty() {
            trials.push(TrialSection { title: trial.id.clone(), charts });
        }
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let page = Page {
        view,
        overview,
        trials,
        guarantees: Guarantee::ALL.map(Guarantee::name),
        style: STYLE,
        machine: machine(evidence),
        plan: plan(evidence),
        recovery_note: super::table::RECOVERY_NOTE,
        version: env!("CARGO_PKG_VERSION"),
    };
    environment.render_named_str("page.html", PAGE, Serde(&page)).map_err(|error| format!("report.html: {error:#}"))
}

/// What it ran on: a name and a value a line.
fn machine(evidence: &Evidence) -> Vec<(String, String)> {
    let Some(environment) = &evidence.environment else { return Vec::new() };
    let text = |key: &str| environment.get(key).map(word).filter(|text| !text.is_empty());
    let command = environment.get("command").and_then(|command| command.as_array());
    let command = command.map(|words| words.iter().map(word).collect::<Vec<_>>().join(" "));
    let engine = environment.get("engine").filter(|engine| !engine.is_null()).map(|engine| {
        engine
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{key} {}", word(value)))
            .collect::<Vec<_>>()
            .join(", ")
    });
    let rows = [
        ("command", command),
        ("steadfast", text("steadfast")),
        ("started at", text("started_at")),
        ("CPU", text("cpu")),
        ("cores", text("cores")),
        ("kernel", text("kernel")),
        ("runtime", text("runtime")),
        ("engine", engine),
    ];
    rows.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// What was to be done in each trial, as recorded.
fn plan(evidence: &Evidence) -> String {
    let Some(trials) = evidence.plan.as_ref().and_then(|plan| plan.get("trials")?.as_array()) else {
        return String::new();
    };
    let line = |trial: &serde_json::Value| {
        let name = trial.get("target").and_then(|target| target.get("name")).map(word).unwrap_or_default();
        let of = |key: &str| trial.get(key).map(word).unwrap_or_default();
        let faults = trial.get("faults").and_then(|faults| faults.as_array()).into_iter().flatten();
        let faults = faults.map(|fault| {
            let of = |key: &str| fault.get(key).map(word).unwrap_or_default();
            format!("{} of {} from {} to {}", of("fault"), of("node"), of("at"), of("heal_at"))
        });
        let faults = faults.collect::<Vec<_>>().join("; ");
        format!(
            "{} {name}, {} app nodes, seed {}: {}",
            of("number"),
            of("app_nodes"),
            of("seed"),
            if faults.is_empty() { "no fault" } else { &faults }
        )
    };
    trials.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn word(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
