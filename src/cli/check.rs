//! `steadfast check`: judges the trials of a record again, from their files alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::output;
use crate::conclude::{Conclusion, conclude};
use crate::record::{Saved, SavedTrial, verdict_bytes};

/// What `check` takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// The record's folder, as `run` printed it
    #[arg(value_name = "RECORD")]
    record: PathBuf,
}

/// What judging a trial again came to.
enum Again {
    Same(Conclusion),
    Different(Conclusion),
    First(Conclusion),
}

/// Judges every trial that can be read. Changes nothing.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let saved = Saved::open(&arguments.record)?;
    let (mut refused, mut different, mut count) = (0u32, 0u32, 0u32);
    for (name, folder) in saved.trials() {
        count += 1;
        let (conclusion, how) = match judge_again(folder) {
            Ok(Again::Same(conclusion)) => (conclusion, "as recorded, byte for byte"),
            Ok(Again::First(conclusion)) => (conclusion, "the run had not judged it"),
            Ok(Again::Different(conclusion)) => {
                different += 1;
                (conclusion, "not what the record says")
            }
            Err(error) => {
                refused += 1;
                output::note(&format!("{name}: {error:#}"));
                continue;
            }
        };
        output::line(&format!("{name}: {}, {how}", conclusion.judgement.verdict));
        for (guarantee, finding) in &conclusion.judgement.guarantees {
            let detail = match (finding.violations, &finding.reason) {
                (0, Some(reason)) => format!(": {reason}"),
                (0, None) => format!(", {} examined", finding.examined),
                (violations, _) => format!(", {violations} times in {} examined", finding.examined),
            };
            output::line(&format!("  {guarantee:<17} {}{detail}", finding.verdict));
        }
        conclusion.judgement.reasons.iter().for_each(|reason| output::line(&format!("  {reason}")));
    }
    if count == 0 {
        anyhow::bail!("{} holds no trials", arguments.record.display());
    }
    Ok(ExitCode::from(match (refused, different) {
        (1.., _) => 2,
        (0, 1..) => 1,
        (0, 0) => 0,
    }))
}

fn judge_again(folder: &Path) -> anyhow::Result<Again> {
    let SavedTrial { course, samples, lives, verdict } = SavedTrial::read(folder)?;
    let conclusion = conclude(lives, &course, &samples);
    let bytes = verdict_bytes(&conclusion.judgement, conclusion.invalid.as_deref())?;
    Ok(match verdict {
        None => Again::First(conclusion),
        Some(recorded) if recorded == bytes => Again::Same(conclusion),
        Some(_) => Again::Different(conclusion),
    })
}
