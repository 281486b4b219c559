//! Turns the files of a trial into its verdict and figures, at the end of a run and again for `steadfast check`. Makes
//! one pass over the history and holds one session at a time.

use std::panic::AssertUnwindSafe;

use serde::{Deserialize, Serialize};

use crate::check::{Checker, Guarantee, Judgement};
use crate::history::{GeneratorHealth, HistoryError, NodeSample, SessionHistory, SessionOutcome, Settled, Timeline};
use crate::measure::{Circumstances, Measurements, Meter};
use crate::profile::GeneratorLimits;

/// Everything needed to judge and measure a trial, apart from its operations and samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialContext {
    /// The format version: [`TrialContext::FORMAT`].
    pub format: u32,
    /// Faults, the length of the warm-up and the end of the load.
    #[serde(flatten)]
    pub timeline: Timeline,
    /// The wall clock at the start of the load, in nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// The guarantees to judge.
    pub judged: Vec<Guarantee>,
    /// Operations that must have been able to break a guarantee before it can pass; after a fault, only those after the
    /// last fault count.
    #[serde(default = "one")]
    pub min_examined: u64,
    /// The limits of the generator for a valid trial.
    pub generator: GeneratorLimits,
    /// Other inputs of the measurements.
    pub circumstances: Circumstances,
    /// How long states changed after the load; `None` if the trial ended before, and in older records.
    #[serde(default)]
    pub settled: Option<Settled>,
    /// Whether the agent delivered its operations; if not, the reasons below say why.
    #[serde(default = "yes")]
    pub has_history: bool,
    /// Why operations are missing in the history, of an agent that is gone: figures per operation would be wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Reasons why the trial is inconclusive, apart from those in the history.
    #[serde(rename = "doubts")]
    pub inconclusive_reasons: Vec<String>,
    /// Warnings of the runtime when it made the nodes, such as a limit that it ignores.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// The default for older records.
const fn one() -> u64 {
    1
}

/// The default for older records.
const fn yes() -> bool {
    true
}

impl TrialContext {
    /// Increased when a field changes its meaning.
    pub const FORMAT: u32 = 1;
    /// The reason of a trial that the user ended early.
    pub const INTERRUPTED: &str = "it was interrupted";

    /// Whether the user ended the trial early.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.inconclusive_reasons.iter().any(|reason| reason == Self::INTERRUPTED)
    }
}

/// The result of a trial.
pub struct Conclusion {
    /// The verdict and its findings.
    pub judgement: Judgement,
    /// The figures; `None` if the trial could not be measured.
    pub measurements: Option<Measurements>,
    /// Response times per second, as an `HdrHistogram` log.
    pub response_log: Vec<u8>,
    /// Why the figures are invalid, if they are.
    pub invalid: Option<String>,
}

impl Conclusion {
    /// The conclusion for a trial without a history.
    fn nothing(context: &TrialContext) -> Self {
        let said = &context.inconclusive_reasons;
        let reasons = if said.is_empty() { vec!["there is no history".to_owned()] } else { said.clone() };
        let judgement = reasons.into_iter().fold(Judgement::default(), Judgement::inconclusive);
        Self { judgement, measurements: None, response_log: Vec::new(), invalid: None }
    }
}

/// Judges and measures a trial. Without `histories` it is unknown, for the reasons in `context`.
#[must_use]
pub fn conclude(
    histories: Option<impl Iterator<Item = Result<SessionHistory, HistoryError>>>,
    context: &TrialContext,
    samples: &[NodeSample],
) -> Conclusion {
    let Some(histories) = histories else {
        return Conclusion::nothing(context);
    };
    let both = std::panic::catch_unwind(AssertUnwindSafe(|| judge_and_measure(histories, context, samples)));
    // If the checker crashes, only this trial becomes unknown.
    let (judgement, measured) = both.unwrap_or_else(|_| (Judgement::unknown("the checker crashed"), None));
    let (measurements, response_log) = measured.unzip();
    let response_log = response_log.unwrap_or_default();
    let reasons = context.missing.iter().chain(&context.inconclusive_reasons);
    let judgement = reasons.fold(judgement, Judgement::inconclusive);
    let limits = &context.generator;
    let past_limits = |measurements: &Measurements| {
        let (rate, lag, apart) = (limits.rate.get(), limits.lag_p99.get(), limits.starts_apart.get());
        let of_all = measurements.generator.past_limits(rate, lag);
        of_all.or_else(|| measurements.agents.iter().find_map(|agent| agent.past_limits(rate, lag, apart)))
    };
    // An agent that was cut off cannot report its counts: the generator is not at fault, and the trial is unknown.
    let was_cut_off = context.circumstances.generator.offered == 0 && !context.inconclusive_reasons.is_empty();
    let of_generator = measurements.as_ref().filter(|_| !was_cut_off).and_then(past_limits);
    let invalid = context.missing.first().cloned().or(of_generator);
    Conclusion { judgement, measurements, response_log, invalid }
}

fn judge_and_measure(
    histories: impl Iterator<Item = Result<SessionHistory, HistoryError>>,
    context: &TrialContext,
    samples: &[NodeSample],
) -> (Judgement, Option<(Measurements, Vec<u8>)>) {
    let mut checker = Checker::new(&context.timeline, &context.judged, context.min_examined);
    let mut meter = match Meter::new(&context.timeline, &context.circumstances.agents) {
        Ok(meter) => meter,
        Err(error) => return (Judgement::unknown(format!("it could not be measured: {error}")), None),
    };
    let (mut damage, mut rows) = (None, 0);
    for history in histories {
        match history {
            Ok(history) => {
                let history = history.in_trial(&context.timeline);
                rows += history.operations.iter().filter(|operation| !operation.is_read_after_load()).count() as u64;
                let outcome = SessionOutcome::of(&history);
                let losses = checker.examine(&history, &outcome);
                meter.add(&history, &outcome, &losses);
            }
            Err(error) => damage = Some(error.to_string()),
        }
    }
    let incomplete = incomplete(rows, context);
    let judgement = damage.into_iter().chain(incomplete).fold(checker.finish(), Judgement::inconclusive);
    match meter.finish(samples, context.started_unix_ns, &context.circumstances) {
        Ok(measured) => (judgement, Some(measured)),
        Err(error) => (judgement.inconclusive(format!("it could not be measured: {error}")), None),
    }
}

/// Why the history is incomplete: it does not hold as many operations as the agent started. `None` if it does, or
/// if the agent reported no numbers.
fn incomplete(rows: u64, context: &TrialContext) -> Option<String> {
    let GeneratorHealth { offered, started, .. } = context.circumstances.generator;
    let differs = offered > 0 && rows != started;
    differs.then(|| format!("the history holds {rows} operations of the load, and the agent started {started}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::check::testing::history;

    fn offering(offered: u64, started: u64) -> Circumstances {
        let generator = GeneratorHealth { offered, started, ..GeneratorHealth::default() };
        Circumstances { generator, ..Circumstances::default() }
    }

    fn context() -> TrialContext {
        TrialContext {
            format: TrialContext::FORMAT,
            timeline: Timeline::default(),
            started_unix_ns: 0,
            judged: vec![Guarantee::Owned],
            min_examined: 1,
            generator: GeneratorLimits::default(),
            circumstances: offering(3, 3),
            settled: None,
            warnings: Vec::new(),
            has_history: true,
            missing: Vec::new(),
            inconclusive_reasons: Vec::new(),
        }
    }

    fn histories() -> Vec<Result<SessionHistory, HistoryError>> {
        let operations = history(|builder| builder.create().write().read().final_read());
        SessionHistory::all(operations).into_iter().map(Ok).collect()
    }

    #[test]
    fn where_an_agents_history_is_missing_no_figure_counts_and_the_reason_is_told() {
        let reason = "there is no history of agent-2: the agent is gone";
        let context = TrialContext { missing: vec![reason.to_owned()], ..context() };
        let Conclusion { judgement, invalid, .. } = conclude(Some(histories().into_iter()), &context, &[]);
        assert_eq!((judgement.verdict, judgement.reasons.as_slice()), (Verdict::Unknown, &[reason.to_owned()][..]));
        assert_eq!(invalid.as_deref(), Some(reason));
    }

    #[test]
    fn a_history_gives_a_verdict_and_figures() {
        let Conclusion { judgement, measurements, invalid, .. } =
            conclude(Some(histories().into_iter()), &context(), &[]);
        assert_eq!((judgement.verdict, invalid), (Verdict::Pass, None));
        assert_eq!(measurements.unwrap().sessions.created, 1);
    }

    #[test]
    fn a_history_that_is_damaged_half_way_never_passes() {
        let damage = HistoryError::Row { row: 5, reason: "no `kind`".into() };
        let conclusion = conclude(Some(histories().into_iter().chain([Err(damage)])), &context(), &[]);
        assert_eq!(conclusion.judgement.verdict, Verdict::Unknown);
        assert_eq!(conclusion.judgement.reasons, ["row 5 of the history is damaged: no `kind`"]);
    }

    #[test]
    fn a_history_that_lacks_operations_never_passes() {
        let mut context = context();
        context.circumstances = offering(4, 4);
        let conclusion = conclude(Some(histories().into_iter()), &context, &[]);
        assert_eq!(conclusion.judgement.verdict, Verdict::Unknown);
        let reason = "the history holds 3 operations of the load, and the agent started 4";
        assert_eq!(conclusion.judgement.reasons, [reason]);
    }

    #[test]
    fn a_checker_that_crashes_makes_the_trial_unknown() {
        let crashes = std::iter::from_fn(|| -> Option<Result<SessionHistory, HistoryError>> { panic!("a defect") });
        let conclusion = conclude(Some(crashes), &context(), &[]);
        assert_eq!(conclusion.judgement.verdict, Verdict::Unknown);
        assert_eq!(conclusion.judgement.reasons, ["the checker crashed"]);
    }

    #[test]
    fn an_interrupted_trial_is_unknown_and_a_late_generator_makes_it_invalid() {
        let mut context = context();
        context.inconclusive_reasons.push("it was interrupted".into());
        context.circumstances = offering(30, 3);
        let conclusion = conclude(Some(histories().into_iter()), &context, &[]);
        assert_eq!(conclusion.judgement.verdict, Verdict::Unknown);
        assert!(conclusion.invalid.is_some());
    }
}
