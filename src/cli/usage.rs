//! Usage errors: the user's request cannot be done as given. Exit code 2.

use thiserror::Error;

/// The mistake, and what to type instead.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct UsageError(String);

impl UsageError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
