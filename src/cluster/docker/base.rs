//! Provides the root image, from which the base image is built: pulled, or else bootstrapped from the Debian archive.

use std::process::Stdio;
use std::time::Duration;

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::TryStreamExt;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio_util::io::ReaderStream;

use super::Engine;
use crate::cluster::ClusterError;

const PULLED: &str = "debian";
const PULLED_TAG: &str = "bookworm-slim";
const BOOTSTRAPPED: &str = "steadfast/root";
const BOOTSTRAPPED_TAG: &str = "bookworm";
/// An unreachable registry may take long to fail.
const PULL_TIMEOUT: Duration = Duration::from_secs(120);
/// The command to run if the root can neither be pulled nor bootstrapped.
pub const INSTALL_BOOTSTRAP: &str = "sudo apt-get install -y mmdebstrap debian-archive-keyring";

/// The reference of the root image, which is made if it is missing.
pub async fn ensure(engine: &Engine, say: &dyn Fn(String)) -> Result<String, ClusterError> {
    if let Some(present) = present(engine).await {
        return Ok(present);
    }
    say(format!("pulling {PULLED}:{PULLED_TAG}"));
    match pull(engine).await {
        Ok(()) => Ok(format!("{PULLED}:{PULLED_TAG}")),
        Err(reason) => {
            say(format!("cannot be pulled ({reason}); bootstrapping it with mmdebstrap"));
            bootstrap(engine, &reason, say).await.map(|()| format!("{BOOTSTRAPPED}:{BOOTSTRAPPED_TAG}"))
        }
    }
}

/// The reference of the root image, if the engine has one.
pub async fn present(engine: &Engine) -> Option<String> {
    for reference in [format!("{PULLED}:{PULLED_TAG}"), format!("{BOOTSTRAPPED}:{BOOTSTRAPPED_TAG}")] {
        if engine.docker.inspect_image(&reference).await.is_ok() {
            return Some(reference);
        }
    }
    None
}

/// Pulls the root image.
///
/// # Errors
/// The registry's or the engine's reason, as text.
pub async fn pull(engine: &Engine) -> Result<(), String> {
    let options = CreateImageOptionsBuilder::new().from_image(PULLED).tag(PULLED_TAG).build();
    let pulling = engine.docker.create_image(Some(options), None, None).try_for_each(|info| async move {
        match info.error_detail.and_then(|detail| detail.message) {
            Some(message) => Err(bollard::errors::Error::DockerStreamError { error: message }),
            None => Ok(()),
        }
    });
    match tokio::time::timeout(PULL_TIMEOUT, pulling).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PULL_TIMEOUT.as_secs())),
    }
}

/// Whether mmdebstrap is installed.
pub async fn can_bootstrap() -> bool {
    let version =
        Command::new("mmdebstrap").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    version.is_ok_and(|status| status.success())
}

async fn bootstrap(engine: &Engine, why_not_pulled: &str, say: &dyn Fn(String)) -> Result<(), ClusterError> {
    let failed =
        |reason: String| ClusterError::new("making the root image", reason).advise(format!("run: {INSTALL_BOOTSTRAP}"));
    if !can_bootstrap().await {
        return Err(failed(format!(
            "{PULLED}:{PULLED_TAG} cannot be pulled ({why_not_pulled}), and mmdebstrap is not installed"
        )));
    }
    // Without a mirror, mmdebstrap uses its default. The root file system goes to standard output.
    let mut child = Command::new("mmdebstrap")
        .args(["--variant=minbase", "--format=tar", "bookworm", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("mmdebstrap cannot be started: {error}")))?;
    let (Some(root), Some(messages)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(failed("mmdebstrap's output cannot be read".to_owned()));
    };
    let listen = async {
        let mut last = Vec::new();
        let mut lines = BufReader::new(messages).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            say(line.clone());
            last.push(line);
            if last.len() > 20 {
                last.remove(0);
            }
        }
        last
    };
    let options = CreateImageOptionsBuilder::new().from_src("-").repo(BOOTSTRAPPED).tag(BOOTSTRAPPED_TAG).build();
    let body = bollard::body_try_stream(ReaderStream::with_capacity(root, 256 * 1024));
    let import = engine.docker.create_image(Some(options), Some(body), None).try_collect::<Vec<_>>();
    let (imported, last) = tokio::join!(import, listen);
    let status = child.wait().await.map_err(|error| failed(format!("mmdebstrap: {error}")))?;
    if !status.success() {
        // An incomplete archive must not remain as a root image.
        let reference = format!("{BOOTSTRAPPED}:{BOOTSTRAPPED_TAG}");
        let _ =
            engine.docker.remove_image(&reference, None::<bollard::query_parameters::RemoveImageOptions>, None).await;
        return Err(failed(format!("mmdebstrap ended with {status}; its last lines:\n{}", last.join("\n"))));
    }
    imported.map_err(|error| failed(format!("the engine does not import the root file system: {error}")))?;
    Ok(())
}
