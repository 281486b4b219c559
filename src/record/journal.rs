//! The journal of a trial: every step of every fault, synced to the disk before the trial continues. If the driver is
//! killed, the journal shows which faults were injected and which were not healed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::RecordError;
use crate::history::FaultRecord;

/// A file with one line per step.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Creates the file, or opens it to append to it.
    ///
    /// # Errors
    /// When it cannot be created or opened.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self { path: path.to_owned(), file: file.map_err(|error| RecordError::not_saved(path, error))? })
    }

    /// Appends the current state of the fault, and returns once it is on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, fault: &FaultRecord) -> Result<(), RecordError> {
        let mut line = serde_json::to_vec(fault).map_err(|error| RecordError::not_saved(&self.path, error))?;
        line.push(b'\n');
        let written = (&self.file).write_all(&line).and_then(|()| self.file.sync_data());
        written.map_err(|error| RecordError::not_saved(&self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn each_step_is_a_line_that_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut fault = FaultRecord::planned("pause", "app-1");
        Journal::open(&path).unwrap().write(&fault).unwrap();
        fault.ordered_ns = Some(7);
        Journal::open(&path).unwrap().write(&fault).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<FaultRecord> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.iter().map(|fault| fault.ordered_ns).collect::<Vec<_>>(), [None, Some(7)]);
        assert!(Journal::open(&folder.path().join("no/journal")).is_err());
    }
}
