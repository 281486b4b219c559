//! `intervals.csv`: the load of every trial, one line per interval.

use crate::record::Evidence;
use crate::report::ReportError;

const HEAD: [&str; 12] = [
    "trial",
    "target",
    "at_s",
    "phase",
    "sent",
    "ok",
    "failed",
    "p50_us",
    "p99_us",
    "p999_us",
    "max_us",
    "sessions_lost",
];
const SECOND_NS: u64 = 1_000_000_000;

/// Quotes text that a spreadsheet would read as a formula.
fn no_formula(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// Renders the intervals of all trials as CSV.
///
/// # Errors
/// When it cannot be written: a defect of this program.
pub fn csv(evidence: &Evidence) -> Result<String, ReportError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEAD)?;
    for trial in &evidence.trials {
        let Some(measurements) = &trial.measurements else { continue };
        for interval in &measurements.intervals {
            let phase = trial.context.as_ref().map(|context| context.timeline.phase_at(interval.at_s * SECOND_NS));
            let row = [
                trial.number().map(|number| number.to_string()).unwrap_or_default(),
                no_formula(trial.target()),
                interval.at_s.to_string(),
                phase.map_or("", crate::history::Phase::word).to_owned(),
                interval.sent.to_string(),
                interval.ok.to_string(),
                interval.failed.to_string(),
                interval.p50_us.to_string(),
                interval.p99_us.to_string(),
                interval.p999_us.to_string(),
                interval.max_us.to_string(),
                measurements.losses.get(&interval.at_s).copied().unwrap_or_default().to_string(),
            ];
            writer.write_record(row)?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    // Every cell was UTF-8, so nothing is lost.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_a_formula_is_text() {
        assert_eq!(no_formula("=1+1"), "'=1+1");
        assert_eq!(no_formula("tomcat-none"), "tomcat-none");
    }
}
