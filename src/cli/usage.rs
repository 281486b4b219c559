//! What a user asked for that cannot be done as asked: exit code 2.

use thiserror::Error;

/// What does not fit, and what to type in its place.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct UsageError(String);

impl UsageError {
    /// With its message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
