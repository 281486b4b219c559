//! The view model: the content of every format, as rounded text. The formats only do the layout.

use std::collections::BTreeMap;

use serde::Serialize;

use super::marks::{Mark, marks};
use super::side_table::SideTable;
use super::{agents, answer, hosts, links, races, sentence};
use crate::check::{Guarantee, Verdict};
use crate::cluster::RuntimeName;
use crate::expect::Assessment;
use crate::history::Phase;
use crate::measure::{Affinity, Back, Rebound, RecoveryFigures};
use crate::metric::{Clock, Metric, Point as Percentile};
use crate::record::{
    Evidence, Figure, Line, LostWithoutFault, Outcome, Point, RecoverySummary, Scaling, Summary, TargetSummary,
    TargetVerdict,
};
use crate::statistics::Interval;
use crate::topology::{Network, Strategy};

/// The row of one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The target.
    pub target: String,
    /// Where its sessions live.
    pub strategy: String,
    /// The verdict.
    pub verdict: String,
    /// Sessions lost, of those alive at the fault if all of the lost were among them.
    pub lost: String,
    /// Acknowledged writes that were lost.
    pub writes_lost: String,
    /// The median response time, in ms.
    pub p50_ms: String,
    /// The 99th percentile of the response time in the steady phase, in ms.
    pub p99_ms: String,
    /// The 99th percentile of the response time during a fault, in ms.
    pub p99_fault_ms: String,
    /// KB per operation on the front network.
    pub front_kb: String,
    /// KB per operation on the cluster network.
    pub cluster_kb: String,
    /// KB per operation on the store network.
    pub store_kb: String,
    /// Resident memory of an app node, in MiB.
    pub memory_mib: String,
    /// Operations of the busiest node over the mean.
    pub skew: String,
    /// From the fault to the last error, in s.
    pub recovery_s: String,
    /// The marks of its figures, by the columns of [`FIGURE_COLUMNS`].
    pub marks: BTreeMap<&'static str, Mark>,
}

/// The columns of a row that are figures: the field of [`Row`], and the metric.
pub const FIGURE_COLUMNS: [(&str, &str); 11] = [
    ("lost", "sessions.lost"),
    ("writes_lost", "operations.acknowledged_writes_lost"),
    ("p50_ms", "response.p50"),
    ("p99_ms", "response.p99{phase=steady}"),
    ("p99_fault_ms", "response.p99{phase=fault}"),
    ("front_kb", "network.front.bytes_per_request"),
    ("cluster_kb", "network.cluster.bytes_per_request"),
    ("store_kb", "network.store.bytes_per_request"),
    ("memory_mib", "memory.resident_per_node"),
    ("skew", "skew"),
    ("recovery_s", "recovery.last_error"),
];

/// The assessment of an expectation in all trials of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExpectationRow {
    /// The target.
    pub target: String,
    /// The condition.
    pub expected: String,
    /// The observed values, with the trials if there are several.
    pub seen: String,
    /// Whether it was met in all trials.
    pub met: bool,
}

/// A figure of all targets with its uncertainty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FigureRow {
    /// The metric.
    pub metric: String,
    /// One cell per target: the median, and its interval if there is one.
    pub cells: Vec<String>,
}

/// A target with one of its numbers of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScalingRow {
    /// App nodes.
    pub nodes: String,
    /// KB per operation that nodes and store exchanged.
    pub measured_kb: String,
    /// The claim, scaled from the fewest nodes, in KB per operation.
    pub predicted_kb: String,
    /// Measured over predicted.
    pub ratio: String,
    /// The median response time, in ms.
    pub p50_ms: String,
    /// Its 99th percentile, in ms.
    pub p99_ms: String,
    /// Resident memory of an app node, in MiB.
    pub memory_mib: String,
}

impl ScalingRow {
    /// The cells in the order in which every format shows them.
    #[must_use]
    pub fn cells(&self) -> [&str; 7] {
        let Self { nodes, measured_kb, predicted_kb, ratio, p50_ms, p99_ms, memory_mib } = self;
        [nodes, measured_kb, predicted_kb, ratio, p50_ms, p99_ms, memory_mib]
    }
}

/// A target against its number of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScalingView {
    /// The target.
    pub target: String,
    /// The claim about its strategy, as text.
    pub claim: String,
    /// One row per number of nodes.
    pub rows: Vec<ScalingRow>,
    /// The fitted lines, as text.
    pub fit: String,
}

/// The effects of one fault on one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveryRow {
    /// The target.
    pub target: String,
    /// The fault and its node.
    pub fault: String,
    /// Sessions lost, of the alive sessions that the victim had answered last.
    pub lost_of_victim: String,
    /// Sessions lost, of all other alive sessions.
    pub lost_of_others: String,
    /// Acknowledged writes that were lost, and the age of the oldest.
    pub writes_lost: String,
    /// Requests in flight at the order: ok, failed, and indeterminate.
    pub in_flight: String,
    /// From the order to the last error, in s.
    pub last_error_s: String,
    /// The longest wait of any user for an operation to end well, in s.
    pub gap_s: String,
    /// From the order until success was back in the steady band, in s.
    pub success_back: String,
    /// From the order until the 99th percentile was back in the steady band, in s.
    pub p99_back: String,
    /// From the order until the balancer marked the node down, and until it marked it up again, in s.
    pub marked_s: String,
    /// Extra KB that nodes exchanged after the heal was ordered.
    pub catch_up_kb: String,
}

/// How sessions of one target stayed with their nodes, as text: over the whole run, or at one fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AffinityRow {
    /// The target.
    pub target: String,
    /// The fault and its node; or that it is about the whole run.
    pub fault: String,
    /// Requests that another node answered than the one before, of all that had one before.
    pub breaks: String,
    /// Sessions of the victim that the fault moved, of those that were answered after it.
    pub moved_of_victim: String,
    /// The same of all other sessions: those that need not have moved.
    pub moved_of_others: String,
    /// Sessions that moved when the fault was undone.
    pub moved_by_heal: String,
}

/// Everything that a report shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// The question.
    pub question: String,
    /// Facts that a reader must know before the figures.
    pub notices: Vec<String>,
    /// The outcome in one sentence.
    pub outcome: String,
    /// The answer to the question, in sentences: which targets kept their sessions, and at which cost.
    pub answer: Vec<String>,
    /// One row per target.
    pub rows: Vec<Row>,
    /// Targets that were run with several numbers of nodes.
    pub scaling: Vec<ScalingView>,
    /// The effects of each fault.
    pub recoveries: Vec<RecoveryRow>,
    /// How sessions stayed with their nodes, where they did before the first fault.
    pub affinity: Vec<AffinityRow>,
    /// The tables that only some runs have.
    pub side_tables: Vec<SideTable>,
    /// Whether each target has one trial at most, so that no figure has an interval.
    pub is_of_single_trials: bool,
    /// Whether a target had more than one fault, so that the first table is not enough.
    pub has_several_faults: bool,
    /// The names of the guarantees that are shown.
    pub guarantees: Vec<&'static str>,
    /// One row per target: its name, and the verdict on each of these guarantees.
    pub held: Vec<(String, Vec<String>)>,
    /// The result of each target, in one sentence each.
    pub sentences: Vec<String>,
    /// All figures, with their uncertainty.
    pub figures: Vec<FigureRow>,
    /// The assessment of each expectation.
    pub expectations: Vec<ExpectationRow>,
    /// Expectations that were breached.
    pub breaches: Vec<String>,
    /// Descriptions of violations, by target.
    pub examples: Vec<(String, Vec<String>)>,
    /// Profile, seed, runtime and start of the run.
    pub footer: String,
}

impl View {
    /// Makes the view of a record. Files that could not be read are the first notices.
    #[must_use]
    pub fn of_evidence(evidence: &Evidence) -> Self {
        let mut view = Self::of(&evidence.summary);
        let missing = evidence.missing.iter().map(|missing| format!("Left out, because it cannot be read: {missing}."));
        view.notices.splice(0..0, missing);
        view
    }

    /// Makes the view of a summary.
    #[must_use]
    pub fn of(summary: &Summary) -> Self {
        let breaches = summary.expectations.iter().filter(|assessment| !assessment.met);
        let marks: Vec<(&str, Vec<Mark>)> =
            FIGURE_COLUMNS.iter().map(|(column, metric)| (*column, marks(&summary.targets, metric))).collect();
        let marks_of = |place: usize| {
            marks.iter().filter_map(|(column, marks)| Some((*column, *marks.get(place)?))).collect::<BTreeMap<_, _>>()
        };
        let violated = summary.targets.iter().filter(|target| !target.examples.is_empty());
        let is_judged = |guarantee| summary.targets.iter().any(|target| target.guarantees.contains_key(&guarantee));
        let guarantees = Guarantee::shown(is_judged);
        Self {
            question: summary.answers.clone(),
            notices: notices(summary),
            outcome: outcome(summary),
            answer: answer::answer(summary),
            rows: summary
                .targets
                .iter()
                .enumerate()
                .map(|(place, target)| Row { marks: marks_of(place), ..row(target, &summary.label(target)) })
                .collect(),
            scaling: summary.scaling.iter().map(scaling).collect(),
            recoveries: summary
                .targets
                .iter()
                .flat_map(|target| {
                    let label = summary.label(target);
                    let rows = target.recoveries.iter().map(|recovery| recovery_row(recovery, target, &label));
                    rows.chain(without_fault(target, &label)).collect::<Vec<_>>()
                })
                .collect(),
            affinity: summary
                .targets
                .iter()
                .filter(|target| target.affinity.is_some_and(|affinity| affinity.is_bound()))
                .flat_map(|target| affinity(target, &summary.label(target)))
                .collect(),
            side_tables: [hosts::table(summary), links::table(summary), agents::table(summary), races::table(summary)]
                .into_iter()
                .filter(|table| !table.rows.is_empty())
                .collect(),
            is_of_single_trials: summary.targets.iter().all(|target| target.trials <= 1),
            has_several_faults: summary.targets.iter().any(|target| target.recoveries.len() > 1),
            guarantees: guarantees.iter().map(|guarantee| guarantee.name()).collect(),
            held: summary.targets.iter().map(|target| (summary.label(target), held(target, &guarantees))).collect(),
            sentences: summary
                .targets
                .iter()
                .map(|target| sentence::sentence(target, &summary.label(target)))
                .collect(),
            figures: figures(summary),
            expectations: expectations(summary),
            breaches: breaches
                .map(|breach| format!("{}: expected {}, saw {}", breach.target, breach.expected, breach.seen))
                .collect(),
            examples: violated.map(|target| (summary.label(target), target.examples.clone())).collect(),
            footer: format!(
                "profile {}, seed {}, runtime {}, {}",
                summary.profile, summary.seed, summary.runtime, summary.started_at
            ),
        }
    }
}

/// One row for all trials of a target, because one row per trial would hide a breach among many trials.
fn expectations(summary: &Summary) -> Vec<ExpectationRow> {
    let mut rows: Vec<(String, &str, Vec<&Assessment>)> = Vec::new();
    for assessment in &summary.expectations {
        let is_its = |target: &&TargetSummary| {
            target.target == assessment.target && assessment.nodes.is_none_or(|nodes| nodes == target.nodes)
        };
        let target = summary.targets.iter().find(is_its);
        let label = target.map_or_else(|| assessment.target.clone(), |target| summary.label(target));
        match rows.iter_mut().find(|(other, expected, _)| (other, *expected) == (&label, assessment.expected.as_str()))
        {
            Some((_, _, assessments)) => assessments.push(assessment),
            None => rows.push((label, &assessment.expected, vec![assessment])),
        }
    }
    let row = |(target, expected, assessments): (String, &str, Vec<&Assessment>)| {
        let met = assessments.iter().all(|assessment| assessment.met);
        ExpectationRow { target, expected: expected.to_owned(), seen: seen(&assessments, met), met }
    };
    rows.into_iter().map(row).collect()
}

/// The observed values: of several trials those that breached the condition, or all of them if all met it.
fn seen(assessments: &[&Assessment], met: bool) -> String {
    /// More values would make the cell too long.
    const MAX: usize = 6;
    if let [one] = assessments {
        return one.seen.clone();
    }
    let values: Vec<String> = assessments
        .iter()
        .filter(|assessment| met || !assessment.met)
        .map(|assessment| format!("{} (trial {})", assessment.seen, assessment.trial))
        .collect();
    match values.len().checked_sub(MAX) {
        Some(more @ 1..) => {
            format!("{}, and {more} more", values.iter().take(MAX).cloned().collect::<Vec<_>>().join(", "))
        }
        _ => values.join(", "),
    }
}

/// The rows of all metrics that at least one target has.
fn figures(summary: &Summary) -> Vec<FigureRow> {
    let row = |metric: Metric| {
        let name = metric.name();
        let of = |target: &TargetSummary| target.figures.iter().find(|figure| figure.metric == name).map(with_interval);
        let cells: Vec<Option<String>> = summary.targets.iter().map(of).collect();
        let is_known = cells.iter().any(Option::is_some);
        is_known.then(|| FigureRow { metric: name.clone(), cells: cells.into_iter().map(optional).collect() })
    };
    Metric::all().into_iter().filter_map(row).collect()
}

fn with_interval(figure: &Figure) -> String {
    match figure.interval {
        Some(Interval { low, high }) if low < high => {
            format!("{} ({} to {})", figure.show(), figure.unit.show(low), figure.unit.show(high))
        }
        _ => figure.show(),
    }
}

/// The guarantees that the report shows of one target.
pub(super) fn shown_of(target: &TargetSummary) -> Vec<Guarantee> {
    Guarantee::shown(|guarantee| target.guarantees.contains_key(&guarantee))
}

/// The verdict on each guarantee.
fn held(target: &TargetSummary, shown: &[Guarantee]) -> Vec<String> {
    let of = |guarantee: &Guarantee| match target.guarantees.get(guarantee) {
        None => "–".to_owned(),
        Some(Verdict::Violated) => match target.violations.get(guarantee) {
            Some(count) => format!("violated {count}×"),
            None => "violated".to_owned(),
        },
        Some(verdict) => verdict.to_string(),
    };
    shown.iter().map(of).collect()
}

/// Notices that every reader must see.
fn notices(summary: &Summary) -> Vec<String> {
    let mut notices = Vec::new();
    if summary.interrupted {
        notices.push("This run was interrupted: only the figures measured before are shown.".to_owned());
    }
    if summary.targets.iter().any(|target| target.trials > 1) {
        notices.push(
            "Figures are medians over trials, for maxima, the highest value; intervals at 95 % take six trials. Figures whose intervals overlap are not ranked. A last error with (2/5) is the median of the two trials of five that had any.".to_owned(),
        );
    }
    if !summary.stand_ins.is_empty() {
        let pairs: Vec<String> =
            summary.stand_ins.iter().map(|(target, stand_in)| format!("{stand_in} for {target}")).collect();
        notices.push(format!("Without Docker, reference targets stood in: {}.", pairs.join(", ")));
    }
    if summary.targets.iter().any(|target| target.is_reference) {
        notices.push(
            "The reference targets are steadfast's own small servers: they show strategies, not the real products."
                .to_owned(),
        );
    }
    let as_processes = summary.targets.iter().filter(|target| target.runtime == RuntimeName::Process).count();
    if as_processes > 0 {
        let whose = if as_processes == summary.targets.len() { "Nodes" } else { "Nodes of reference targets" };
        notices.push(format!(
            "{whose} were processes: bytes are counted at their sockets, without the headers of TCP and IP."
        ));
    }
    notices
}

fn outcome(summary: &Summary) -> String {
    let (all, met) =
        (summary.expectations.len(), summary.expectations.iter().filter(|assessment| assessment.met).count());
    match summary.outcome {
        Outcome::Met if all == 0 => "Every trial gave a verdict; nothing was expected.".to_owned(),
        Outcome::Met if all == 1 => "The one expectation was met.".to_owned(),
        Outcome::Met => format!("All {all} expectations were met."),
        Outcome::Breached if all == 1 => "The one expectation was breached.".to_owned(),
        Outcome::Breached => format!("{} of {all} expectations were breached.", all - met),
        Outcome::NoVerdict if summary.interrupted => {
            "The run was interrupted: what was measured is shown, expectations are not judged.".to_owned()
        }
        Outcome::NoVerdict if !summary.unexpected.is_empty() => format!(
            "No verdict: nothing was expected of {}, although the profile expects something of its own targets.",
            summary.unexpected.join(", ")
        ),
        Outcome::NoVerdict => "No verdict: at least one trial was unknown, invalid or not made.".to_owned(),
    }
}

fn row(target: &TargetSummary, label: &str) -> Row {
    let kb = |network: Network| optional(target.network_bytes_per_request.get(&network).map(|bytes| kilobytes(*bytes)));
    let is_measured = target.response_us.max > 0 && target.verdict != TargetVerdict::Invalid;
    let ms = |us: u64| if is_measured { milliseconds(us) } else { "–".to_owned() };
    let p99 = |phase: Phase| {
        let name = Metric::Latency(Clock::Response, Percentile::P99, Some(phase)).name();
        let figure = target.figures.iter().find(|figure| figure.metric == name).filter(|_| is_measured);
        optional(figure.and_then(|figure| figure.median).map(|us| shown_ms(us / 1000.0)))
    };
    Row {
        target: label.to_owned(),
        strategy: target.strategy.to_string(),
        verdict: match target.guarantees.len() {
            // A pass of some guarantees must not look like a pass of all.
            judged if judged > 0 && judged < shown_of(target).len() => {
                format!("{} {judged}/{}", verdict(target.verdict), shown_of(target).len())
            }
            _ => verdict(target.verdict).to_owned(),
        },
        // Several faults can lose more sessions than were alive at the first: `226/100` would look like a mistake.
        lost: match target.sessions.alive_of_all_lost() {
            Some(alive) => format!("{}/{alive}", target.sessions.lost),
            None => target.sessions.lost.to_string(),
        },
        writes_lost: optional(shows_writes(target).then(|| target.operations.acknowledged_writes_lost.to_string())),
        p50_ms: ms(target.response_us.p50),
        p99_ms: p99(Phase::Steady),
        p99_fault_ms: p99(Phase::Fault),
        front_kb: kb(Network::Front),
        cluster_kb: kb(Network::Cluster),
        store_kb: kb(Network::Store),
        memory_mib: optional(target.memory_bytes_per_node.map(mebibytes)),
        skew: optional(target.skew.map(|skew| format!("{skew:.2}"))),
        recovery_s: optional(target.recovery_ms.map(|ms| {
            let among = if target.trials_with_errors < target.trials && target.trials_with_errors > 0 {
                format!(" ({}/{})", target.trials_with_errors, target.trials)
            } else {
                String::new()
            };
            format!("{:.1}{among}", ms as f64 / 1000.0)
        })),
        marks: BTreeMap::new(),
    }
}

/// Whether replies show what was written: of an app that shows the owner alone nobody knows whether a write was lost.
fn shows_writes(target: &TargetSummary) -> bool {
    !target.by_counter_only || target.guarantees.contains_key(&Guarantee::ReadYourWrites)
}

fn recovery_row(summary: &RecoverySummary, target: &TargetSummary, label: &str) -> RecoveryRow {
    let recovery = &summary.figures;
    let seconds = |ms: u64| format!("{:.1}", ms as f64 / 1000.0);
    let back = |back: Back| match back {
        Back::Unknown => "?".to_owned(),
        Back::Never => "never".to_owned(),
        Back::AfterMs(ms) => seconds(ms),
    };
    let (alive, lost, in_flight) = (recovery.alive, recovery.lost, recovery.in_flight);
    let overlaps = if recovery.overlaps { " *" } else { "" };
    RecoveryRow {
        target: label.to_owned(),
        fault: format!("{}{overlaps}", fault_of(recovery, target)),
        lost_of_victim: format!("{}/{}", lost.of_victim, alive.of_victim),
        lost_of_others: format!("{}/{}", lost.of_others, alive.of_others),
        writes_lost: match recovery.oldest_lost_write_ms {
            _ if !shows_writes(target) => "–".to_owned(),
            Some(oldest) => format!("{} ({} s)", recovery.acknowledged_writes_lost, seconds(oldest)),
            None => recovery.acknowledged_writes_lost.to_string(),
        },
        in_flight: format!("{}/{}/{}", in_flight.ok, in_flight.fail, in_flight.indeterminate),
        last_error_s: optional(recovery.last_error_ms.map(seconds)),
        gap_s: seconds(summary.gap_max_ms),
        success_back: back(recovery.success),
        p99_back: back(recovery.p99),
        marked_s: match recovery.marked_down_ms {
            Some(down) => format!("{} to {}", seconds(down), optional(recovery.marked_up_ms.map(seconds))),
            None => "–".to_owned(),
        },
        catch_up_kb: optional(recovery.catch_up.map(|catch_up| format!("{:.0}", catch_up.bytes as f64 / 1000.0))),
    }
}

/// The fault and its node; and how, where another one of the target differs by that alone.
fn fault_of(figures: &RecoveryFigures, target: &TargetSummary) -> String {
    let RecoveryFigures { fault, node, detail, .. } = figures;
    let is_like = |other: &RecoveryFigures| other.fault == *fault && other.node == *node && other.detail != *detail;
    if target.recoveries.iter().any(|other| is_like(&other.figures)) {
        format!("{fault} ({detail}) of {node}")
    } else {
        format!("{fault} of {node}")
    }
}

/// One row for the whole run, and one for each fault.
fn affinity(target: &TargetSummary, label: &str) -> Vec<AffinityRow> {
    let nothing = || "–".to_owned();
    let all = AffinityRow {
        target: label.to_owned(),
        fault: "the whole run".to_owned(),
        breaks: optional(target.affinity.map(|Affinity { breaks, requests, .. }| format!("{breaks}/{requests}"))),
        moved_of_victim: nothing(),
        moved_of_others: nothing(),
        moved_by_heal: nothing(),
    };
    let of_fault = |summary: &RecoverySummary| {
        let Rebound { seen, by_fault, by_heal } = summary.figures.rebound?;
        Some(AffinityRow {
            target: label.to_owned(),
            fault: fault_of(&summary.figures, target),
            breaks: nothing(),
            moved_of_victim: format!("{}/{}", by_fault.of_victim, seen.of_victim),
            moved_of_others: format!("{}/{}", by_fault.of_others, seen.of_others),
            moved_by_heal: format!("{}/{}", by_heal.of_victim + by_heal.of_others, seen.of_victim + seen.of_others),
        })
    };
    std::iter::once(all).chain(target.recoveries.iter().filter_map(of_fault)).collect()
}

/// Losses that no fault explains, if there were faults.
fn without_fault(target: &TargetSummary, label: &str) -> Option<RecoveryRow> {
    let LostWithoutFault { sessions, writes } = target.without_fault;
    let nothing = || "–".to_owned();
    (sessions + writes > 0 && !target.recoveries.is_empty()).then(|| RecoveryRow {
        target: label.to_owned(),
        fault: "none of them".to_owned(),
        lost_of_victim: nothing(),
        lost_of_others: sessions.to_string(),
        writes_lost: writes.to_string(),
        in_flight: nothing(),
        last_error_s: nothing(),
        gap_s: nothing(),
        success_back: nothing(),
        p99_back: nothing(),
        marked_s: nothing(),
        catch_up_kb: nothing(),
    })
}

fn scaling(scaling: &Scaling) -> ScalingView {
    let claim = match scaling.strategy {
        Strategy::ReplicateAll => "bytes per operation that grow with N−1",
        _ => "bytes per operation that stay the same, whatever N",
    };
    let lines = [
        scaling.bytes.map(|line| fitted("KB/op", &line, 1000.0)),
        scaling.response_p50.map(|line| fitted("p50 in ms", &line, 1000.0)),
        scaling.memory.map(|line| fitted("MiB/node", &line, f64::from(1 << 20))),
    ];
    ScalingView {
        target: scaling.target.clone(),
        claim: claim.to_owned(),
        rows: scaling.points.iter().map(scaling_row).collect(),
        fit: lines.into_iter().flatten().collect::<Vec<_>>().join("; "),
    }
}

/// A line as text: `KB/op ≈ 0.02 + 0.31·(N−1), R² 0.99`.
fn fitted(what: &str, line: &Line, unit: f64) -> String {
    let (base, slope) = (line.at_one_node / unit, line.per_added_node / unit);
    let sign = if slope < 0.0 { '−' } else { '+' };
    let explained = line.r_squared.map(|share| format!(", R² {share:.2}")).unwrap_or_default();
    format!("{what} ≈ {base:.2} {sign} {:.3}·(N−1){explained}", slope.abs())
}

fn scaling_row(point: &Point) -> ScalingRow {
    let ratio = point.bytes_per_operation.zip(point.predicted_bytes).filter(|(_, predicted)| *predicted > 0.0);
    ScalingRow {
        nodes: point.nodes.to_string(),
        measured_kb: optional(point.bytes_per_operation.map(|bytes| format!("{:.2}", bytes / 1000.0))),
        predicted_kb: optional(point.predicted_bytes.map(|bytes| format!("{:.2}", bytes / 1000.0))),
        ratio: optional(ratio.map(|(measured, predicted)| format!("{:.2}", measured / predicted))),
        p50_ms: milliseconds(point.response_p50_us),
        p99_ms: milliseconds(point.response_p99_us),
        memory_mib: optional(point.memory_bytes.map(mebibytes)),
    }
}

/// Shows a small value with more digits, because only zero may look like zero.
fn kilobytes(bytes: f64) -> String {
    match bytes / 1000.0 {
        0.0 => "0".to_owned(),
        little if little < 0.1 => format!("{little:.2}"),
        kilobytes => format!("{kilobytes:.1}"),
    }
}

fn mebibytes(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 10.0 { format!("{mebibytes:.1}") } else { format!("{mebibytes:.0}") }
}

fn optional(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

fn milliseconds(us: u64) -> String {
    shown_ms(us as f64 / 1000.0)
}

fn shown_ms(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") }
}

const fn verdict(verdict: TargetVerdict) -> &'static str {
    match verdict {
        TargetVerdict::Pass => "pass",
        TargetVerdict::Unknown => "unknown",
        TargetVerdict::Violated => "violated",
        TargetVerdict::Invalid => "invalid",
        TargetVerdict::Unsupported => "unsupported",
    }
}
