//! The record: a folder of results. It is saved step by step, so that an aborted run keeps everything that was measured
//! before. An existing folder is never overwritten.

mod baseline;
mod environment;
mod evidence;
mod figures;
mod journal;
mod medians;
mod recorded_plan;
mod recovery;
mod resumed;
mod saved;
mod saving;
mod scaling;
mod summary;
mod trial;

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::check::Judgement;
use crate::conclude::TrialContext;
use crate::history::NodeSample;
use crate::measure::Measurements;
use crate::plan::Plan;

pub use baseline::Baseline;
pub use environment::{Environment, HostFacts};
pub use evidence::{Evidence, TrialEvidence};
pub use figures::Figure;
pub use journal::Journal;
pub use recorded_plan::{RecordedFault, RecordedPlan, RecordedTrial};
pub use recovery::RecoverySummary;
pub use saved::{Saved, SavedTrial};
pub use saving::UnfinishedFile;
pub use scaling::{Line, Point, Scaling};
pub use summary::{
    CopyCounts, LatencySummary, LostWithoutFault, Outcome, SCHEMA_VERSION, Summary, TargetSummary, TargetVerdict,
    assess,
};
pub use trial::{Stage, TrialResult};

/// A record that cannot be saved or read.
#[derive(Debug, Error)]
#[error("{}: {reason}", file.display())]
pub struct RecordError {
    /// The file or folder.
    pub file: PathBuf,
    /// Why it failed, and how to fix it.
    pub reason: String,
    /// Whether the folder is unusable or the disk failed.
    pub kind: RecordErrorKind,
}

/// The kind of a record error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordErrorKind {
    /// The folder that the user named exists already, is not a record, or is damaged.
    BadRecord,
    /// Results cannot be written to the disk.
    NotSaved,
}

impl RecordError {
    /// A file or folder that the user named and that cannot be used.
    pub fn bad(file: &Path, reason: impl Into<String>) -> Self {
        Self { file: file.to_owned(), reason: reason.into(), kind: RecordErrorKind::BadRecord }
    }

    /// A file or folder that cannot be written.
    pub fn not_saved(file: &Path, cause: impl fmt::Display) -> Self {
        Self { file: file.to_owned(), reason: cause.to_string(), kind: RecordErrorKind::NotSaved }
    }
}

/// A folder of results.
#[derive(Clone, Debug)]
pub struct Record {
    folder: PathBuf,
    /// Locked while a run writes into it; `None` for one that is only rendered.
    _lock: Option<Arc<File>>,
}

#[derive(Serialize)]
struct VerdictFile<'a> {
    #[serde(flatten)]
    judgement: &'a Judgement,
    invalid: Option<&'a str>,
}

const PLAN_FILE: &str = "plan.json";
const ENVIRONMENT_FILE: &str = "environment.json";
const MEASUREMENTS_FILE: &str = "measurements.json";
/// The summary of the run in a record.
pub const SUMMARY_FILE: &str = "summary.json";
const HISTORY_FILE: &str = "history.parquet";
const JOURNAL_FILE: &str = "journal.jsonl";
const COURSE_FILE: &str = "course.json";
const SAMPLES_FILE: &str = "samples.json";
const STAGES_FILE: &str = "stages.json";
const VERDICT_FILE: &str = "verdict.json";

/// The content of a verdict file. Equal judgements give equal bytes.
///
/// # Errors
/// When it cannot be serialised: a defect of this program.
pub fn verdict_bytes(judgement: &Judgement, invalid: Option<&str>) -> Result<Vec<u8>, RecordError> {
    json_bytes(VERDICT_FILE, &VerdictFile { judgement, invalid })
}

impl Record {
    /// Creates `folder`.
    ///
    /// # Errors
    /// When it exists or cannot be created.
    pub fn create(folder: &Path) -> Result<Self, RecordError> {
        let elsewhere =
            |cause: std::io::Error| RecordError::not_saved(folder, format!("{cause}; -o names a folder elsewhere"));
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent).map_err(elsewhere)?;
        }
        fs::create_dir(folder).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::AlreadyExists => {
                RecordError::bad(folder, "it exists, and a record is never written over; name another folder with -o")
            }
            _ => elsewhere(cause),
        })?;
        Self::locked(folder)
    }

    /// Creates a folder for a profile's run at `utc` below `reports`. Adds a number if there is already a run of the
    /// same second.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn create_dated(reports: &Path, profile: &str, utc: &str) -> Result<Self, RecordError> {
        let base = reports.join(profile);
        let mut folder = base.join(utc);
        for number in 2.. {
            if !folder.exists() {
                break;
            }
            folder = base.join(format!("{utc}-{number}"));
        }
        Self::create(&folder)
    }

    /// The folder of the record.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Saves the plan.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_plan(&self, plan: &Plan) -> Result<(), RecordError> {
        self.save_json(PLAN_FILE, plan)
    }

    /// Saves the environment of the run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_environment(&self, environment: &Environment) -> Result<(), RecordError> {
        self.save_json(ENVIRONMENT_FILE, environment)
    }

    /// The path of a trial's history file. Creates its folder.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn history_file(&self, trial: &str) -> Result<PathBuf, RecordError> {
        let folder = self.folder.join("trials").join(trial);
        fs::create_dir_all(&folder).map_err(|cause| RecordError::not_saved(&folder, cause))?;
        Ok(folder.join(HISTORY_FILE))
    }

    /// Opens the journal of a trial's faults.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn journal(&self, trial: &str) -> Result<Journal, RecordError> {
        let history = self.history_file(trial)?;
        Journal::open(&history.with_file_name(JOURNAL_FILE))
    }

    /// Saves the course of a trial: everything except its operations and samples.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_context(&self, trial: &str, context: &TrialContext) -> Result<(), RecordError> {
        self.save_json(&format!("trials/{trial}/{COURSE_FILE}"), context)
    }

    /// Saves the samples of a trial's nodes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_samples(&self, trial: &str, samples: &[NodeSample]) -> Result<(), RecordError> {
        self.save_json(&format!("trials/{trial}/{SAMPLES_FILE}"), &samples)
    }

    /// Saves a trial's verdict.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_verdict(&self, trial: &str, judgement: &Judgement, invalid: Option<&str>) -> Result<(), RecordError> {
        self.save(&format!("trials/{trial}/{VERDICT_FILE}"), &verdict_bytes(judgement, invalid)?)
    }

    /// Saves a trial's figures.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_measurements(&self, trial: &str, measurements: &Measurements) -> Result<(), RecordError> {
        self.save_json(&format!("trials/{trial}/{MEASUREMENTS_FILE}"), measurements)
    }

    /// Saves a trial's response times by interval, in `HdrHistogram`'s log format.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_response_log(&self, trial: &str, log: &[u8]) -> Result<(), RecordError> {
        self.save(&format!("trials/{trial}/response.hlog"), log)
    }

    /// Saves how long each stage of a trial took, in milliseconds.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_stages(&self, trial: &str, stages: &[(Stage, Duration)]) -> Result<(), RecordError> {
        let millis: Vec<(Stage, u64)> =
            stages.iter().map(|(stage, took)| (*stage, u64::try_from(took.as_millis()).unwrap_or(u64::MAX))).collect();
        self.save_json(&format!("trials/{trial}/{STAGES_FILE}"), &millis)
    }

    /// Begins the file for the log of a node.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn begin_log(&self, trial: &str, node: &str) -> Result<UnfinishedFile, RecordError> {
        UnfinishedFile::begin(self.folder.join(format!("trials/{trial}/logs/{node}.log")))
    }

    /// Saves the summary of the run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_summary(&self, summary: &Summary) -> Result<(), RecordError> {
        self.save_json(SUMMARY_FILE, summary)
    }

    /// Saves a rendering of the record.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_rendering(&self, file: &str, text: &str) -> Result<(), RecordError> {
        self.save(file, text.as_bytes())
    }

    /// An existing record, to render it again.
    #[must_use]
    pub fn existing(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), _lock: None }
    }

    fn save_json(&self, file: &str, value: &impl Serialize) -> Result<(), RecordError> {
        self.save(file, &json_bytes(file, value)?)
    }

    fn save(&self, file: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let mut unfinished = UnfinishedFile::begin(self.folder.join(file))?;
        unfinished.write(bytes)?;
        unfinished.finish()
    }
}

fn read(file: &Path) -> Result<Vec<u8>, RecordError> {
    fs::read(file).map_err(|error| RecordError::bad(file, error.to_string()))
}

fn parse<T: DeserializeOwned>(file: &Path, text: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(text).map_err(|error| RecordError::bad(file, format!("it is damaged: {error}")))
}

fn json_bytes(file: &str, value: &impl Serialize) -> Result<Vec<u8>, RecordError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|cause| RecordError::not_saved(Path::new(file), cause))?;
    text.push(b'\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_folder_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let message = Record::create(folder.path()).unwrap_err().to_string();
        assert!(
            message.ends_with("it exists, and a record is never written over; name another folder with -o"),
            "{message}"
        );
    }

    #[test]
    fn an_error_in_creating_the_folder_suggests_another_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let message = Record::create(&file.join("reports/quick")).unwrap_err().to_string();
        assert!(message.ends_with("-o names a folder elsewhere"), "{message}");
    }

    #[test]
    fn two_runs_in_the_same_second_have_two_folders() {
        let reports = tempfile::tempdir().unwrap();
        let first = Record::create_dated(reports.path(), "quick", "2026-01-01T00-00-00Z").unwrap();
        let second = Record::create_dated(reports.path(), "quick", "2026-01-01T00-00-00Z").unwrap();
        assert_ne!(first.folder(), second.folder());
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let reports = tempfile::tempdir().unwrap();
        let record = Record::create(&reports.path().join("r")).unwrap();
        fs::write(record.folder().join("trials"), "in the way").unwrap();
        let message = record.begin_log("01-x", "app-1").err().unwrap().to_string();
        assert!(message.contains("trials/01-x/logs/app-1.log: "), "{message}");
    }
}
