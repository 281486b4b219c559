//! A file of a record while it is written: under a temporary name, so that the file is either whole or absent.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::RecordError;

/// A file that is not whole yet.
pub struct UnfinishedFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl UnfinishedFile {
    /// Begins a file, with its folder.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(super) fn begin(path: PathBuf) -> Result<Self, RecordError> {
        let begin = || {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            File::create(temporary(&path))
        };
        match begin() {
            Ok(file) => Ok(Self { path, file: BufWriter::new(file) }),
            Err(cause) => Err(RecordError::not_saved(&path, cause)),
        }
    }

    /// Appends some bytes.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        self.file.write_all(bytes).map_err(|cause| RecordError::not_saved(&self.path, cause))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn finish(mut self) -> Result<(), RecordError> {
        let mut finish = || {
            self.file.flush()?;
            self.file.get_ref().sync_all()?;
            fs::rename(temporary(&self.path), &self.path)
        };
        finish().map_err(|cause: std::io::Error| RecordError::not_saved(&self.path, cause))
    }
}

fn temporary(path: &Path) -> PathBuf {
    path.with_extension("unfinished")
}
