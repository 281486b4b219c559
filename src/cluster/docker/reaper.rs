//! The reaper of a run in an engine: removes what carries the run's label when the driver is gone. One is a process beside
//! the driver; the other a container with the engine's socket, where the engine is reached by one, so that it outlives the
//! driver's process group, its session and its container.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions,
};
use tokio::io::AsyncWrite;
use tokio::time::{Instant, sleep};

use super::networks::Ownership;
use super::{Engine, Leftovers, RUN_LABEL};
use crate::cluster::ClusterError;
use crate::cluster::reaper::Reaper;

/// What the reaper's container is called within its run.
const NAME: &str = "reaper";
/// Where its container finds the engine.
const SOCKET: &str = "/var/run/docker.sock";
const MEMORY_BYTES: i64 = 64 * 1024 * 1024;
/// How long it tries.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What the driver had asked the engine for may still be made after its end.
const QUIET: Duration = Duration::from_secs(3);

/// The reapers of one run, for as long as this lives.
pub struct Watch {
    engine: Engine,
    owner: Ownership,
    /// What the container waits for the end of; none where the engine is reached otherwise.
    input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    _process: Reaper,
}

impl Watch {
    /// Starts them, before anything else of the run is made. `image` is this program's.
    ///
    /// # Errors
    /// When one cannot be started.
    pub async fn start(engine: &Engine, program: &Path, image: &str, run: &str) -> Result<Self, ClusterError> {
        let process = Reaper::start(program, &["--run", run])?;
        let owner = Ownership { run: run.to_owned(), trial: NAME.to_owned() };
        let mut watch = Self { engine: engine.clone(), owner, input: None, _process: process };
        if let Some(socket) = socket() {
            let failed = |error: bollard::errors::Error| ClusterError::new("starting the reaper", error.to_string());
            watch.input = Some(watch.start_container(image, &socket).await.map_err(failed)?);
        }
        Ok(watch)
    }

    async fn start_container(
        &self,
        image: &str,
        socket: &str,
    ) -> Result<Pin<Box<dyn AsyncWrite + Send>>, bollard::errors::Error> {
        let name = self.owner.name(NAME);
        let host = HostConfig {
            auto_remove: Some(true),
            binds: Some(vec![format!("{socket}:{SOCKET}")]),
            network_mode: Some("none".to_owned()),
            memory: Some(MEMORY_BYTES),
            memory_swap: Some(MEMORY_BYTES),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..HostConfig::default()
        };
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(["reaper", "--run", &self.owner.run].map(str::to_owned).into()),
            env: Some(vec![format!("DOCKER_HOST=unix://{SOCKET}")]),
            labels: Some(self.owner.labels()),
            attach_stdin: Some(true),
            open_stdin: Some(true),
            stdin_once: Some(true),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        self.engine.docker.create_container(Some(options), body).await?;
        let options = AttachContainerOptionsBuilder::new().stdin(true).stream(true).build();
        let attached = self.engine.docker.attach_container(&name, Some(options)).await?;
        self.engine.docker.start_container(&name, None::<StartContainerOptions>).await?;
        Ok(attached.input)
    }

    /// Ends them: the run has removed everything itself.
    ///
    /// # Errors
    /// When the container cannot be removed.
    pub async fn dismiss(self) -> Result<(), ClusterError> {
        if self.input.is_none() {
            return Ok(());
        }
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        let name = self.owner.name(NAME);
        let mut removed = self.engine.docker.remove_container(&name, Some(options)).await;
        // It may be on its way by itself.
        if let Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) = removed {
            removed = Ok(());
        }
        removed.map_err(|error| ClusterError::new(format!("removing {name}"), error.to_string()))
    }
}

/// The engine's socket on its own machine, where this is reached by one.
fn socket() -> Option<String> {
    match std::env::var("DOCKER_HOST") {
        Err(_) => Some(SOCKET.to_owned()),
        Ok(host) => host.strip_prefix("unix://").map(str::to_owned),
    }
}

/// Removes everything of a run whose driver is gone, the reaper's own container left out: that goes with its end.
///
/// # Errors
/// When something is left after a minute.
pub async fn reap(run: &str) -> Result<(), ClusterError> {
    let deadline = Instant::now() + TIMEOUT;
    let label = format!("{RUN_LABEL}={run}");
    let own = Ownership { run: run.to_owned(), trial: NAME.to_owned() }.name(NAME);
    let mut empty_since = Instant::now();
    loop {
        let result = remove_once(&label, &own).await;
        match &result {
            Ok(true) if empty_since.elapsed() >= QUIET => return Ok(()),
            Ok(true) => {}
            Ok(false) | Err(_) => empty_since = Instant::now(),
        }
        if Instant::now() >= deadline {
            return result.and_then(|is_empty| {
                let left = || ClusterError::new(format!("removing what run {run} left"), "it comes again and again");
                if is_empty { Ok(()) } else { Err(left().advise("run `steadfast clean`")) }
            });
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Says whether there was nothing.
async fn remove_once(label: &str, own: &str) -> Result<bool, ClusterError> {
    let engine = Engine::connect().await?;
    let mut leftovers = Leftovers::find(&engine, Some(label)).await?;
    leftovers.containers.retain(|name| name != own);
    if leftovers.is_empty() {
        return Ok(true);
    }
    leftovers.remove(&engine).await.map(|_| false)
}

/// The runs that a reaper watches over: their drivers live, or have just died.
///
/// # Errors
/// When the engine does not answer.
pub async fn watched_runs(engine: &Engine) -> Result<Vec<String>, ClusterError> {
    let filters = std::collections::HashMap::from([("label", vec![RUN_LABEL])]);
    let options = ListContainersOptionsBuilder::new().filters(&filters).build();
    let running = engine.docker.list_containers(Some(options)).await;
    let running = running.map_err(|error| ClusterError::new("listing runs", error.to_string()))?;
    let runs = running.into_iter().filter_map(|container| {
        let run = container.labels?.get(RUN_LABEL)?.clone();
        let name = format!("/{}", Ownership { run: run.clone(), trial: NAME.to_owned() }.name(NAME));
        container.names?.contains(&name).then_some(run)
    });
    Ok(runs.collect())
}
