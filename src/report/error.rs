//! What keeps a report from being rendered: in each case a defect of this program.

use thiserror::Error;

/// A report that cannot be rendered.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A chart, and what the library that draws it says.
    #[error("drawing a chart: {0}")]
    Chart(String),
    /// The page's template.
    #[error("report.html: {0:#}")]
    Page(#[from] minijinja::Error),
    /// The series as CSV.
    #[error("intervals.csv: {0}")]
    Csv(#[from] csv::Error),
    /// The tests as CI systems read them.
    #[error("junit.xml: {0}")]
    Junit(#[from] quick_junit::SerializeError),
    /// The figures as monitoring reads them.
    #[error("metrics.txt: {0}")]
    OpenMetrics(#[from] std::fmt::Error),
    /// The summary or its schema as JSON.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A part of the schema that others read is not where it was.
    #[error("the schema has no {0}")]
    Schema(&'static str),
}

impl ReportError {
    /// A chart that cannot be drawn.
    pub fn chart(cause: impl std::fmt::Display) -> Self {
        Self::Chart(cause.to_string())
    }
}
