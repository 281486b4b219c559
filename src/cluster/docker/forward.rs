//! An engine behind ssh: one log-in forwards its socket to a socket in a temporary folder here. Its host needs only
//! sshd. One log-in per connection, as docker does it, exceeds sshd's limits.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::cluster::ClusterError;

/// The engine's socket on its host, unless the address names another.
const SOCKET: &str = "/var/run/docker.sock";
/// How long a log-in may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A forwarded socket, until this is dropped.
#[derive(Debug)]
pub struct Forward {
    folder: tempfile::TempDir,
    _ssh: Child,
}

impl Forward {
    /// Logs in at `ssh://[USER@]HOST[:PORT][/PATH OF THE SOCKET]` and waits for the socket. ssh asks no questions: keys
    /// and known hosts must be set up before.
    ///
    /// # Errors
    /// When ssh cannot be started, ends (with its message) or is too slow.
    pub async fn open(address: &str) -> Result<Self, ClusterError> {
        let failed = |reason: String| {
            ClusterError::new(format!("reaching the engine at {address}"), reason)
                .advise("the log-in must work without a question: try `ssh` to that host by hand")
        };
        let (destination, socket) = parts(address);
        let folder =
            tempfile::Builder::new().prefix("steadfast-ssh-").tempdir().map_err(|error| failed(error.to_string()))?;
        let local = folder.path().join("docker.sock");
        let mut command = Command::new("ssh");
        command.args(["-T", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "ServerAliveInterval=15"]);
        command.arg("-L").arg(format!("{}:{socket}", local.display())).arg(destination);
        // It ends when its input closes; the system closes that when this process ends for any reason.
        command.args(["cat", ">", "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut ssh = command.kill_on_drop(true).spawn().map_err(|error| failed(format!("starting ssh: {error}")))?;
        let deadline = Instant::now() + TIMEOUT;
        while !local.exists() {
            if let Some(status) = ssh.try_wait().map_err(|error| failed(error.to_string()))? {
                let mut said = String::new();
                if let Some(mut stderr) = ssh.stderr.take() {
                    let _ = stderr.read_to_string(&mut said).await;
                }
                return Err(failed(format!("ssh ended ({status}): {}", said.trim())));
            }
            if Instant::now() >= deadline {
                return Err(failed(format!("no log-in within {} s", TIMEOUT.as_secs())));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { folder, _ssh: ssh })
    }

    /// The socket on this machine.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }
}

/// The destination for ssh, and the socket there.
fn parts(address: &str) -> (&str, &str) {
    let Some(rest) = address.strip_prefix("ssh://") else { return (address, SOCKET) };
    match rest.find('/') {
        Some(slash) if rest.len() > slash + 1 => (&address[.."ssh://".len() + slash], &rest[slash..]),
        _ => (address.trim_end_matches('/'), SOCKET),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_in_an_address_is_the_sockets_path_on_the_host() {
        assert_eq!(parts("ssh://me@build:22"), ("ssh://me@build:22", SOCKET));
        assert_eq!(parts("ssh://build/"), ("ssh://build", SOCKET));
        assert_eq!(parts("ssh://build/run/user/1000/docker.sock"), ("ssh://build", "/run/user/1000/docker.sock"));
    }

    #[tokio::test]
    async fn a_failed_log_in_is_reported_with_the_address() {
        // Nothing listens on the port, or there is no ssh: both errors name the address.
        let error = Forward::open("ssh://nobody@127.0.0.1:9").await.unwrap_err();
        assert!(error.to_string().starts_with("reaching the engine at ssh://nobody@127.0.0.1:9: "), "{error}");
    }
}
