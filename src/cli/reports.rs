//! `steadfast report`: renders a record again, using only its files. `run` saves its reports through this module too.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::output;
use crate::record::{Evidence, Record, RecordError};
use crate::report::{Format, View, table};

/// Arguments of `report`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The record's folder, as `run` printed it
    #[arg(value_name = "RECORD")]
    record: PathBuf,
    /// Print it in this format [default: the table of `run`]
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    format: Option<Format>,
    /// Write the report in every format into this folder instead
    #[arg(long, value_name = "FOLDER", conflicts_with = "format")]
    all: Option<PathBuf>,
}

fn format() -> impl TypedValueParser<Value = Format> {
    let of_name = |name: String| Format::ALL.into_iter().find(|format| format.name() == name).unwrap_or(Format::Html);
    PossibleValuesParser::new(Format::ALL.map(Format::name)).map(of_name)
}

/// Renders a record.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let evidence = Evidence::read(&arguments.record)?;
    evidence.missing.iter().for_each(|missing| output::note(&format!("left out: {missing}")));
    match (&arguments.all, arguments.format) {
        (Some(folder), _) => {
            std::fs::create_dir_all(folder).map_err(|error| RecordError::not_saved(folder, error))?;
            save_as(&Record::existing(folder), &evidence, &Format::ALL)?;
            output::line(&format!("reports: {}", folder.display()));
        }
        (None, Some(format)) => output::text(&format.render(&evidence)?),
        (None, None) => output::line(&table(&View::of_evidence(&evidence))),
    }
    Ok(ExitCode::SUCCESS)
}

/// Saves every format in the record, and appends the Markdown to the job summary of GitHub Actions, if there is one.
pub fn save_all(record: &Record) -> anyhow::Result<()> {
    let evidence = Evidence::read(record.folder())?;
    // The JSON format is `summary.json`, which is already saved.
    let formats: Vec<Format> = Format::ALL.into_iter().filter(|format| *format != Format::Json).collect();
    save_as(record, &evidence, &formats)?;
    let Some(file) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) else { return Ok(()) };
    let markdown = Format::Markdown.render(&evidence)?;
    let markdown = capped(&markdown);
    let appended = std::fs::OpenOptions::new().create(true).append(true).open(&file);
    // A job summary that cannot be written must not fail the run.
    if let Err(error) = appended.and_then(|mut file| file.write_all(markdown.as_bytes())) {
        output::note(&format!("GITHUB_STEP_SUMMARY: {}: {error}", file.display()));
    }
    Ok(())
}

/// GitHub does not show a job summary above 1 MiB.
const MAX_SUMMARY_BYTES: usize = 1024 * 1024 - 1024;

/// Cuts the text to [`MAX_SUMMARY_BYTES`], after a whole line.
fn capped(markdown: &str) -> std::borrow::Cow<'_, str> {
    if markdown.len() <= MAX_SUMMARY_BYTES {
        return markdown.into();
    }
    let end = (0..=MAX_SUMMARY_BYTES).rev().find(|end| markdown.is_char_boundary(*end)).unwrap_or(0);
    let end = markdown[..end].rfind('\n').map_or(0, |end| end + 1);
    format!("{}\nThe rest is in report.md.\n", &markdown[..end]).into()
}

fn save_as(record: &Record, evidence: &Evidence, formats: &[Format]) -> anyhow::Result<()> {
    for format in formats {
        let text = format.render(evidence)?;
        record.save_rendering(format.file(), &text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_that_is_too_long_for_github_is_cut_after_a_whole_line_with_a_note() {
        let long = "| ä |\n".repeat(200_000);
        let text = capped(&long);
        assert!(text.len() <= 1024 * 1024 && text.ends_with("| ä |\n\nThe rest is in report.md.\n"));
        assert_eq!(capped("short"), "short");
    }
}
