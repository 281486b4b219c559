//! Whoever ends the driver, and however: what it had started must go. A reaper outlives it, waits for the end of its
//! standard input, which the system closes with the driver, and then removes what is left. This is the reaper that is a
//! process; an engine gets one that is a container too, which outlives the driver's whole machine.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::ClusterError;

/// What the driver says when it has removed everything itself.
const DONE: u8 = b'.';

/// A reaper that waits, for as long as this lives, and then removes.
#[derive(Debug)]
pub struct Reaper {
    child: Child,
}

impl Reaper {
    /// Starts one: `program` is this program's own file, the arguments say what is to be removed, and the variables where
    /// that is.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn start(program: &Path, arguments: &[&str], variables: &[(&str, String)]) -> Result<Self, ClusterError> {
        let mut command = Command::new(program);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.arg("reaper").args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // What ends the driver by its terminal must not end the reaper.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn();
        Ok(Self { child: child.map_err(|error| ClusterError::new("starting the reaper", error.to_string()))? })
    }
}

impl Reaper {
    /// Ends it: nothing is left to be removed. One that is dropped otherwise goes to work.
    pub fn dismiss(mut self) {
        if let Some(input) = &mut self.child.stdin {
            let _ = input.write_all(&[DONE]);
        }
        self.child.stdin = None;
        let _ = self.child.wait();
    }
}

/// Waits for the end of standard input. Says whether there is something to do: not where the driver said that it is done.
///
/// # Errors
/// When it cannot be read.
pub fn wait_for_the_driver() -> io::Result<bool> {
    let mut said = Vec::new();
    io::stdin().read_to_end(&mut said)?;
    Ok(said.last() != Some(&DONE))
}

/// Removes a folder of a driver that is gone. Its nodes end by themselves, and may write until then.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_folder(folder: &PathBuf) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
