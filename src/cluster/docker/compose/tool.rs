//! The Compose tool: `docker compose`, or `docker-compose` where the client has no such plugin. Version 2 at least, because the
//! first one prints no model.

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::cluster::ClusterError;
use crate::cluster::docker::Engine;

/// How long the tool may take to say its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);
/// How many lines of its messages an error shows.
const LAST_LINES: usize = 12;

const COMMANDS: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
const INSTALL: &str = "install the Compose plugin, version 2 or later: https://docs.docker.com/compose/install/";

/// A Compose tool that works on a certain engine.
#[derive(Clone, Debug)]
pub struct Tool {
    command: &'static [&'static str],
    version: String,
    variables: Vec<(&'static str, String)>,
}

impl Tool {
    /// Finds the tool. With an engine it works on that one; without, it can only read files.
    ///
    /// # Errors
    /// When there is none, or only one that is too old, with how to get one.
    pub async fn find(engine: Option<&Engine>) -> Result<Self, ClusterError> {
        let variables = engine.map(Engine::variables).unwrap_or_default();
        let mut too_old = None;
        for command in COMMANDS {
            let Some(version) = version_of(command, &variables).await else { continue };
            let tool = Self { command, version, variables: variables.clone() };
            let major = tool.version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
            if major.is_some_and(|major: u32| major >= 2) {
                return Ok(tool);
            }
            too_old = Some(tool.name());
        }
        let reason = too_old.map_or_else(
            || "neither `docker compose` nor `docker-compose` answers".to_owned(),
            |tool| format!("{tool} prints no model of its files"),
        );
        Err(ClusterError::new("looking for the Compose tool", reason).advise(INSTALL))
    }

    /// Its command and version.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.command.join(" "), self.version)
    }

    /// What lets it start one container at a time, see `Engine::start_container`. Versions before the first that has been tried are left
    /// as they are: 2.17 stood still with this limit (docker/compose issue 10532).
    fn one_at_a_time(&self, words: &[&str]) -> Option<(&'static str, &'static str)> {
        const FIRST_TRIED: (u32, u32) = (2, 26);
        let mut numbers = self.version.trim_start_matches('v').split('.').map_while(|number| number.parse().ok());
        let version = (numbers.next()?, numbers.next()?);
        (words.contains(&"up") && version >= FIRST_TRIED).then_some(("COMPOSE_PARALLEL_LIMIT", "1"))
    }

    /// Runs it to its end with this input.
    ///
    /// # Errors
    /// When it cannot be run, or takes longer than `within`; it is ended then. An exit code other than 0 is no error.
    pub async fn run(&self, words: &[&str], input: &[u8], within: Duration) -> Result<Output, ClusterError> {
        let doing = || format!("running `{} {}`", self.command.join(" "), words.join(" "));
        let failed = |error: std::io::Error| ClusterError::new(doing(), error.to_string());
        let mut child = command(self.command, &self.variables)
            .envs(self.one_at_a_time(words))
            .args(["--ansi", "never", "--progress", "plain"])
            .args(words)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let pipe = child.stdin.take();
        let write = async {
            if let Some(mut pipe) = pipe {
                // It may refuse its arguments before it reads.
                let _ = pipe.write_all(input).await;
            }
        };
        let both = async { tokio::join!(child.wait_with_output(), write).0 };
        let late = |_| ClusterError::new(doing(), format!("it did not end within {} s", within.as_secs()));
        timeout(within, both).await.map_err(late)?.map_err(failed)
    }
}

/// The last lines of the tool's messages.
pub fn words_of(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    // How far each object is says nothing of what went wrong.
    let is_progress = |line: &&str| {
        let first = line.split_whitespace().next();
        line.starts_with(' ') && first.is_some_and(|word| ["Container", "Network", "Volume"].contains(&word))
    };
    let lines = text.lines().filter(|line| !is_progress(line)).map(str::trim_end).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.collect();
    let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default();
    if last.is_empty() { format!("it ended with {}", output.status) } else { last.join("\n    ") }
}

fn command(command: &[&str], variables: &[(&'static str, String)]) -> Command {
    let (program, words) = command.split_first().unwrap_or((&"", &[]));
    let mut child = Command::new(program);
    child
        .args(words)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    child
}

async fn version_of(words: &[&str], variables: &[(&'static str, String)]) -> Option<String> {
    let child = command(words, variables).args(["version", "--short"]).output();
    let output = timeout(VERSION_TIMEOUT, child).await.ok()?.ok()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && version.starts_with(|c: char| c == 'v' || c.is_ascii_digit())).then_some(version)
}
