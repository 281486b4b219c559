//! `steadfast page`: fills a template of one's own with the figures of records.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::output;
use crate::files::FileError;
use crate::record::{Evidence, SUMMARY_FILE};
use crate::report::{PageError, page};

/// Arguments of `page`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The template, in Jinja's syntax: `{{ (record("NAME") | target("tomcat-redis")).row.p99_ms }}`
    #[arg(value_name = "TEMPLATE")]
    template: PathBuf,
    /// A record, or a folder of records; in the template each has the name of its folder, and summary.json is all that it needs
    #[arg(long, value_name = "FOLDER", required = true)]
    records: Vec<PathBuf>,
}

/// Prints the page.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let name = arguments.template.display().to_string();
    let template = fs::read_to_string(&arguments.template).map_err(|error| unreadable(&name, &error.to_string()))?;
    let records = read_all(&arguments.records)?;
    let invalid = |PageError { line, message }| FileError::Invalid { file: name.clone(), line, key: None, message };
    let text = page(&template, &records).map_err(invalid)?;
    output::text(&text);
    Ok(ExitCode::SUCCESS)
}

fn unreadable(file: &str, message: &str) -> FileError {
    FileError::Unreadable { file: file.to_owned(), message: message.to_owned() }
}

/// All records, by name.
fn read_all(folders: &[PathBuf]) -> anyhow::Result<BTreeMap<String, Evidence>> {
    let mut records = BTreeMap::new();
    for path in folders.iter().map(|folder| records_of(folder)).collect::<Result<Vec<_>, _>>()?.concat() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let evidence = Evidence::read(&path)?;
        if records.insert(name.clone(), evidence).is_some() {
            let twice = format!("another record is called `{name}` too; rename one of their folders");
            return Err(unreadable(&path.display().to_string(), &twice).into());
        }
    }
    Ok(records)
}

/// The folder, if it is a record, or else the records in it.
fn records_of(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let failed = |error: std::io::Error| unreadable(&folder.display().to_string(), &error.to_string());
    let is_record = |path: &PathBuf| path.join(SUMMARY_FILE).is_file();
    // With its real name: `.` has none.
    let folder = fs::canonicalize(folder).map_err(failed)?;
    if is_record(&folder) {
        return Ok(vec![folder]);
    }
    let paths: Vec<PathBuf> = fs::read_dir(&folder)
        .map_err(failed)?
        .map(|entry| Ok(entry.map_err(failed)?.path()))
        .collect::<Result<_, _>>()?;
    let found: Vec<PathBuf> = paths.into_iter().filter(is_record).collect();
    if found.is_empty() {
        let nothing = "neither it nor a folder in it is a record; name what `run` printed, or the folder above it";
        return Err(unreadable(&folder.display().to_string(), nothing));
    }
    Ok(found)
}
