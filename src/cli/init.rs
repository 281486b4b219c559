//! `steadfast init`: writes a target file for a system of the user's own, from its Compose files and a browser's recording.

use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use super::output;
use super::usage::UsageError;
use crate::files::FileError;
use crate::init::{Recording, Service, draft, services};
use crate::run::compose_model;

/// Arguments of `init`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The file to write, which must not exist; `-` prints it
    #[arg(default_value = "target.toml")]
    file: PathBuf,
    /// A Compose file; the services are found in it. More of them are merged, as by Compose
    #[arg(long, value_name = "FILE")]
    compose: Vec<PathBuf>,
    /// A visit that a browser saved (HTTP Archive), from before the log-in until after the log-out; the steps are found in it
    #[arg(long, value_name = "FILE")]
    har: Option<PathBuf>,
}

/// Writes the file.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { file, compose, har } = arguments;
    let is_printed = file == Path::new("-");
    if compose.is_empty() && har.is_none() {
        return Err(UsageError::new(
            "nothing to make it from: give --compose compose.yaml, --har session.har, or both".to_owned(),
        )
        .into());
    }
    if !is_printed && file.exists() {
        return Err(UsageError::new(format!("{} exists already; give another name", file.display())).into());
    }
    let folder = file.parent().filter(|folder| !is_printed && !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(UsageError::new(format!("there is no folder {} to write into", folder.display())).into());
    }
    let recording = har.as_deref().map(read_recording).transpose()?;
    let found = if compose.is_empty() { None } else { Some(find_services(&compose, folder).await?) };
    let drafted =
        draft(found.as_ref().map(|(files, services)| (files.as_slice(), services.as_slice())), recording.as_ref());
    for note in &drafted.notes {
        output::note(note);
    }
    if is_printed {
        output::text(&drafted.text);
    } else {
        std::fs::write(&file, &drafted.text).map_err(|error| unreadable(&file, &error.to_string()))?;
        output::line(&format!("{} is written. Next: steadfast probe {}", file.display(), file.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn read_recording(file: &Path) -> Result<Recording, FileError> {
    let text = std::fs::read(file).map_err(|error| unreadable(file, &error.to_string()))?;
    Recording::read(&String::from_utf8_lossy(&text)).map_err(|error| unreadable(file, &error.to_string()))
}

/// The names of the Compose files as the target file must give them, and their services.
async fn find_services(files: &[PathBuf], folder: &Path) -> anyhow::Result<(Vec<String>, Vec<Service>)> {
    let model = compose_model(files).await?;
    let beside = std::path::absolute(folder)?;
    let names = files.iter().map(|file| Ok(relative(&std::path::absolute(file)?, &beside)));
    Ok((names.collect::<std::io::Result<_>>()?, services(&model)))
}

/// A file's path as one writes it from a folder; both are absolute.
fn relative(file: &Path, folder: &Path) -> String {
    let shared = file.components().zip(folder.components()).take_while(|(one, other)| one == other).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(file.components().skip(shared)).collect();
    path.display().to_string()
}

fn unreadable(file: &Path, message: &str) -> FileError {
    FileError::Unreadable { file: file.display().to_string(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compose_file_is_named_from_the_target_file() {
        let of = |file: &str, folder: &str| relative(Path::new(file), Path::new(folder));
        assert_eq!(of("/shop/compose.yaml", "/shop"), "compose.yaml");
        assert_eq!(of("/shop/compose.yaml", "/shop/tests/deep"), "../../compose.yaml");
        assert_eq!(of("/shop/deploy/compose.yaml", "/shop"), "deploy/compose.yaml");
    }
}
