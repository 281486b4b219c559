//! The summary of a run, for programs: `summary.json`. Within a schema version, fields are added and never changed.
//!
//! Over several trials of a target, counts are summed, and every other figure is a median.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::check::{Guarantee, Verdict};
use crate::cluster::RuntimeName;
use crate::expect::{Assessment, Reference, Subject};
use crate::measure::{
    self, Affinity, AgentFigures, HostFigures, Latency, LinkFigures, Measurements, OperationCounts, Races,
    SessionCounts,
};
use crate::metric::Metric;
use crate::plan::Plan;
use crate::topology::{Network, Strategy, Target, Tier};

use super::figures::{Figure, figures};
use super::medians::{median, median_whole, medians};
use super::recovery::{self, RecoverySummary};
use super::{Baseline, RecordError, SUMMARY_FILE, Scaling, TrialResult, parse, read, scaling};

/// Increased when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every expectation was met.
    Met,
    /// At least one was not.
    Breached,
    /// A trial was unknown or invalid, or the run was interrupted.
    NoVerdict,
}

/// What was decided about a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TargetVerdict {
    /// Every guarantee held.
    Pass,
    /// It cannot be said.
    Unknown,
    /// A guarantee was broken.
    Violated,
    /// The generator was the limit.
    Invalid,
    /// It was not tried: a fault cannot be done here.
    Unsupported,
}

impl fmt::Display for TargetVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Unknown => "unknown",
            Self::Violated => "violated",
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
        })
    }
}

/// A distribution, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LatencySummary {
    /// The median.
    pub p50: u64,
    /// The 90th percentile.
    pub p90: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The 99.9th percentile.
    pub p999: u64,
    /// The highest.
    pub max: u64,
}

/// What nodes held in the end, past the balancer, against the final read through it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CopyCounts {
    /// Sessions of which nodes were asked.
    pub sessions: u64,
    /// Sessions of which nodes did not hold the same.
    pub disagreeing: u64,
    /// Copies that were behind.
    pub behind: u64,
    /// Copies that went apart: neither behind nor ahead.
    pub apart: u64,
}

/// What was lost outside the scope of any fault, or of what was made after the fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LostWithoutFault {
    /// Sessions.
    pub sessions: u64,
    /// Acknowledged writes.
    pub writes: u64,
}

impl LostWithoutFault {
    fn of(measured: &[&Measurements]) -> Self {
        let by_faults = |one: &&Measurements| {
            one.recoveries
                .iter()
                .map(|recovery| recovery.figures.lost.of_victim + recovery.figures.lost.of_others)
                .sum::<u64>()
        };
        Self {
            sessions: measured.iter().map(|one| one.sessions.lost.saturating_sub(by_faults(one))).sum(),
            writes: measured.iter().map(|one| one.writes_lost_without_fault).sum(),
        }
    }
}

/// One target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TargetSummary {
    /// Its name.
    pub target: String,
    /// Where its sessions live.
    pub strategy: Strategy,
    /// What it shows, in a sentence.
    pub shows: String,
    /// Whether it is made of reference nodes, and not of real products.
    #[serde(default)]
    pub is_reference: bool,
    /// Where its nodes ran.
    #[serde(default = "in_containers")]
    pub runtime: RuntimeName,
    /// How many app nodes it had.
    pub nodes: u8,
    /// How many trials were made.
    pub trials: usize,
    /// The worst over its trials.
    pub verdict: TargetVerdict,
    /// Why it is unknown or invalid.
    pub reasons: Vec<String>,
    /// The worst of each guarantee over its trials.
    pub guarantees: BTreeMap<Guarantee, Verdict>,
    /// How often each was broken, over all trials.
    #[serde(default)]
    pub violations: BTreeMap<Guarantee, u64>,
    /// Whether the app showed only how many operations a session holds, so that the check was a weaker one.
    #[serde(default)]
    pub by_counter_only: bool,
    /// What its nodes held in the end, past the balancer, over all trials.
    #[serde(default)]
    pub copies: CopyCounts,
    /// Some of the violations, told.
    #[serde(rename = "stories")]
    pub examples: Vec<String>,
    /// Which nodes were hit by which fault.
    pub faults: Vec<String>,
    /// What became of its sessions.
    pub sessions: SessionCounts,
    /// How its operations ended after the warm-up.
    pub operations: OperationCounts,
    /// From the scheduled instant, of operations that ended well after the warm-up.
    pub response_us: LatencySummary,
    /// From the send, of the same.
    pub service_us: LatencySummary,
    /// In the steady phase, bytes that crossed each network, per operation.
    pub network_bytes_per_request: BTreeMap<Network, f64>,
    /// In the steady phase, CPU time of each tier, per operation.
    pub cpu_us_per_request: BTreeMap<Tier, f64>,
    /// Resident memory of an app node at the end of the steady phase.
    pub memory_bytes_per_node: Option<u64>,
    /// Live heap of an app node in the end, after a collection.
    pub live_heap_bytes_per_node: Option<u64>,
    /// What each host did in the steady phase, by its name; empty where no file named hosts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, HostFigures>,
    /// What crossed between hosts in the steady phase; empty where no file named hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkFigures>,
    /// What each agent did; empty if there was only one. Over several trials, the worst of each figure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentFigures>,
    /// The busiest app node's share over the mean.
    pub skew: Option<f64>,
    /// How often a request of a session was answered by another node than the one before, over all trials.
    #[serde(default)]
    pub affinity: Option<Affinity>,
    /// Requests that log-outs, log-ins and changes of ids overtook, and what they undid, over all trials.
    #[serde(default)]
    pub races: Races,
    /// From the fault to the last operation that did not end well: the median of the trials that had one.
    pub recovery_ms: Option<u64>,
    /// How many trials had one.
    #[serde(default)]
    pub trials_with_errors: usize,
    /// What was lost and no fault answers for.
    #[serde(default)]
    pub without_fault: LostWithoutFault,
    /// What each fault did, in the order of time.
    #[serde(default)]
    pub recoveries: Vec<RecoverySummary>,
    /// Every figure with its value in each trial and its uncertainty.
    #[serde(default)]
    pub figures: Vec<Figure>,
}

impl TargetSummary {
    /// The names of the guarantees that were broken, with commas between them.
    #[must_use]
    pub fn broken(&self) -> String {
        let broken = self.guarantees.iter().filter(|(_, verdict)| **verdict == Verdict::Violated);
        broken.map(|(guarantee, _)| guarantee.name()).collect::<Vec<_>>().join(", ")
    }
}

/// The runtime of records that do not name one: older versions had no other.
const fn in_containers() -> RuntimeName {
    RuntimeName::Docker
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Summary {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The profile's name.
    pub profile: String,
    /// The question that it answers.
    pub answers: String,
    /// What every choice was drawn from.
    pub seed: u64,
    /// Where the nodes ran, unless a target says otherwise.
    pub runtime: RuntimeName,
    /// By the name of a target of the profile, the reference target that stood in for it.
    #[serde(default)]
    pub stand_ins: BTreeMap<String, String>,
    /// When the run began, in UTC.
    pub started_at: String,
    /// What it came to.
    pub outcome: Outcome,
    /// Whether the user ended it early; expectations are not judged then.
    pub interrupted: bool,
    /// What was tried, in the order of the plan: a target, or one with each of its numbers of nodes.
    pub targets: Vec<TargetSummary>,
    /// Targets that were tried with several numbers of nodes, against these.
    #[serde(default)]
    pub scaling: Vec<Scaling>,
    /// What became of each expectation in each trial.
    pub expectations: Vec<Assessment>,
    /// Targets of which nothing was expected although the profile expects something of its own.
    #[serde(default)]
    pub unexpected: Vec<String>,
}

impl Summary {
    /// Sums up the trials of a plan.
    #[must_use]
    pub fn new(
        plan: &Plan,
        results: &[TrialResult],
        runtime: RuntimeName,
        started_at: &str,
        interrupted: bool,
        baseline: Option<&Baseline>,
    ) -> Self {
        let expectations = if interrupted { Vec::new() } else { assess(plan, results, baseline) };
        let outcome = if interrupted { Outcome::NoVerdict } else { outcome(plan, results, &expectations) };
        let of_case = |(target, nodes): (&Target, u8)| {
            let is_of_case = |result: &&TrialResult| (&result.target, result.nodes) == (&target.name, nodes);
            let results: Vec<&TrialResult> = results.iter().filter(is_of_case).collect();
            (!results.is_empty()).then(|| sum_up(target, nodes, &results))
        };
        let targets: Vec<TargetSummary> = plan.cases().into_iter().filter_map(of_case).collect();
        Self {
            schema_version: SCHEMA_VERSION,
            profile: plan.profile.clone(),
            answers: plan.answers.clone(),
            seed: plan.seed,
            runtime,
            stand_ins: plan.stand_ins.clone(),
            started_at: started_at.to_owned(),
            outcome,
            interrupted,
            scaling: scaling::scaling(&targets),
            targets,
            expectations,
            unexpected: plan.unexpected.clone(),
        }
    }
}

impl Summary {
    /// Whether a target was run with several numbers of nodes.
    #[must_use]
    pub fn is_swept(&self, target: &TargetSummary) -> bool {
        self.targets.iter().filter(|other| other.target == target.target).count() > 1
    }

    /// The target's name in reports: with its number of nodes if it was run with several.
    #[must_use]
    pub fn label(&self, target: &TargetSummary) -> String {
        if self.is_swept(target) { format!("{} ×{}", target.target, target.nodes) } else { target.target.clone() }
    }

    /// Reads the summary of the record in `folder`.
    ///
    /// # Errors
    /// When the file is missing, damaged or of a newer version.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let file = folder.join(SUMMARY_FILE);
        let text = read(&file)?;
        let version = serde_json::from_slice::<serde_json::Value>(&text).ok();
        let version = version.and_then(|value| value.get("schema_version")?.as_u64());
        if let Some(version) = version.filter(|version| *version > u64::from(SCHEMA_VERSION)) {
            let reason = format!(
                "it has schema version {version}, and this program reads up to {SCHEMA_VERSION}: install a newer steadfast"
            );
            return Err(RecordError::bad(&file, reason));
        }
        parse(&file, &text)
    }
}

/// A breach in a trial with a verdict makes the run *breached*, even if other trials gave no verdict.
fn outcome(plan: &Plan, results: &[TrialResult], expectations: &[Assessment]) -> Outcome {
    let is_conclusive = |number: usize| results.iter().any(|result| result.number == number && result.is_conclusive());
    if expectations.iter().any(|assessment| !assessment.met && is_conclusive(assessment.trial)) {
        return Outcome::Breached;
    }
    let may_be_left_out = |number: usize| {
        plan.allow_unsupported && results.iter().any(|result| result.number == number && result.unsupported.is_some())
    };
    if !plan.unexpected.is_empty() {
        return Outcome::NoVerdict;
    }
    let is_complete = plan.trials.iter().all(|trial| is_conclusive(trial.number) || may_be_left_out(trial.number));
    if is_complete { Outcome::Met } else { Outcome::NoVerdict }
}

/// Checks every trial against the expectations of its target.
#[must_use]
pub fn assess(plan: &Plan, results: &[TrialResult], baseline: Option<&Baseline>) -> Vec<Assessment> {
    let of_target = |name: &str, metric: Metric| {
        let measured =
            results.iter().filter(|result| result.target == name).filter_map(|result| result.measurements.as_ref());
        median(measured.filter_map(|measurements| metric.of(measurements)))
    };
    let reference = |reference: &Reference, target: &str, metric: Metric| match reference {
        Reference::Target(name) => of_target(name, metric),
        Reference::Baseline => baseline?.median(target, metric),
    };
    let mut assessments = Vec::new();
    for expectation in &plan.expectations {
        for result in results.iter().filter(|result| expectation.targets.contains(&result.target)) {
            let Some(measurements) = &result.measurements else { continue };
            let (target, trial, judgement) = (result.target.as_str(), result.number, &result.judgement);
            let subject = Subject { target, trial, judgement, measurements };
            let assessment = expectation.condition.assess(subject, &reference);
            assessments.push(Assessment { nodes: Some(result.nodes), ..assessment });
        }
    }
    assessments
}

fn verdict_of(result: &TrialResult) -> TargetVerdict {
    if result.unsupported.is_some() {
        return TargetVerdict::Unsupported;
    }
    match (&result.invalid, result.judgement.verdict) {
        (Some(_), _) => TargetVerdict::Invalid,
        (None, Verdict::Pass) => TargetVerdict::Pass,
        (None, Verdict::Unknown) => TargetVerdict::Unknown,
        (None, Verdict::Violated) => TargetVerdict::Violated,
    }
}

fn sum_up(target: &Target, nodes: u8, results: &[&TrialResult]) -> TargetSummary {
    let measured: Vec<&Measurements> = results.iter().filter_map(|result| result.measurements.as_ref()).collect();
    let mut guarantees: BTreeMap<Guarantee, Verdict> = BTreeMap::new();
    let mut violations: BTreeMap<Guarantee, u64> = BTreeMap::new();
    for (guarantee, finding) in results.iter().flat_map(|result| &result.judgement.guarantees) {
        *violations.entry(*guarantee).or_default() += finding.violations;
        let worst = guarantees.entry(*guarantee).or_insert(finding.verdict);
        *worst = (*worst).max(finding.verdict);
    }
    let findings = || results.iter().flat_map(|result| result.judgement.guarantees.values());
    let undecided =
        results.iter().flat_map(|result| &result.judgement.guarantees).filter_map(|(guarantee, finding)| {
            let reason = finding.reason.as_ref().filter(|_| finding.verdict == Verdict::Unknown)?;
            Some(format!("{guarantee} is unknown: {reason}"))
        });
    let reasons = results.iter().flat_map(|result| result.invalid.iter().chain(&result.judgement.reasons));
    let mut reasons: Vec<String> = reasons.cloned().chain(undecided).collect();
    reasons.dedup();
    TargetSummary {
        target: target.name.clone(),
        strategy: target.strategy,
        shows: target.shows.clone(),
        is_reference: target.is_reference(),
        runtime: results.first().map_or(RuntimeName::Docker, |result| result.runtime),
        nodes,
        trials: results.len(),
        verdict: results.iter().map(|result| verdict_of(result)).max().unwrap_or(TargetVerdict::Unknown),
        reasons,
        guarantees,
        violations,
        by_counter_only: results.iter().any(|result| result.judgement.by_counter_only),
        copies: copies(results),
        examples: findings()
            .filter_map(|finding| finding.examples.first())
            .map(|example| example.text.clone())
            .collect(),
        faults: results.iter().flat_map(|result| result.faults.clone()).collect(),
        sessions: sessions(&measured),
        operations: operations(&measured),
        response_us: latency(&measured, |measurements| &measurements.response_us),
        service_us: latency(&measured, |measurements| &measurements.service_us),
        network_bytes_per_request: network_bytes(target, &measured),
        cpu_us_per_request: medians(&measured, |measurements| &measurements.cpu_us_per_request),
        memory_bytes_per_node: median_whole(&measured, |measurements| measurements.memory_bytes_per_node),
        live_heap_bytes_per_node: median_whole(&measured, |measurements| measurements.live_heap_bytes_per_node),
        hosts: measure::hosts_over_trials(measured.iter().map(|measurements| &measurements.hosts)),
        links: measure::links_over_trials(measured.iter().map(|measurements| &measurements.links)),
        agents: measure::agents_over_trials(measured.iter().map(|measurements| &measurements.agents)),
        skew: median(measured.iter().filter_map(|measurements| measurements.skew)),
        affinity: measured.iter().filter_map(|measurements| measurements.affinity).reduce(Affinity::and),
        races: measured.iter().map(|measurements| measurements.races).fold(Races::default(), Races::and),
        recovery_ms: median_whole(&measured, |measurements| measurements.recovery_ms),
        trials_with_errors: measured.iter().filter(|measurements| measurements.recovery_ms.is_some()).count(),
        without_fault: LostWithoutFault::of(&measured),
        recoveries: recovery::over_trials(&measured),
        figures: figures(&measured),
    }
}

fn copies(results: &[&TrialResult]) -> CopyCounts {
    let add = |sum: CopyCounts, result: &&TrialResult| {
        let copies = &result.judgement.copies;
        CopyCounts {
            sessions: sum.sessions + copies.sessions,
            disagreeing: sum.disagreeing + copies.disagreeing,
            behind: sum.behind + copies.behind,
            apart: sum.apart + copies.apart + copies.ahead,
        }
    };
    results.iter().fold(CopyCounts::default(), add)
}

/// Bytes per operation by network: 0 for a network that the target does not have, absent if not measured, as where nobody knows
/// which networks there are.
fn network_bytes(target: &Target, measured: &[&Measurements]) -> BTreeMap<Network, f64> {
    let mut bytes = medians(measured, |measurements| &measurements.network_bytes_per_request);
    if target.attached.is_some() {
        return bytes;
    }
    let has = target.networks();
    bytes.extend(Network::ALL.into_iter().filter(|network| !has.contains(network)).map(|network| (network, 0.0)));
    bytes
}

fn sessions(measured: &[&Measurements]) -> SessionCounts {
    let sum = |of: fn(&Measurements) -> u64| measured.iter().map(|measurements| of(measurements)).sum();
    let alive = measured.iter().filter_map(|measurements| measurements.sessions.alive_at_fault).reduce(|a, b| a + b);
    SessionCounts {
        created: sum(|measurements| measurements.sessions.created),
        alive_at_fault: alive,
        lost: sum(|measurements| measurements.sessions.lost),
        forgotten: sum(|measurements| measurements.sessions.forgotten),
        lost_before_fault: sum(|measurements| measurements.sessions.lost_before_fault),
        lost_ratio: median(measured.iter().filter_map(|measurements| measurements.sessions.lost_ratio)),
    }
}

fn operations(measured: &[&Measurements]) -> OperationCounts {
    let sum = |of: fn(&OperationCounts) -> u64| measured.iter().map(|measurements| of(&measurements.operations)).sum();
    OperationCounts {
        ok: sum(|counts| counts.ok),
        fail: sum(|counts| counts.fail),
        indeterminate: sum(|counts| counts.indeterminate),
        acknowledged_writes: sum(|counts| counts.acknowledged_writes),
        acknowledged_writes_lost: sum(|counts| counts.acknowledged_writes_lost),
    }
}

fn latency(measured: &[&Measurements], of: fn(&Measurements) -> &Latency) -> LatencySummary {
    let at = |figure: fn(&Latency) -> u64| {
        median_whole(measured, |measurements| Some(figure(of(measurements)))).unwrap_or_default()
    };
    LatencySummary {
        p50: at(|latency| latency.p50),
        p90: at(|latency| latency.p90),
        p99: at(|latency| latency.p99),
        p999: at(|latency| latency.p999),
        max: measured.iter().map(|measurements| of(measurements).max).max().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Judgement;
    use crate::expect::Expectation;
    use crate::history::Timeline;
    use crate::measure::{Circumstances, Meter};
    use crate::plan::{Overrides, TrialPlan};
    use crate::profile::Profile;

    /// The outcome of a run of two trials, of `tomcat-none` and `tomcat-redis`, with these verdicts.
    fn outcome_of(none: Verdict, redis: Verdict, change: impl FnOnce(&mut Vec<TrialResult>)) -> Outcome {
        let targets = ["tomcat-none", "tomcat-redis"];
        let mut plan = Plan::new(&Profile::find("quick").unwrap(), &Overrides::default(), 1).unwrap();
        plan.trials.retain(|trial| targets.contains(&trial.target.name.as_str()));
        let expect = |target: &str, condition: &str| Expectation {
            targets: vec![target.to_owned()],
            condition: condition.parse().unwrap(),
            is_of_the_targets_alone: false,
        };
        plan.expectations =
            vec![expect("tomcat-none", "verdict == violated"), expect("tomcat-redis", "verdict == pass")];
        let mut results: Vec<TrialResult> =
            plan.trials.iter().zip([none, redis]).map(|(trial, verdict)| trial_result(trial, verdict)).collect();
        change(&mut results);
        Summary::new(&plan, &results, RuntimeName::Docker, "now", false, None).outcome
    }

    fn trial_result(trial: &TrialPlan, verdict: Verdict) -> TrialResult {
        TrialResult {
            number: trial.number,
            target: trial.target.name.clone(),
            nodes: trial.app_nodes,
            runtime: RuntimeName::Docker,
            judgement: Judgement { verdict, ..Judgement::default() },
            measurements: Some(
                Meter::new(&Timeline::default(), &measure::AgentsOfTrial::default())
                    .unwrap()
                    .finish(&[], 0, &Circumstances::default())
                    .unwrap()
                    .0,
            ),
            invalid: None,
            unsupported: None,
            faults: Vec::new(),
            stages: Vec::new(),
            interrupted: false,
        }
    }

    #[test]
    fn a_run_is_met_only_if_every_trial_gave_a_verdict_and_every_expectation_held() {
        use Verdict::{Pass, Unknown, Violated};
        assert_eq!(outcome_of(Violated, Pass, |_| {}), Outcome::Met);
        assert_eq!(outcome_of(Violated, Violated, |_| {}), Outcome::Breached);
        assert_eq!(outcome_of(Pass, Pass, |_| {}), Outcome::Breached, "an unexpected pass");
        assert_eq!(outcome_of(Violated, Unknown, |_| {}), Outcome::NoVerdict);
        assert_eq!(outcome_of(Pass, Unknown, |_| {}), Outcome::Breached, "a breach is one whatever the others are");
        assert_eq!(outcome_of(Violated, Pass, |results| results.truncate(1)), Outcome::NoVerdict);
        let late = |results: &mut Vec<TrialResult>| results[1].invalid = Some("late".into());
        assert_eq!(outcome_of(Violated, Pass, late), Outcome::NoVerdict);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }
}
