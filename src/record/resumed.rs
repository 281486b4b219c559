//! A record that a run goes on writing: it must be of the same plan, and of one run at a time. Which of its trials are kept is the run's
//! decision.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::Deserialize;
use serde_json::Value;

use super::{
    ENVIRONMENT_FILE, Environment, PLAN_FILE, Record, RecordError, STAGES_FILE, SavedTrial, json_bytes, parse, read,
};
use crate::plan::Plan;

impl Record {
    /// An interrupted run's record, to go on with it.
    ///
    /// # Errors
    /// When it is not a record of the same plan.
    pub fn resume(folder: &Path, plan: &Plan) -> Result<Self, RecordError> {
        let file = folder.join(PLAN_FILE);
        let saved: Value = parse(&file, &read(&file)?)?;
        let now: Value = parse(&file, &json_bytes(PLAN_FILE, plan)?)?;
        if let Some(place) = json_difference(&saved, &now, "") {
            let reason = format!(
                "it cannot be resumed: its plan differs in `{place}`; give the profile, the targets and the options that it was begun with"
            );
            return Err(RecordError::bad(&file, reason));
        }
        Self::locked(folder)
    }

    /// The record in this folder, for one run alone.
    pub(super) fn locked(folder: &Path) -> Result<Self, RecordError> {
        let file = File::open(folder).map_err(|cause| RecordError::not_saved(folder, cause))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: Some(Arc::new(file)) }),
            Err(Errno::WOULDBLOCK) => {
                Err(RecordError::bad(folder, "another run is writing this record; wait until it has ended"))
            }
            // File systems without locks have records as well.
            Err(_) => Ok(Self { folder: folder.to_owned(), _lock: None }),
        }
    }

    /// The seed of a record's plan.
    ///
    /// # Errors
    /// When it is not a record.
    pub fn seed_of(folder: &Path) -> Result<u64, RecordError> {
        #[derive(Deserialize)]
        struct Seed {
            seed: u64,
        }
        let file = folder.join(PLAN_FILE);
        Ok(parse::<Seed>(&file, &read(&file)?)?.seed)
    }

    /// The environment in which the run of a record began.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn environment(folder: &Path) -> Result<Environment, RecordError> {
        let file = folder.join(ENVIRONMENT_FILE);
        parse(&file, &read(&file)?)
    }

    /// The saved files of a trial that came to its end; `None` if it did not, or the user ended it early.
    ///
    /// # Errors
    /// When a file of it is damaged.
    pub fn finished_trial(&self, trial: &str) -> Result<Option<SavedTrial>, RecordError> {
        let folder = self.folder.join("trials").join(trial);
        // Its stages are saved last, when its nodes have been removed.
        if !folder.join(STAGES_FILE).exists() || !SavedTrial::is_there(&folder) {
            return Ok(None);
        }
        Ok(Some(SavedTrial::read(&folder)?).filter(|trial| !trial.context.is_interrupted()))
    }

    /// Removes what is left of a trial that did not come to its end, so that it can be made again.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn forget_trial(&self, trial: &str) -> Result<(), RecordError> {
        let folder = self.folder.join("trials").join(trial);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(RecordError::not_saved(&folder, error)),
            _ => Ok(()),
        }
    }
}

/// The first key in which two values differ, with the keys that lead to it; `None` if they are equal.
fn json_difference(one: &Value, other: &Value, place: &str) -> Option<String> {
    let below = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            keys.into_iter().find_map(|key| match (one.get(key), other.get(key)) {
                (Some(one), Some(other)) => json_difference(one, other, &below(key)),
                _ => Some(below(key)),
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => one
            .iter()
            .zip(other)
            .enumerate()
            .find_map(|(at, (one, other))| json_difference(one, other, &below(&at.to_string()))),
        _ => (one != other).then(|| place.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_a_run_is_writing_is_no_other_runs() {
        let reports = tempfile::tempdir().unwrap();
        let folder = reports.path().join("r");
        let record = Record::create(&folder).unwrap();
        let message = Record::locked(&folder).unwrap_err().to_string();
        assert!(message.ends_with("another run is writing this record; wait until it has ended"), "{message}");
        drop(record);
        Record::locked(&folder).unwrap();
    }

    #[test]
    fn the_first_key_in_which_two_plans_differ_is_named() {
        let plan = |rate: u64, second: &str| serde_json::json!({"seed": 1, "trials": [{"load": {"rate": rate}}, {"target": second}]});
        assert_eq!(json_difference(&plan(1, "a"), &plan(1, "a"), ""), None);
        assert_eq!(json_difference(&plan(1, "a"), &plan(2, "a"), "").unwrap(), "trials.0.load.rate");
        assert_eq!(json_difference(&plan(1, "a"), &plan(1, "b"), "").unwrap(), "trials.1.target");
        assert_eq!(json_difference(&serde_json::json!({"trials": []}), &plan(1, "a"), "").unwrap(), "seed");
    }
}
