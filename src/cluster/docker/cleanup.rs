//! Finds and removes objects with steadfast's label.

use std::collections::HashMap;
use std::fmt;
use std::ops::Add;
use std::time::{Duration, Instant};

use bollard::errors::Error;
use bollard::models::NetworkDisconnectRequest;
use bollard::query_parameters::{
    InspectNetworkOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder,
    ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
    RemoveVolumeOptions,
};
use futures::future::join_all;
use tokio::time::sleep;

use super::driver::{DRIVER_LABEL, Driver};
use super::{Engine, IMAGE_LABEL, RUN_LABEL, TRIAL_LABEL};
use crate::cluster::ClusterError;

/// Numbers of steadfast's objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Containers, running or not.
    pub containers: usize,
    /// Networks.
    pub networks: usize,
    /// Volumes.
    pub volumes: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |number: usize, thing: &str| format!("{number} {thing}{}", if number == 1 { "" } else { "s" });
        let (containers, networks) = (of(self.containers, "container"), of(self.networks, "network"));
        write!(f, "{containers}, {networks} and {}", of(self.volumes, "volume"))
    }
}

/// What a removal has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// What is gone.
    pub counts: Counts,
    /// Names of networks that the engine cannot remove before it is restarted, see [`Engine::start_container`].
    pub stuck_networks: Vec<String>,
}

impl Add for Removed {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self.counts.containers += other.counts.containers;
        self.counts.networks += other.counts.networks;
        self.counts.volumes += other.counts.volumes;
        self.stuck_networks.extend(other.stuck_networks);
        self
    }
}

impl Removed {
    /// What is gone, if nothing is left.
    ///
    /// # Errors
    /// When the engine has kept networks, with their names and how they go.
    pub fn complete(self) -> Result<Counts, ClusterError> {
        if self.stuck_networks.is_empty() {
            return Ok(self.counts);
        }
        let reason = "the engine counts connections to it, and lists none; Docker has miscounted";
        Err(ClusterError::new(format!("removing network {}", self.stuck_networks.join(", ")), reason)
            .advise("restart the engine, which counts anew, then run `steadfast clean`"))
    }
}

/// Objects with steadfast's label in an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Names of containers.
    pub containers: Vec<String>,
    /// Names of networks.
    pub networks: Vec<String>,
    /// Names of volumes.
    pub volumes: Vec<String>,
}

impl Leftovers {
    /// Finds all objects of steadfast, or those with `label` (`key=value`).
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn find(engine: &Engine, label: Option<&str>) -> Result<Self, ClusterError> {
        Self::find_of(engine, label, |_| true).await
    }

    /// Finds the objects of one trial of a run.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn of_trial(engine: &Engine, run: &str, trial: &str) -> Result<Self, ClusterError> {
        let of_run = format!("{RUN_LABEL}={run}");
        let is_of_trial =
            |labels: &HashMap<String, String>| labels.get(TRIAL_LABEL).is_some_and(|label| label == trial);
        Self::find_of(engine, Some(&of_run), is_of_trial).await
    }

    /// Finds all objects of steadfast except those of these runs.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn of_other_runs(engine: &Engine, runs: &[String]) -> Result<Self, ClusterError> {
        Self::find_of(engine, None, |labels| !labels.get(RUN_LABEL).is_some_and(|run| runs.contains(run))).await
    }

    /// Finds the leftovers of this machine's dead drivers, except those of these runs.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn of_dead_drivers(engine: &Engine, runs: &[String]) -> Result<Self, ClusterError> {
        let driver = |labels: &HashMap<String, String>| labels.get(DRIVER_LABEL)?.parse::<Driver>().ok();
        let is_one_of = |labels: &HashMap<String, String>| labels.get(RUN_LABEL).is_some_and(|run| runs.contains(run));
        let is_dead = |labels: &HashMap<String, String>| driver(labels).is_some_and(|driver| driver.is_dead());
        Self::find_of(engine, None, |labels| is_dead(labels) && !is_one_of(labels)).await
    }

    async fn find_of(
        engine: &Engine,
        label: Option<&str>,
        is_meant: impl Fn(&HashMap<String, String>) -> bool,
    ) -> Result<Self, ClusterError> {
        let filters = HashMap::from([("label", vec![label.unwrap_or(RUN_LABEL)])]);
        let failed = |error: Error| ClusterError::new("listing what is left", error.to_string());
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let containers = engine.docker.list_containers(Some(options)).await.map_err(failed)?;
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let networks = engine.docker.list_networks(Some(options)).await.map_err(failed)?;
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let volumes = engine.docker.list_volumes(Some(options)).await.map_err(failed)?;
        let is_wanted = |labels: Option<&HashMap<String, String>>| labels.is_some_and(&is_meant);
        let name = |names: Option<Vec<String>>| Some(names?.first()?.trim_start_matches('/').to_owned());
        Ok(Self {
            containers: containers
                .into_iter()
                .filter(|container| is_wanted(container.labels.as_ref()))
                .filter_map(|container| name(container.names).or(container.id))
                .collect(),
            networks: networks
                .into_iter()
                .filter(|network| is_wanted(network.labels.as_ref()))
                // A worker shows those in which it has containers; its swarm's manager removes them.
                .filter(|network| !engine.is_worker() || network.scope.as_deref() != Some("swarm"))
                .filter_map(|network| network.name.or(network.id))
                .collect(),
            volumes: volumes
                .volumes
                .unwrap_or_default()
                .into_iter()
                .filter(|volume| is_wanted(Some(&volume.labels)))
                .map(|volume| volume.name)
                .collect(),
        })
    }

    /// The number of objects of each kind.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { containers: self.containers.len(), networks: self.networks.len(), volumes: self.volumes.len() }
    }

    /// Whether there are no leftovers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }

    /// Removes the leftovers: containers first, because networks and volumes in use cannot be removed.
    ///
    /// # Errors
    /// When something cannot be removed, with its name.
    pub async fn remove(&self, engine: &Engine) -> Result<Removed, ClusterError> {
        let containers = self.containers.iter().map(|name| remove_container(engine, name));
        let containers = count(join_all(containers).await, &self.containers, "container")?;
        // Without containers nothing is being undone, and a network that is refused is stuck.
        let patience = if self.containers.is_empty() { Duration::ZERO } else { UNDOING };
        let networks = self.networks.iter().map(|name| remove_network(engine, name, patience));
        let (networks, stuck_networks) = part_stuck(join_all(networks).await, &self.networks);
        let networks = count(networks, &self.networks, "network")?;
        let volumes = self.volumes.iter().map(|name| engine.docker.remove_volume(name, None::<RemoveVolumeOptions>));
        let volumes = count(join_all(volumes).await, &self.volumes, "volume")?;
        let networks = networks - stuck_networks.len();
        Ok(Removed { counts: Counts { containers, networks, volumes }, stuck_networks })
    }
}

/// Removes a container with its volumes, even if it is running.
pub async fn remove_container(engine: &Engine, name: &str) -> Result<(), Error> {
    if engine.facts().is_podman() {
        // Podman asks the process to end and waits ten seconds for it, even with `force`.
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        let _: Result<(), Error> = engine.docker.kill_container(name, Some(options)).await;
    }
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    engine.docker.remove_container(name, Some(options)).await
}

/// How the removal of a network ended.
enum NetworkRemoval {
    Gone,
    /// The engine refuses it because of connections that it does not list.
    Stuck,
}

/// How long connections that are being undone may keep a network from being removed.
const UNDOING: Duration = Duration::from_secs(2);

/// How long a swarm's manager may take to hear that a container is gone.
const HEARING: Duration = Duration::from_secs(10);

/// Removes a network, even if something is still connected to it: a container that is not steadfast's, or an endpoint that
/// the engine has kept of a container that it has removed, which it can be told to forget by its name. It is stuck if it is
/// refused without a connection for all of `patience`.
async fn remove_network(engine: &Engine, name: &str, patience: Duration) -> Result<NetworkRemoval, Error> {
    let began = Instant::now();
    loop {
        let removed = engine.docker.remove_network(name).await;
        if !is_in_use(&removed) {
            return removed.map(|()| NetworkRemoval::Gone);
        }
        let connected = endpoints(engine, name).await?;
        let is_of_a_task = is_of_a_task(&removed);
        if connected.is_empty() && !is_of_a_task && began.elapsed() >= patience {
            return Ok(NetworkRemoval::Stuck);
        }
        if began.elapsed() > if is_of_a_task { HEARING } else { UNDOING } {
            return removed.map(|()| NetworkRemoval::Gone);
        }
        for endpoint in connected {
            let connected = NetworkDisconnectRequest { container: endpoint, force: Some(true) };
            // Whether it worked is told by the network's removal.
            let _: Result<(), Error> = engine.docker.disconnect_network(name, connected).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn is_in_use(removed: &Result<(), Error>) -> bool {
    // Docker says 403, and Podman 409.
    matches!(removed, Err(Error::DockerResponseServerError { status_code: 403 | 409, .. })) || is_of_a_task(removed)
}

/// Whether a swarm's manager has not heard yet that a container on one of its engines is gone.
fn is_of_a_task(removed: &Result<(), Error>) -> bool {
    matches!(removed, Err(Error::DockerResponseServerError { status_code: 400, message }) if message.contains("in use by task"))
}

/// The names of what the engine lists as connected to a network.
async fn endpoints(engine: &Engine, network: &str) -> Result<Vec<String>, Error> {
    let network = engine.docker.inspect_network(network, None::<InspectNetworkOptions>).await?;
    Ok(network.containers.into_iter().flatten().filter_map(|(_, endpoint)| endpoint.name).collect())
}

/// The names of stuck networks, and all results as those of other objects.
fn part_stuck(results: Vec<Result<NetworkRemoval, Error>>, names: &[String]) -> (Vec<Result<(), Error>>, Vec<String>) {
    let is_stuck = |result: &Result<NetworkRemoval, Error>| matches!(result, Ok(NetworkRemoval::Stuck));
    let stuck =
        results.iter().zip(names).filter(|(result, _)| is_stuck(result)).map(|(_, name)| name.clone()).collect();
    (results.into_iter().map(|result| result.map(drop)).collect(), stuck)
}

fn count(results: Vec<Result<(), Error>>, names: &[String], what: &str) -> Result<usize, ClusterError> {
    let mut removed = 0;
    for (result, name) in results.into_iter().zip(names) {
        match result {
            Ok(()) => removed += 1,
            // It is gone, or another process is removing it.
            Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
            Err(error) => {
                return Err(ClusterError::new(format!("removing {what} {name}"), error.to_string())
                    .advise("run `steadfast clean` again"));
            }
        }
    }
    Ok(removed)
}

/// Removes all images that steadfast built, and the bootstrapped root.
///
/// # Returns
/// How many.
///
/// # Errors
/// When the engine does not answer.
pub async fn remove_images(engine: &Engine) -> Result<usize, ClusterError> {
    let failed = |error: Error| ClusterError::new("listing images", error.to_string());
    let ours = HashMap::from([("label", vec![IMAGE_LABEL])]);
    let roots = HashMap::from([("reference", vec!["steadfast/root"])]);
    let mut removed = 0;
    for filters in [ours, roots] {
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        for image in engine.docker.list_images(Some(options)).await.map_err(failed)? {
            let options = RemoveImageOptionsBuilder::new().force(true).build();
            removed += usize::from(engine.docker.remove_image(&image.id, Some(options), None).await.is_ok());
        }
    }
    Ok(removed)
}
