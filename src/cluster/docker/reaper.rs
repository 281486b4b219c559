//! The reapers of a run in an engine remove the objects with the run's label when the driver is gone. One is a process
//! on the driver's machine, the other a container with the engine's socket, if it can be mounted. It outlives the
//! driver's process group, session and container.

use std::ops::RangeInclusive;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, ListContainersOptionsBuilder,
};
use tokio::io::AsyncWrite;
use tokio::time::{Instant, sleep};

use super::cleanup::{Removed, remove_container};
use super::networks::Ownership;
use super::{Engine, Leftovers, RUN_LABEL};
use crate::cluster::ClusterError;
use crate::cluster::reaper::Reaper;

/// The name of the reaper's container in its run.
const NAME: &str = "reaper";
/// The engine's socket in the reaper's container, and its usual path on an engine's machine.
const SOCKET: &str = "/var/run/docker.sock";
const MEMORY_BYTES: i64 = 64 * 1024 * 1024;
/// How long it tries: an engine may be unreachable for a while.
const PATIENCE: Duration = Duration::from_secs(3600);
/// The pause between two attempts; it grows while they fail.
const PAUSE: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(30);
/// How long nothing must be left: a busy engine may still create what the driver requested before its end.
const QUIET: Duration = Duration::from_secs(10);

/// The reapers of one run. They start to remove when this is dropped.
pub struct Watch {
    engine: Engine,
    owner: Ownership,
    /// The container's input, whose end it waits for, or why there is none.
    input: Result<Pin<Box<dyn AsyncWrite + Send>>, String>,
    process: Reaper,
}

impl Watch {
    /// Starts the reapers before the run creates anything else. `image` is this program's. The process alone is enough
    /// if the engine's machine has no socket to mount, as behind a forwarded one.
    ///
    /// # Errors
    /// When the process cannot be started, or the engine does not remove a container that it could not start.
    pub async fn start(engine: &Engine, program: &Path, image: &str, run: &str) -> Result<Self, ClusterError> {
        let process = Reaper::start(program, &["--run", run], &engine.variables())?;
        let owner = Ownership { run: run.to_owned(), trial: NAME.to_owned() };
        let mut watch = Self { engine: engine.clone(), owner, input: Err(String::new()), process };
        for socket in sockets(engine) {
            watch.input = watch.start_container(image, &socket).await.map_err(|error| error.to_string());
            if watch.input.is_ok() {
                break;
            }
            watch.remove_container().await?;
        }
        Ok(watch)
    }

    /// Why there is no container, if there is none.
    #[must_use]
    pub fn lacks_container(&self) -> Option<&str> {
        self.input.as_ref().err().map(String::as_str)
    }

    async fn start_container(
        &self,
        image: &str,
        socket: &str,
    ) -> Result<Pin<Box<dyn AsyncWrite + Send>>, bollard::errors::Error> {
        let name = self.owner.name(NAME);
        let host = HostConfig {
            auto_remove: Some(true),
            // Unlike a mount, a bind would create a folder of this name if there is no socket, and leave it.
            mounts: Some(vec![Mount {
                typ: Some(MountType::BIND),
                source: Some(socket.to_owned()),
                target: Some(SOCKET.to_owned()),
                ..Mount::default()
            }]),
            network_mode: Some("none".to_owned()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            // The socket may belong to another user of the engine's machine.
            cap_add: Some(vec!["DAC_OVERRIDE".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            readonly_rootfs: Some(true),
            pids_limit: Some(64),
            memory: Some(MEMORY_BYTES),
            memory_swap: Some(MEMORY_BYTES),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..HostConfig::default()
        };
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(["reaper", "--run", &self.owner.run, "--spare", &name].map(str::to_owned).into()),
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
        self.engine.start_container(&name).await?;
        Ok(attached.input)
    }

    /// Ends the reapers if the run has removed everything itself. Otherwise they start to remove.
    ///
    /// # Errors
    /// When something is left, or the engine does not answer.
    pub async fn dismiss(self) -> Result<(), ClusterError> {
        let label = format!("{RUN_LABEL}={}", self.owner.run);
        let own = self.owner.name(NAME);
        let mut left = Leftovers::find(&self.engine, Some(&label)).await?;
        left.containers.retain(|name| *name != own);
        let only_networks = left.containers.is_empty() && left.volumes.is_empty();
        let removed = if only_networks { left.remove(&self.engine).await? } else { Removed::default() };
        if only_networks {
            // What the engine cannot remove, reapers cannot remove either.
            left.networks.clear();
        }
        if !left.is_empty() {
            let reason = format!("{} are still there", left.counts());
            return Err(ClusterError::new(format!("ending run {}", self.owner.run), reason)
                .advise("its reapers go on trying for an hour; `steadfast clean` removes them now"));
        }
        if self.input.is_ok() {
            self.remove_container().await?;
        }
        self.process.dismiss();
        removed.complete().map(drop)
    }

    async fn remove_container(&self) -> Result<(), ClusterError> {
        let name = self.owner.name(NAME);
        let mut removed = remove_container(&self.engine, &name).await;
        // It may be removing itself.
        if let Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) = removed {
            removed = Ok(());
        }
        removed.map_err(|error| ClusterError::new(format!("removing {name}"), error.to_string()))
    }
}

/// Possible paths of the engine's socket on its own machine: its path here or, if forwarded, the usual one. Podman
/// would create a folder at a wrong path, so it gets only the known one.
fn sockets(engine: &Engine) -> Vec<String> {
    let usual = (!engine.facts().is_podman()).then_some(SOCKET);
    let mut sockets: Vec<String> = engine.socket().into_iter().chain(usual).map(str::to_owned).collect();
    sockets.dedup();
    sockets
}

/// Removes everything of a run whose driver is gone. `spared` is the reaper's own container, which is removed when it
/// ends. The reaper that is a process spares nothing, because the container may never have been started.
///
/// # Errors
/// When something is left, or the engine still fails, after an hour.
pub async fn reap(run: &str, spared: Option<&str>) -> Result<(), ClusterError> {
    let deadline = Instant::now() + PATIENCE;
    let label = format!("{RUN_LABEL}={run}");
    let mut empty_since = Instant::now();
    let mut pause = *PAUSE.start();
    // Kept while requests succeed: with `ssh://` each connection is a log-in.
    let mut engine = None;
    loop {
        let result = remove_once(&mut engine, &label, spared).await;
        match &result {
            Ok(true) if empty_since.elapsed() >= QUIET => return Ok(()),
            Ok(true) => {}
            Ok(false) | Err(_) => empty_since = Instant::now(),
        }
        if Instant::now() >= deadline {
            return result.and_then(|is_empty| {
                let left = || ClusterError::new(format!("removing what run {run} left"), "new objects keep appearing");
                if is_empty { Ok(()) } else { Err(left().advise("run `steadfast clean`")) }
            });
        }
        pause = if result.is_ok() { *PAUSE.start() } else { (pause * 2).min(*PAUSE.end()) };
        sleep(pause).await;
    }
}

/// Removes what is left. Returns whether there was nothing. Keeps the connection if all requests succeeded.
async fn remove_once(kept: &mut Option<Engine>, label: &str, spared: Option<&str>) -> Result<bool, ClusterError> {
    let engine = match kept.take() {
        Some(engine) => engine,
        None => Engine::connect().await?,
    };
    let mut leftovers = Leftovers::find(&engine, Some(label)).await?;
    leftovers.containers.retain(|name| Some(name.as_str()) != spared);
    let was_empty = leftovers.is_empty();
    if !was_empty {
        leftovers.remove(&engine).await?.complete()?;
    }
    *kept = Some(engine);
    Ok(was_empty)
}

/// The runs with a running reaper: their drivers run, or have just ended.
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
