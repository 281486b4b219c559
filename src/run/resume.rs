//! Goes on with a run that was interrupted or killed: trials that came to their end are kept as their files say, the others are made
//! again. Only on the same machine with the same images, because the figures of a record are compared with each other.

use std::path::Path;

use super::prepare::Tell;
use super::trial::runtime_of;
use super::{Event, RunError};
use crate::cluster::Runtime;
use crate::conclude::{self, Conclusion};
use crate::plan::{Plan, TrialPlan};
use crate::record::{Environment, Record, RecordError, SavedTrial, TrialResult};

/// Where the record of a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Folder<'a> {
    /// A new folder `reports/PROFILE/UTC`.
    #[default]
    Dated,
    /// A new folder of this path.
    New(&'a Path),
    /// The record of an interrupted run, to go on with.
    Resumed(&'a Path),
}

/// Finds the trials of an interrupted run that are kept, and when it began.
///
/// # Errors
/// When it is of another machine, or a file of it is damaged.
pub(super) fn kept(
    record: &Record,
    plan: &Plan,
    runtime: &Runtime,
    now: &Environment,
    emit: Tell<'_>,
) -> Result<(Vec<TrialResult>, String), RunError> {
    let folder = record.folder();
    let begun = Record::environment(folder)?;
    if let Some(difference) = begun.difference(now) {
        let reason = format!("it cannot be resumed with another {difference}; start a new run, without --resume");
        return Err(RecordError::bad(folder, reason).into());
    }
    let mut kept = Vec::new();
    for trial in &plan.trials {
        let saved = record.finished_trial(&trial.id()).unwrap_or_else(|error| {
            emit(Event::Note(&format!("{error}; this trial is made again")));
            None
        });
        match saved {
            Some(saved) => kept.push(result_of(trial, saved, runtime)),
            None => record.forget_trial(&trial.id())?,
        }
    }
    emit(Event::Note(&format!("{} of {} trials are kept from {}", kept.len(), plan.trials.len(), folder.display())));
    Ok((kept, begun.started_at))
}

/// The result of a saved trial, judged and measured again from its files.
fn result_of(plan: &TrialPlan, saved: SavedTrial, runtime: &Runtime) -> TrialResult {
    let SavedTrial { context, samples, histories, .. } = saved;
    let Conclusion { judgement, measurements, invalid, .. } = conclude::conclude(histories, &context, &samples);
    let faults = context.timeline.faults.iter().map(|fault| format!("{} of {}", fault.kind, fault.node)).collect();
    TrialResult {
        judgement,
        measurements,
        invalid,
        faults,
        ..TrialResult::failed(plan, runtime_of(runtime, plan), String::new())
    }
}
