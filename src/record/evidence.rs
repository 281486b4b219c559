//! Reads the files of a record for reports. Only the summary is required: other files that are missing or damaged are
//! listed, and the rest is read.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::{
    COURSE_FILE, ENVIRONMENT_FILE, Environment, MEASUREMENTS_FILE, PLAN_FILE, RecordError, RecordedPlan, SAMPLES_FILE,
    Saved, Summary,
};
use super::{parse, read};
use crate::conclude::TrialContext;
use crate::history::NodeSample;
use crate::measure::Measurements;

/// The content of a record.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The summary of the run.
    pub summary: Summary,
    /// The environment of the run; `None` if it cannot be read.
    pub environment: Option<Environment>,
    /// The plan of the run; `None` if it cannot be read.
    pub plan: Option<RecordedPlan>,
    /// The trials in the order of the plan.
    pub trials: Vec<TrialEvidence>,
    /// Files that could not be read, each with the reason.
    pub missing: Vec<String>,
}

/// The files of one trial.
#[derive(Clone, Debug)]
pub struct TrialEvidence {
    /// The name of its folder: number and target.
    pub id: String,
    /// Its figures; `None` if there are none or they cannot be read.
    pub measurements: Option<Measurements>,
    /// The context of the trial; `None` if it cannot be read.
    pub context: Option<TrialContext>,
    /// The samples of its nodes; empty if they cannot be read.
    pub samples: Vec<NodeSample>,
}

impl TrialEvidence {
    /// Its number in the plan.
    #[must_use]
    pub fn number(&self) -> Option<usize> {
        self.id.split_once('-')?.0.parse().ok()
    }

    /// The name of its target.
    #[must_use]
    pub fn target(&self) -> &str {
        self.id.split_once('-').map_or(self.id.as_str(), |(_, target)| target)
    }
}

impl Evidence {
    /// Reads the record in `folder`.
    ///
    /// # Errors
    /// When it is not a record, or its summary cannot be read.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        if !folder.is_dir() {
            return Err(RecordError::bad(
                folder,
                "there is no such folder; name the record's folder that `run` printed",
            ));
        }
        let summary = Summary::read(folder)?;
        let mut missing = Vec::new();
        let mut trials = Vec::new();
        // A run that ended before its first trial has none.
        let saved = Saved::open(folder).ok();
        for (id, folder) in saved.iter().flat_map(Saved::trials) {
            let measurements = optional(&folder.join(MEASUREMENTS_FILE), &mut missing);
            let context = optional(&folder.join(COURSE_FILE), &mut missing);
            let samples = optional(&folder.join(SAMPLES_FILE), &mut missing).unwrap_or_default();
            trials.push(TrialEvidence { id, measurements, context, samples });
        }
        Ok(Self {
            environment: optional(&folder.join(ENVIRONMENT_FILE), &mut missing),
            plan: optional(&folder.join(PLAN_FILE), &mut missing),
            summary,
            trials,
            missing,
        })
    }
}

fn optional<T: DeserializeOwned>(file: &Path, missing: &mut Vec<String>) -> Option<T> {
    match read(file).and_then(|text| parse(file, &text)) {
        Ok(value) => Some(value),
        // A trial that was aborted has no measurements, and the summary says why.
        Err(_) if !fs::exists(file).unwrap_or(true) && file.ends_with(MEASUREMENTS_FILE) => None,
        Err(error) => {
            missing.push(error.to_string());
            None
        }
    }
}
