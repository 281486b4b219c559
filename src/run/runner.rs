//! Conducts a whole plan: prepares the runtime, runs one trial after the other, saves what came of it after each, and
//! decides when it is enough. It tells events, and prints nothing.

use std::num::NonZero;
use std::path::Path;
use std::time::{Duration, Instant};

use super::event::Event;
use super::prepare::{self, Tell};
use super::trial::{Setting, run_trial, runtime_of};
use super::{Interrupt, RunError};
use crate::cluster::docker::Engine;
use crate::expect::Assessment;
use crate::plan::Plan;
use crate::record::{Baseline, Record, RecordError, Summary, TrialResult, assess};

/// After so many trials in a row that failed there is no point in going on.
const MAX_FAILURES_IN_A_ROW: u32 = 2;

/// A plan and where it is run.
pub struct Runner<'a> {
    /// What is run.
    pub plan: &'a Plan,
    /// The engine in whose containers nodes run; without one they are processes.
    pub engine: Option<Box<Engine>>,
    /// The file of the program `steadfast`, which reapers and nodes that are processes run.
    pub program: &'a Path,
    /// Where it is saved, if not in `reports/PROFILE/UTC`.
    pub folder: Option<&'a Path>,
    /// The figures that expectations ask for.
    pub baseline: Option<&'a Baseline>,
}

/// What came of a plan.
pub struct Finished {
    /// Everything that was measured and expected.
    pub summary: Summary,
    /// Where it is saved, but for the summary.
    pub record: Record,
    /// Each trial.
    pub results: Vec<TrialResult>,
    /// How long it took to have all images.
    pub images_took: Duration,
    /// Why not all of its trials were made.
    pub failure: Option<RunError>,
}

impl Runner<'_> {
    /// Runs all of it. None where `interrupt` ended it before the first trial.
    ///
    /// # Errors
    /// What failed before the first trial. Later failures are in what came of it: what was measured until then counts.
    pub async fn run(self, interrupt: &Interrupt, tell: Tell<'_>) -> Result<Option<Finished>, RunError> {
        let Self { plan, engine, program, folder, baseline } = self;
        plan.check_cores(engine.as_ref().map_or_else(own_cores, |engine| engine.facts().cores))?;
        let began = Instant::now();
        let mut cancel = interrupt.clone();
        let mut runtime = tokio::select! {
            runtime = prepare::runtime(engine, plan, tell) => runtime?,
            _ = cancel.wait_for(Option::is_some) => return Ok(None),
        };
        let images_took = began.elapsed();
        let now = jiff::Timestamp::now();
        let record = make_record(folder, plan, now)?;
        let started_at = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        record.save_plan(plan)?;
        record.save_environment(&prepare::environment(&runtime, &started_at).await?)?;
        // Whatever ends the driver, what it leaves can be read as a record.
        record.save_summary(&Summary::new(plan, &[], runtime.name(), &started_at, true, baseline))?;
        let run = run_name();
        let watch = prepare::watch(&runtime, program, &run, tell).await?;
        prepare::ask_for_abilities(&mut runtime, &run).await?;
        tell(Event::Ready);
        let setting =
            Setting { runtime: &runtime, program, run: &run, record: &record, interrupt: interrupt.clone(), say: tell };
        let sum_up = |results: &[TrialResult], is_early: bool| {
            Summary::new(plan, results, runtime.name(), &started_at, is_early, baseline)
        };
        let is_enough = |results: &[TrialResult]| {
            // Whatever ends the driver, what it has is there: as of a run that was interrupted.
            record.save_summary(&sum_up(results, true))?;
            let breached = |assessment: &Assessment| !assessment.met;
            Ok(plan.stop_on_breach && assess(plan, results, baseline).iter().any(breached))
        };
        let (results, failure) = run_trials(plan, &setting, &is_enough).await;
        tell(Event::Done);
        if let Some(watch) = watch
            && let Err(error) = watch.dismiss().await
        {
            // What was measured is told all the same.
            tell(Event::Note(&error.to_string()));
        }
        let summary = sum_up(&results, interrupt.borrow().is_some());
        Ok(Some(Finished { summary, record, results, images_took, failure }))
    }
}

fn own_cores() -> u64 {
    std::thread::available_parallelism().map_or(1, NonZero::get) as u64
}

/// Runs trial after trial until `is_enough`. One that fails is unknown, and the next one starts: what was wrong may be
/// over, as when an engine has been started again.
async fn run_trials(
    plan: &Plan,
    setting: &Setting<'_>,
    is_enough: &dyn Fn(&[TrialResult]) -> Result<bool, RecordError>,
) -> (Vec<TrialResult>, Option<RunError>) {
    let note = |text: &str| (setting.say)(Event::Note(text));
    let (mut results, mut failure, mut in_a_row) = (Vec::new(), None, 0);
    for trial in &plan.trials {
        if setting.interrupt.borrow().is_some() {
            break;
        }
        in_a_row += 1;
        match run_trial(setting, trial).await {
            Ok(result) => {
                in_a_row = 0;
                results.extend(result);
            }
            Err(RunError::Cluster(error)) => {
                note(&format!("[{}/{}] {}: {error}", trial.number, plan.trials.len(), trial.target.name));
                let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
                results.push(TrialResult::failed(trial, runtime_of(setting.runtime, trial), reason));
                failure = failure.or(Some(RunError::Cluster(error)));
            }
            Err(error) => return (results, Some(error)),
        }
        match is_enough(&results) {
            Ok(false) if in_a_row < MAX_FAILURES_IN_A_ROW => {}
            Ok(is_breached) => {
                let why = if is_breached { "the first breach" } else { "a second failure in a row" };
                let (left, all) = (plan.trials.len() - trial.number, plan.trials.len());
                if left > 0 {
                    note(&format!("{why} ends the run: {left} of {all} trials are not made"));
                }
                break;
            }
            Err(error) => return (results, Some(error.into())),
        }
    }
    (results, failure)
}

fn make_record(folder: Option<&Path>, plan: &Plan, started_at: jiff::Timestamp) -> Result<Record, RecordError> {
    if let Some(folder) = folder {
        return Record::create(folder);
    }
    let date = started_at.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    Record::create_dated(Path::new("reports"), &plan.profile, &date)
}

/// Distinguishes the objects of runs that go on at the same time.
fn run_name() -> String {
    let now = jiff::Timestamp::now();
    // Drivers in containers have the same number, and start in the same second.
    format!("{}-{:06x}", now.strftime("%H%M%S"), rand::random::<u32>() & 0x00ff_ffff)
}
