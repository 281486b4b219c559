//! However the driver ends, what it started must be removed. A reaper outlives it, waits for the end of its standard
//! input, which the system closes with the driver, and then removes the leftovers. This reaper is a process; on an
//! engine, a second one is a container, which can outlive even the driver's machine.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::ClusterError;
use crate::commands::Program;
use crate::topology::Node;

/// The driver sends this when it has removed everything itself.
const DONE: u8 = b'.';

/// A reaper, which waits until this is dropped and then removes the leftovers.
#[derive(Debug)]
pub struct Reaper {
    child: Child,
}

impl Reaper {
    /// Starts a reaper. `program` is this program's own file, the arguments say what to remove, the variables where it
    /// is.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn start(program: &Path, arguments: &[&str], variables: &[(&str, String)]) -> Result<Self, ClusterError> {
        let mut command = Command::new(program);
        if variables.iter().any(|(name, _)| *name == "DOCKER_HOST") {
            // It means the engine of these variables, whatever this process's own would lead to.
            for name in ["DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONTEXT"] {
                command.env_remove(name);
            }
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.arg("reaper").args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A signal from the terminal to the driver must not end the reaper.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn();
        Ok(Self { child: child.map_err(|error| ClusterError::new("starting the reaper", error.to_string()))? })
    }

    /// Starts a reaper that runs a command of the user's for a node, if this process ends or drops the reaper before.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn start_for(program: &Path, command: &Program, node: &Node) -> Result<Self, ClusterError> {
        let words: Vec<&str> = std::iter::once("--").chain(command.words().iter().map(String::as_str)).collect();
        let variables = node.variables();
        let variables: Vec<(&str, String)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        Self::start(program, &words, &variables)
    }
}

impl Reaper {
    /// Ends it, because nothing is left to remove. If it is dropped instead, it removes the leftovers.
    pub fn dismiss(mut self) {
        if let Some(input) = &mut self.child.stdin {
            let _ = input.write_all(&[DONE]);
        }
        self.child.stdin = None;
        let _ = self.child.wait();
    }
}

/// Waits for the end of standard input. Returns `false` if the driver has removed everything itself.
///
/// # Errors
/// When it cannot be read.
pub fn wait_for_the_driver() -> io::Result<bool> {
    let mut said = Vec::new();
    io::stdin().read_to_end(&mut said)?;
    Ok(said.last() != Some(&DONE))
}

/// Removes a folder of a dead driver. Its nodes end by themselves and may write until then.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_folder(folder: &PathBuf) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
