//! Reads a saved record. Trials are read independently: the error names a trial's unreadable file, and the other trials
//! can still be read.

use std::fs;
use std::path::{Path, PathBuf};

use super::{COURSE_FILE, HISTORY_FILE, RecordError, SAMPLES_FILE, SUMMARY_FILE, VERDICT_FILE, parse, read};
use crate::conclude::TrialContext;
use crate::history::{NodeSample, SessionHistories};

/// A record on disk.
pub struct Saved {
    trials: Vec<PathBuf>,
}

/// One trial of a record on disk.
pub struct SavedTrial {
    /// The context of the trial.
    pub context: TrialContext,
    /// The samples of its nodes.
    pub samples: Vec<NodeSample>,
    /// Its sessions; `None` if the agent did not deliver its operations.
    pub histories: Option<SessionHistories>,
    /// The content of its verdict file; `None` if the run ended before the trial was judged.
    pub verdict: Option<Vec<u8>>,
}

impl Saved {
    /// Lists the trials of the record in `folder`.
    ///
    /// # Errors
    /// When it is not a record.
    pub fn open(folder: &Path) -> Result<Self, RecordError> {
        let trials = folder.join("trials");
        // A run that was interrupted before its first trial has no trials.
        if !trials.exists() && folder.join(SUMMARY_FILE).is_file() {
            return Ok(Self { trials: Vec::new() });
        }
        let entries = fs::read_dir(&trials)
            .map_err(|error| RecordError::bad(&trials, format!("{error}; is {} a record?", folder.display())))?;
        let mut trials: Vec<PathBuf> =
            entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        trials.sort();
        Ok(Self { trials })
    }

    /// The names and folders of its trials, in the order of their names.
    pub fn trials(&self) -> impl Iterator<Item = (String, &Path)> {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.trials.iter().map(move |path| (name(path), path.as_path()))
    }
}

impl SavedTrial {
    /// Whether the trial came to its end and its course was saved.
    #[must_use]
    pub fn is_there(folder: &Path) -> bool {
        folder.join(COURSE_FILE).exists()
    }

    /// Reads a trial from its folder.
    ///
    /// # Errors
    /// When a file is missing, damaged or of another version.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let course_file = folder.join(COURSE_FILE);
        let text = read(&course_file)?;
        let format = serde_json::from_slice::<serde_json::Value>(&text).ok();
        let format = format.and_then(|value| value.get("format")?.as_u64());
        if let Some(format) = format.filter(|format| *format != u64::from(TrialContext::FORMAT)) {
            let reason = format!("it has format {format}; this program reads format {}", TrialContext::FORMAT);
            return Err(RecordError::bad(&course_file, reason));
        }
        let context: TrialContext = parse(&course_file, &text)?;
        let history = folder.join(HISTORY_FILE);
        let open = || SessionHistories::open(&history).map_err(|error| RecordError::bad(&history, error.to_string()));
        Ok(Self {
            histories: context.has_history.then(open).transpose()?,
            context,
            samples: parse(&folder.join(SAMPLES_FILE), &read(&folder.join(SAMPLES_FILE))?)?,
            verdict: fs::read(folder.join(VERDICT_FILE)).ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::each_survives;

    #[test]
    fn a_missing_history_is_an_error_only_if_the_agent_delivered_it() {
        let folder = tempfile::tempdir().unwrap();
        let of =
            |name: &str| fs::read_to_string(Path::new("reports/example/trials/01-tomcat-none").join(name)).unwrap();
        let put = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        let mut context: TrialContext = serde_json::from_str(&of(COURSE_FILE)).unwrap();
        put(SAMPLES_FILE, of(SAMPLES_FILE));
        put(COURSE_FILE, serde_json::to_string(&context).unwrap());
        let error = SavedTrial::read(folder.path()).err().unwrap().to_string();
        assert!(error.contains(HISTORY_FILE), "{error}");
        context.has_history = false;
        context.inconclusive_reasons = vec!["it was interrupted".to_owned()];
        put(COURSE_FILE, serde_json::to_string(&context).unwrap());
        let SavedTrial { context, samples, histories, .. } = SavedTrial::read(folder.path()).unwrap();
        let judged = crate::conclude::conclude(histories, &context, &samples).judgement;
        assert_eq!((judged.verdict, judged.reasons), (crate::check::Verdict::Unknown, context.inconclusive_reasons));
    }

    #[test]
    fn a_damaged_record_of_a_trial_is_refused_or_judged() {
        let of = |name: &str| fs::read(Path::new("reports/example/trials/01-tomcat-none").join(name)).unwrap();
        let operations = crate::check::testing::history(|builder| builder.create().write().read().write().final_read());
        let mut writer = crate::history::Writer::new(Vec::new()).unwrap();
        writer.write(&operations).unwrap();
        let files = [
            (COURSE_FILE.to_owned(), of(COURSE_FILE)),
            (SAMPLES_FILE.to_owned(), of(SAMPLES_FILE)),
            (HISTORY_FILE.to_owned(), writer.finish().unwrap()),
        ];
        each_survives(&files, |folder| {
            if let Ok(trial) = SavedTrial::read(folder) {
                let _ = crate::conclude::conclude(trial.histories, &trial.context, &trial.samples);
            }
        });
    }
}
