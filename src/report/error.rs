//! Errors in rendering a report. Each is a defect of this program.

use thiserror::Error;

/// A report that cannot be rendered.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A chart cannot be drawn; with the library's message.
    #[error("drawing a chart: {0}")]
    Chart(String),
    /// The template of the page cannot be rendered.
    #[error("report.html: {0:#}")]
    Page(#[from] minijinja::Error),
    /// The intervals cannot be written as CSV.
    #[error("intervals.csv: {0}")]
    Csv(#[from] csv::Error),
    /// The tests cannot be written as `JUnit` XML.
    #[error("junit.xml: {0}")]
    Junit(#[from] quick_junit::SerializeError),
    /// The figures cannot be written as `OpenMetrics`.
    #[error("metrics.txt: {0}")]
    OpenMetrics(#[from] std::fmt::Error),
    /// The summary or its schema cannot be written as JSON.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A part of the schema is missing at this JSON pointer.
    #[error("the schema has no {0}")]
    Schema(&'static str),
}

impl ReportError {
    /// A chart that cannot be drawn.
    pub fn chart(cause: impl std::fmt::Display) -> Self {
        Self::Chart(cause.to_string())
    }
}
