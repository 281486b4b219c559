//! What keeps figures from being computed: in each case a defect of this program, which must not cost the verdict.

use hdrhistogram::serialization::interval_log::IntervalLogWriterError;
use hdrhistogram::serialization::{V2DeflateSerializeError, V2SerializeError};
use hdrhistogram::{AdditionError, CreationError};
use thiserror::Error;

/// Figures that cannot be computed or written.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// Its bounds are not allowed.
    #[error("a histogram cannot be made: {0}")]
    Create(#[from] CreationError),
    /// Two histograms have different bounds.
    #[error("two histograms cannot be added: {0}")]
    Add(#[from] AdditionError),
    /// A histogram as text.
    #[error("a histogram cannot be written: {0}")]
    Write(#[from] V2SerializeError),
    /// The log of all intervals.
    #[error("the log of response times cannot be written: {0:?}")]
    Log(#[from] IntervalLogWriterError<V2DeflateSerializeError>),
    /// The head of that log.
    #[error("the log of response times cannot be begun: {0}")]
    LogHead(#[from] std::io::Error),
}
