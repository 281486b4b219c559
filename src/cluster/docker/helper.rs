//! Runs a script in a helper container in another one's network namespace, or among the processes of the engine's machine. It
//! may change only that network, or end processes, and is removed when the script ends.

use std::sync::atomic::{AtomicU32, Ordering};

use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptionsBuilder, LogsOptionsBuilder, WaitContainerOptions};
use futures::{StreamExt, TryStreamExt};

use super::Engine;
use super::cleanup::remove_container;
use super::networks::Ownership;

/// The image with the network tools.
pub const TOOLBOX: &str = "toolbox";
const MEMORY_BYTES: i64 = 64 * 1024 * 1024;

/// Makes the names of helpers unique.
static NUMBER: AtomicU32 = AtomicU32::new(1);

/// Where a script runs.
pub enum Place {
    /// In the network of a container (`container:NAME`), or in an empty one (`none`), with the right to change it.
    Network(String),
    /// Among all processes of the engine's machine, with the right to end them.
    Processes,
}

/// Runs a shell script.
///
/// # Returns
/// Whether it exited with 0, and its output.
pub async fn run(
    engine: &Engine,
    owner: &Ownership,
    image: &str,
    place: &Place,
    script: &str,
) -> Result<(bool, String), Error> {
    let name = owner.name(&format!("helper-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let (network, processes, rights) = match place {
        // The packet filter of some kernels needs raw sockets.
        Place::Network(network) => (network.as_str(), None, &["NET_ADMIN", "NET_RAW"][..]),
        Place::Processes => ("none", Some("host".to_owned()), &["KILL"][..]),
    };
    let host = HostConfig {
        network_mode: Some(network.to_owned()),
        pid_mode: processes,
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(rights.iter().map(|right| (*right).to_owned()).collect()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        pids_limit: Some(64),
        memory: Some(MEMORY_BYTES),
        memory_swap: Some(MEMORY_BYTES),
        ..HostConfig::default()
    };
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(vec!["bash".to_owned(), "-c".to_owned(), script.to_owned()]),
        labels: Some(owner.labels()),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    engine.docker.create_container(Some(options), body).await?;
    let result = run_to_its_end(engine, &name).await;
    let removed = remove_container(engine, &name).await;
    let result = result?;
    removed?;
    Ok(result)
}

async fn run_to_its_end(engine: &Engine, name: &str) -> Result<(bool, String), Error> {
    engine.start_container(name).await?;
    let ended = engine.docker.wait_container(name, None::<WaitContainerOptions>).next().await;
    let succeeded = match ended {
        Some(Ok(_)) => true,
        // The library reports other exit codes than 0 as this error.
        Some(Err(Error::DockerContainerWaitError { .. })) | None => false,
        Some(Err(error)) => return Err(error),
    };
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
    let parts: Vec<_> = engine.docker.logs(name, Some(options)).try_collect().await?;
    Ok((succeeded, parts.iter().map(ToString::to_string).collect()))
}
