//! The formats of a report. A new format needs its lines here and a file of its own in this folder.

use super::{View, csv, html, junit, markdown, openmetrics};
use crate::record::Evidence;
use crate::report::ReportError;

/// A format that a record is rendered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// A page to look at and to share: `report.html`
    Html,
    /// For pages that render Markdown: `report.md`
    Markdown,
    /// For machines: `summary.json`, as its JSON Schema says
    Json,
    /// For CI systems that show tests: `junit.xml`
    Junit,
    /// The series, interval by interval, for spreadsheets: `intervals.csv`
    Csv,
    /// For monitoring: `metrics.txt`
    Openmetrics,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 6] = [Self::Html, Self::Markdown, Self::Json, Self::Junit, Self::Csv, Self::Openmetrics];

    /// Name of the file in the record.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Html => "report.html",
            Self::Markdown => "report.md",
            Self::Json => "summary.json",
            Self::Junit => "junit.xml",
            Self::Csv => "intervals.csv",
            Self::Openmetrics => "metrics.txt",
        }
    }

    /// Name of the format on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Markdown => "markdown",
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Csv => "csv",
            Self::Openmetrics => "openmetrics",
        }
    }

    /// Renders a record.
    ///
    /// # Errors
    /// A defect of this program.
    pub fn render(self, evidence: &Evidence) -> Result<String, ReportError> {
        match self {
            Self::Html => html::html(evidence),
            Self::Markdown => Ok(markdown(&View::of_evidence(evidence))),
            Self::Json => Ok(serde_json::to_string_pretty(&evidence.summary)? + "\n"),
            Self::Junit => junit::junit(&evidence.summary),
            Self::Csv => csv::csv(evidence),
            Self::Openmetrics => openmetrics::openmetrics(&evidence.summary),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::damage::each_survives;

    #[test]
    fn a_damaged_record_is_refused_or_shown_in_every_format() {
        let of_run = ["summary.json", "plan.json", "environment.json"].map(str::to_owned);
        let of_trial = ["course.json", "measurements.json", "response.hlog"];
        let of_trial = of_trial.map(|file| format!("trials/01-tomcat-none/{file}"));
        let whole = |name: String| {
            let bytes = std::fs::read(Path::new("reports/example").join(&name)).unwrap();
            (name, bytes)
        };
        let files: Vec<_> = of_run.into_iter().chain(of_trial).map(whole).collect();
        each_survives(&files, |folder| {
            if let Ok(evidence) = Evidence::read(folder) {
                for format in Format::ALL {
                    let _ = format.render(&evidence);
                }
            }
        });
    }
}
