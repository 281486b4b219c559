//! From what a trial left to its verdict and figures: what a run does in the end, and what
//! `steadfast check` does again from the files. One pass over the history, one life at a time.

use std::panic::AssertUnwindSafe;

use serde::{Deserialize, Serialize};

use crate::check::{Checker, Guarantee, Judgement};
use crate::history::{GeneratorHealth, HistoryError, NodeSample, SessionHistory, SessionOutcome, Settled, Timeline};
use crate::measure::{Circumstances, Measurements, Meter};
use crate::profile::GeneratorLimits;

/// How a trial went, beside its operations and samples: all that it takes to judge and measure it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialContext {
    /// [`TrialContext::FORMAT`].
    pub format: u32,
    /// What happened to the cluster, and when.
    #[serde(flatten)]
    pub timeline: Timeline,
    /// The wall clock at the start of the load, in nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// What is judged.
    pub judged: Vec<Guarantee>,
    /// How many operations must have been able to break a guarantee for it to pass, after the last fault where there was
    /// one.
    #[serde(default = "one")]
    pub min_examined: u64,
    /// Where the trial is invalid.
    pub generator: GeneratorLimits,
    /// What its figures need.
    pub circumstances: Circumstances,
    /// How long states changed after the load; none where it did not come to that, and in records of before.
    #[serde(default)]
    pub settled: Option<Settled>,
    /// Whether the agent handed its operations over; where it did not, the reasons below say why.
    #[serde(default = "yes")]
    pub has_history: bool,
    /// Why it is inconclusive, apart from what the history shows.
    #[serde(rename = "doubts")]
    pub inconclusive_reasons: Vec<String>,
    /// What the runtime warned of when it made the nodes: a limit that it drops, for one.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// As in records of before.
const fn one() -> u64 {
    1
}

/// As in records of before.
const fn yes() -> bool {
    true
}

impl TrialContext {
    /// Raised when a field changes its meaning.
    pub const FORMAT: u32 = 1;
}

/// What a trial came to.
pub struct Conclusion {
    /// What was decided.
    pub judgement: Judgement,
    /// Its figures; none where there is nothing to measure.
    pub measurements: Option<Measurements>,
    /// Its response times second by second, as a log of `HdrHistogram`.
    pub response_log: Vec<u8>,
    /// Why its figures must not be believed.
    pub invalid: Option<String>,
}

impl Conclusion {
    /// Of a trial without a history.
    fn nothing(course: &TrialContext) -> Self {
        let said = &course.inconclusive_reasons;
        let reasons = if said.is_empty() { vec!["there is no history".to_owned()] } else { said.clone() };
        let judgement = reasons.into_iter().fold(Judgement::default(), Judgement::inconclusive);
        Self { judgement, measurements: None, response_log: Vec::new(), invalid: None }
    }
}

/// Judges and measures a trial. Without `lives` it is unknown, for what its course says.
#[must_use]
pub fn conclude(
    lives: Option<impl Iterator<Item = Result<SessionHistory, HistoryError>>>,
    course: &TrialContext,
    samples: &[NodeSample],
) -> Conclusion {
    let Some(lives) = lives else {
        return Conclusion::nothing(course);
    };
    let both = std::panic::catch_unwind(AssertUnwindSafe(|| judge_and_measure(lives, course, samples)));
    // A checker that crashes leaves the trial unknown, and takes nothing with it.
    let (judgement, measured) = both.unwrap_or_else(|_| (Judgement::unknown("the checker crashed"), None));
    let (measurements, response_log) = measured.unzip();
    let response_log = response_log.unwrap_or_default();
    let judgement = course.inconclusive_reasons.iter().fold(judgement, Judgement::inconclusive);
    let limits = &course.generator;
    let beyond = |measurements: &Measurements| measurements.generator.beyond(limits.rate.get(), limits.lag_p99.get());
    // A load that was cut off could not say what it had done: that is no fault of the generator, and the trial is unknown.
    let was_cut_off = course.circumstances.generator.offered == 0 && !course.inconclusive_reasons.is_empty();
    let invalid = measurements.as_ref().filter(|_| !was_cut_off).and_then(beyond);
    Conclusion { judgement, measurements, response_log, invalid }
}

fn judge_and_measure(
    lives: impl Iterator<Item = Result<SessionHistory, HistoryError>>,
    course: &TrialContext,
    samples: &[NodeSample],
) -> (Judgement, Option<(Measurements, Vec<u8>)>) {
    let mut checker = Checker::new(&course.timeline, &course.judged, course.min_examined);
    let mut meter = match Meter::new(&course.timeline) {
        Ok(meter) => meter,
        Err(error) => return (Judgement::unknown(format!("it could not be measured: {error}")), None),
    };
    let (mut damage, mut rows) = (None, 0);
    for life in lives {
        match life {
            Ok(life) => {
                rows += life.operations.iter().filter(|operation| !operation.is_a_look()).count() as u64;
                let fate = SessionOutcome::of(&life);
                let losses = checker.examine(&life, &fate);
                meter.add(&life, &fate, &losses);
            }
            Err(error) => damage = Some(error.to_string()),
        }
    }
    let incomplete = incomplete(rows, course);
    let judgement = damage.into_iter().chain(incomplete).fold(checker.finish(), Judgement::inconclusive);
    match meter.finish(samples, course.started_unix_ns, &course.circumstances) {
        Ok(measured) => (judgement, Some(measured)),
        Err(error) => (judgement.inconclusive(format!("it could not be measured: {error}")), None),
    }
}

/// Why a history does not hold what the agent says that it started; none where it does, or the agent could not say.
fn incomplete(rows: u64, course: &TrialContext) -> Option<String> {
    let GeneratorHealth { offered, started, .. } = course.circumstances.generator;
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

    fn course() -> TrialContext {
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
            inconclusive_reasons: Vec::new(),
        }
    }

    fn lives() -> Vec<Result<SessionHistory, HistoryError>> {
        let operations = history(|story| story.create().write().read().final_read());
        SessionHistory::all(operations).into_iter().map(Ok).collect()
    }

    #[test]
    fn a_history_gives_a_verdict_and_figures() {
        let Conclusion { judgement, measurements, invalid, .. } = conclude(Some(lives().into_iter()), &course(), &[]);
        assert_eq!((judgement.verdict, invalid), (Verdict::Pass, None));
        assert_eq!(measurements.unwrap().sessions.created, 1);
    }

    #[test]
    fn a_history_that_is_damaged_half_way_never_passes() {
        let damage = HistoryError::Row { row: 5, reason: "no `kind`".into() };
        let conclusion = conclude(Some(lives().into_iter().chain([Err(damage)])), &course(), &[]);
        assert_eq!(conclusion.judgement.verdict, Verdict::Unknown);
        assert_eq!(conclusion.judgement.reasons, ["row 5 of the history is damaged: no `kind`"]);
    }

    #[test]
    fn a_history_that_lacks_operations_never_passes() {
        let mut course = course();
        course.circumstances = offering(4, 4);
        let conclusion = conclude(Some(lives().into_iter()), &course, &[]);
        assert_eq!(conclusion.judgement.verdict, Verdict::Unknown);
        let reason = "the history holds 3 operations of the load, and the agent started 4";
        assert_eq!(conclusion.judgement.reasons, [reason]);
    }

    #[test]
    fn a_checker_that_crashes_proves_nothing() {
        let crashes = std::iter::from_fn(|| -> Option<Result<SessionHistory, HistoryError>> { panic!("a defect") });
        let conclusion = conclude(Some(crashes), &course(), &[]);
        assert_eq!(conclusion.judgement.verdict, Verdict::Unknown);
        assert_eq!(conclusion.judgement.reasons, ["the checker crashed"]);
    }

    #[test]
    fn what_went_wrong_in_the_trial_makes_it_unknown_and_a_late_generator_invalid() {
        let mut course = course();
        course.inconclusive_reasons.push("it was interrupted".into());
        course.circumstances = offering(30, 3);
        let conclusion = conclude(Some(lives().into_iter()), &course, &[]);
        assert_eq!(conclusion.judgement.verdict, Verdict::Unknown);
        assert!(conclusion.invalid.is_some());
    }
}
