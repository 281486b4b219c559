//! Commands of the user's that run on the driver's machine: their words, with secrets masked where they are shown, and running
//! one of them to its end.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use tokio::process::Command as Process;
use tokio::time::timeout;

use crate::secrets::{self, masked};

/// A program and its arguments; never empty. Secrets are masked when it is serialised.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>")]
#[schemars(with = "Vec<String>")]
pub struct Program(Vec<String>);

impl TryFrom<Vec<String>> for Program {
    type Error = String;

    fn try_from(words: Vec<String>) -> Result<Self, String> {
        if words.is_empty() { Err("it takes a program and its arguments".to_owned()) } else { Ok(Self(words)) }
    }
}

impl Serialize for Program {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        secrets::serialize(&self.0, serializer)
    }
}

impl Program {
    /// A line for the shell.
    #[must_use]
    pub fn of_shell(line: &str) -> Self {
        Self(vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()])
    }

    /// Its words.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// Its words without secrets.
    #[must_use]
    pub fn shown(&self) -> String {
        masked(&self.0).join(" ")
    }

    /// Runs it to its end. Returns what it printed to standard output.
    ///
    /// # Errors
    /// Why it failed, in words: it cannot be started, takes too long, or exits with another code than 0.
    pub async fn run(&self, variables: &[(String, String)], within: Duration) -> Result<String, String> {
        let Some((program, arguments)) = self.0.split_first() else { return Err("it is empty".to_owned()) };
        let mut process = Process::new(program);
        process
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // In a process group of its own, so that its child processes are killed with it.
        let child = process.kill_on_drop(true).process_group(0).spawn();
        let child = child.map_err(|error| format!("{error}; is the program there, and on the PATH?"))?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let output = timeout(within, child.wait_with_output()).await;
        if output.is_err()
            && let Some(group) = group
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let output = output
            .map_err(|_| format!("it did not end within {} s and was killed", within.as_secs()))?
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let printed = [output.stderr, output.stdout].concat();
        let last = String::from_utf8_lossy(&printed).lines().last().unwrap_or_default().to_owned();
        Err(format!("{}: {last}", output.status))
    }
}
