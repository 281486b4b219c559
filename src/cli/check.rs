//! `steadfast check`: judges the trials of a record again, using only their files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::output;
use crate::conclude::{Conclusion, conclude};
use crate::record::{Saved, SavedTrial, verdict_bytes};

/// Arguments of `check`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The record's folder, as `run` printed it
    #[arg(value_name = "RECORD")]
    record: PathBuf,
}

/// The new verdict of a trial, compared with the recorded one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    Same,
    Different,
    First,
}

impl Again {
    const fn words(self) -> &'static str {
        match self {
            Self::Same => "as recorded, byte for byte",
            Self::Different => "not what the record says",
            Self::First => "the run had not judged it",
        }
    }
}

/// Judges every trial that can be read. Changes no files.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let saved = Saved::open(&arguments.record)?;
    let (mut refused, mut different, mut count) = (0u32, 0u32, 0u32);
    for (name, folder) in saved.trials() {
        if !SavedTrial::is_there(folder) {
            output::line(&format!("{name}: the run was ended before it was saved"));
            continue;
        }
        count += 1;
        let (conclusion, again) = match judge_again(folder) {
            Ok(judged) => judged,
            Err(error) => {
                refused += 1;
                output::note(&format!("{name}: {error:#}"));
                continue;
            }
        };
        different += u32::from(again == Again::Different);
        output::line(&format!("{name}: {}, {}", conclusion.judgement.verdict, again.words()));
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
        output::note(&format!("{}: no trial was saved, so there is nothing to judge", arguments.record.display()));
        return Ok(ExitCode::from(4));
    }
    Ok(ExitCode::from(match (refused, different) {
        (1.., _) => 2,
        (0, 1..) => 1,
        (0, 0) => 0,
    }))
}

fn judge_again(folder: &Path) -> anyhow::Result<(Conclusion, Again)> {
    let SavedTrial { context, samples, histories, verdict } = SavedTrial::read(folder)?;
    let conclusion = conclude(histories, &context, &samples);
    let bytes = verdict_bytes(&conclusion.judgement, conclusion.invalid.as_deref())?;
    let again = match verdict {
        None => Again::First,
        Some(recorded) if recorded == bytes => Again::Same,
        Some(_) => Again::Different,
    };
    Ok((conclusion, again))
}
