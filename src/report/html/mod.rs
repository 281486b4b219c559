//! `report.html`: one self-contained page, without scripts and without requests to other servers. It follows the light
//! or dark mode of the reader's system, and every chart has a caption with its numbers.

mod bars;
mod chart;
mod distribution;
mod timeline;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;
use serde_json::Value;

use super::view::View;
use crate::record::{Evidence, RecordedFault, RecordedTrial};
use crate::report::ReportError;

const PAGE: &str = include_str!("page.html.j2");
const STYLE: &str = include_str!("style.css");

/// A chart with its title and caption.
#[derive(Serialize)]
struct Chart {
    title: String,
    /// Explains the chart.
    caption: String,
    svg: String,
}

/// The charts of one trial.
#[derive(Serialize)]
struct TrialSection {
    title: String,
    charts: Vec<Chart>,
}

/// The data of the page's template.
#[derive(Serialize)]
struct Page<'a> {
    view: View,
    overview: Vec<Chart>,
    trials: Vec<TrialSection>,
    style: &'a str,
    machine: Vec<(String, String)>,
    plan: String,
    recovery_note: &'a str,
    affinity_note: &'a str,
    version: &'a str,
}

/// Renders a record as a page.
///
/// # Errors
/// When a chart or the page cannot be drawn: a defect of this program.
pub fn html(evidence: &Evidence) -> Result<String, ReportError> {
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
        style: STYLE,
        machine: machine(evidence),
        plan: plan(evidence),
        recovery_note: super::table::RECOVERY_NOTE,
        affinity_note: super::table::AFFINITY_NOTE,
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(environment.render_named_str("page.html", PAGE, Serde(&page))?)
}

/// The environment of the run, as pairs of name and value.
fn machine(evidence: &Evidence) -> Vec<(String, String)> {
    let Some(environment) = &evidence.environment else { return Vec::new() };
    let rows = [
        ("command", environment.command.join(" ")),
        ("steadfast", environment.steadfast.clone()),
        ("note", environment.note.clone().unwrap_or_default()),
        ("started at", environment.started_at.clone()),
        ("CPU", environment.cpu.clone()),
        ("cores", environment.cores.to_string()),
        ("kernel", environment.kernel.clone()),
        ("runtime", environment.runtime.to_string()),
        ("engine", environment.engine_in_words().unwrap_or_default()),
        ("hosts", environment.hosts_in_words().join("; ")),
    ];
    rows.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The plan, one line per trial.
fn plan(evidence: &Evidence) -> String {
    let fault = |RecordedFault { fault, node, at, heal_at, parameters }: &RecordedFault| {
        let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let parameters: Vec<String> = parameters.iter().map(|(key, value)| format!("{key}={}", word(value))).collect();
        let kind = [fault.as_str(), &parameters.join(" ")].join(" ");
        format!("{} of {node} from {at} to {heal_at}", kind.trim_end())
    };
    let line = |trial: &RecordedTrial| {
        let RecordedTrial { number, target, app_nodes, seed, faults, .. } = trial;
        let faults = match faults.iter().map(fault).collect::<Vec<_>>().join("; ") {
            none if none.is_empty() => "no fault".to_owned(),
            faults => faults,
        };
        format!("{number} {}, {app_nodes} app nodes, seed {seed}: {faults}", target.name)
    };
    evidence.plan.iter().flat_map(|plan| &plan.trials).map(line).collect::<Vec<_>>().join("\n")
}
