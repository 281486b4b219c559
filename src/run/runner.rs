//! Runs a whole plan: prepares the runtime, runs one trial after the other, saves the summary after each, and decides
//! when to stop early. It emits events and prints nothing.

use std::num::NonZero;
use std::path::Path;
use std::time::{Duration, Instant};

use super::event::Event;
use super::prepare::{self, Tell};
use super::resume::{self, Folder};
use super::trial::{Setting, run_trial, runtime_of};
use super::{Interrupt, RunError};
use crate::cluster::docker::Engines;
use crate::expect::Assessment;
use crate::plan::Plan;
use crate::record::{Baseline, Environment, Record, RecordError, Summary, TrialResult, assess};

/// The run stops after this many failed trials in a row.
const MAX_FAILURES_IN_A_ROW: u32 = 2;

/// A plan, and how and where to run it.
pub struct Runner<'a> {
    /// The plan to run.
    pub plan: &'a Plan,
    /// The engines that run nodes in containers; without one, nodes are processes.
    pub engines: Option<Box<Engines>>,
    /// The path of the program `steadfast`, which reapers and nodes that are processes execute.
    pub program: &'a Path,
    /// Where its record is.
    pub folder: Folder<'a>,
    /// What its user wants to remember of it, such as the state of the source.
    pub note: Option<&'a str>,
    /// The baseline that expectations compare with.
    pub baseline: Option<&'a Baseline>,
}

/// The results of a plan.
pub struct Finished {
    /// All measurements and assessed expectations.
    pub summary: Summary,
    /// The record; all of it is saved, except this summary.
    pub record: Record,
    /// The result of each trial.
    pub results: Vec<TrialResult>,
    /// How long preparing all images took.
    pub images_took: Duration,
    /// The first error of a trial, or the error that ended the run.
    pub failure: Option<RunError>,
}

impl Runner<'_> {
    /// Runs the plan. Returns `None` if `interrupt` ended it while the runtime was prepared.
    ///
    /// # Errors
    /// When something fails before the first trial. Later failures are in [`Finished::failure`], because the results
    /// until then still count.
    pub async fn run(self, interrupt: &Interrupt, emit: Tell<'_>) -> Result<Option<Finished>, RunError> {
        let Self { plan, engines, program, folder, note, baseline } = self;
        let cores = engines.iter().flat_map(|engines| engines.iter()).map(|(_, engine)| engine.facts().cores).min();
        plan.check_cores(cores.unwrap_or_else(own_cores))?;
        let resumed = match folder {
            // First of all: images are not built for a run that cannot go on.
            Folder::Resumed(folder) => Some(Record::resume(folder, plan)?),
            Folder::New(_) | Folder::Dated => None,
        };
        let began = Instant::now();
        let mut cancel = interrupt.clone();
        let mut runtime = tokio::select! {
            runtime = Box::pin(prepare::runtime(engines, plan, emit)) => runtime?,
            _ = cancel.wait_for(Option::is_some) => return Ok(None),
        };
        let images_took = began.elapsed();
        let now = jiff::Timestamp::now();
        let started_at = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let environment =
            Environment { note: note.map(str::to_owned), ..prepare::environment(&runtime, &started_at).await? };
        let (record, kept, started_at) = match resumed {
            Some(record) => {
                let (kept, started_at) = resume::kept(&record, plan, &runtime, &environment, emit)?;
                (record, kept, started_at)
            }
            None => (make_record(folder, plan, now, &environment)?, Vec::new(), started_at),
        };
        // Saves a summary, so that the folder is a readable record even if the driver is killed.
        record.save_summary(&Summary::new(plan, &kept, runtime.name(), &started_at, true, baseline))?;
        let run = run_name();
        let watches = prepare::watch(&runtime, program, &run, emit).await?;
        prepare::ask_for_abilities(&mut runtime, &run).await?;
        emit(Event::Ready);
        let setting =
            Setting { runtime: &runtime, program, run: &run, record: &record, interrupt: interrupt.clone(), say: emit };
        let sum_up = |results: &[TrialResult], is_early: bool| {
            Summary::new(plan, results, runtime.name(), &started_at, is_early, baseline)
        };
        let is_enough = |results: &[TrialResult]| {
            // Saves the summary as that of an interrupted run, so that it is there even if the driver is killed.
            record.save_summary(&sum_up(results, true))?;
            let breached = |assessment: &Assessment| !assessment.met;
            Ok(plan.stop_on_breach && assess(plan, results, baseline).iter().any(breached))
        };
        let (results, failure) = Box::pin(run_trials(plan, &setting, kept, &is_enough)).await;
        emit(Event::Done);
        // The manager's comes last: its networks can go when no other engine has a container in them.
        for watch in watches {
            if let Err(error) = watch.dismiss().await {
                // Only reported: the results are still valid.
                emit(Event::Note(&error.to_string()));
            }
        }
        let summary = sum_up(&results, interrupt.borrow().is_some());
        Ok(Some(Finished { summary, record, results, images_took, failure }))
    }
}

fn own_cores() -> u64 {
    std::thread::available_parallelism().map_or(1, NonZero::get) as u64
}

/// Runs trials until `is_enough`. A failed trial is *unknown*, and the next one starts, because the cause may be gone:
/// for example, the engine has been restarted.
async fn run_trials(
    plan: &Plan,
    setting: &Setting<'_>,
    kept: Vec<TrialResult>,
    is_enough: &dyn Fn(&[TrialResult]) -> Result<bool, RecordError>,
) -> (Vec<TrialResult>, Option<RunError>) {
    let note = |text: &str| (setting.say)(Event::Note(text));
    let is_kept: Vec<usize> = kept.iter().map(|result| result.number).collect();
    let (mut results, mut failure, mut in_a_row) = (kept, None, 0);
    // A run that a breach has ended is not gone on with.
    if !results.is_empty() {
        match is_enough(&results) {
            Ok(false) => {}
            Ok(true) => return (results, None),
            Err(error) => return (results, Some(error.into())),
        }
    }
    for trial in plan.trials.iter().filter(|trial| !is_kept.contains(&trial.number)) {
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
        results.sort_by_key(|result| result.number);
        match is_enough(&results) {
            Ok(false) if in_a_row < MAX_FAILURES_IN_A_ROW => {}
            Ok(is_breached) => {
                let why = if is_breached { "the first breach" } else { "a second failure in a row" };
                let (left, all) = (plan.trials.len() - results.len(), plan.trials.len());
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

/// Makes a new record, with the plan and the environment in it.
fn make_record(
    folder: Folder<'_>,
    plan: &Plan,
    started_at: jiff::Timestamp,
    environment: &Environment,
) -> Result<Record, RecordError> {
    let record = if let Folder::New(folder) = folder {
        Record::create(folder)?
    } else {
        let date = started_at.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
        Record::create_dated(Path::new("reports"), &plan.profile, &date)?
    };
    record.save_plan(plan)?;
    record.save_environment(environment)?;
    Ok(record)
}

/// Distinguishes the objects of concurrent runs.
fn run_name() -> String {
    let now = jiff::Timestamp::now();
    // A process id is not enough: drivers in containers have the same one, and start in the same second.
    format!("{}-{:06x}", now.strftime("%H%M%S"), rand::random::<u32>() & 0x00ff_ffff)
}
