//! Errors in computing figures. Each is a defect of this program, and the verdict must be given all the same.

use hdrhistogram::serialization::interval_log::IntervalLogWriterError;
use hdrhistogram::serialization::{V2DeflateSerializeError, V2SerializeError};
use hdrhistogram::{AdditionError, CreationError};
use thiserror::Error;

/// Figures that cannot be computed or written.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// The bounds of a histogram are not allowed.
    #[error("a histogram cannot be made: {0}")]
    Create(#[from] CreationError),
    /// Two histograms have different bounds.
    #[error("two histograms cannot be added: {0}")]
    Add(#[from] AdditionError),
    /// A histogram cannot be serialised.
    #[error("a histogram cannot be written: {0}")]
    Write(#[from] V2SerializeError),
    /// The interval log cannot be written.
    #[error("the log of response times cannot be written: {0:?}")]
    Log(#[from] IntervalLogWriterError<V2DeflateSerializeError>),
    /// The head of the interval log cannot be written.
    #[error("the log of response times cannot be begun: {0}")]
    LogHead(#[from] std::io::Error),
}
