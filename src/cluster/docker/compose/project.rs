//! One project of Compose: the containers of a trial, made by Compose and pinned to their addresses, and started by Compose in
//! the order that the files ask for.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bollard::errors::Error;
use bollard::models::{ContainerSummary, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use futures::future::try_join_all;

use super::healthy;
use super::model::{Model, Trial};
use super::tool::{Tool, words_of};
use super::{NUMBER_LABEL, SERVICE_LABEL};
use crate::cluster::ClusterError;
use crate::cluster::docker::images::repository;
use crate::cluster::docker::networks::Ownership;
use crate::cluster::docker::{Engine, RUN_LABEL, TRIAL_LABEL, container};
use crate::files::FileError;
use crate::topology::{Compose, CoreSets, Network, Node, Target, Tier, Topology};

/// How long Compose may take to build all images.
const BUILD_TIMEOUT: Duration = Duration::from_secs(1800);
/// How long Compose may take to make all containers; it pulls images that are missing.
const CREATE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long the services may take until all are healthy.
const START_TIMEOUT: Duration = Duration::from_secs(150);

/// Lets Compose read the files of a target, and checks that they have what the target names. Starts nothing.
///
/// # Returns
/// The model and the tool, or what Compose has against the files.
///
/// # Errors
/// When there is no Compose, or something that the target names is not there.
pub async fn read(
    engine: Option<&Engine>,
    target: &Target,
    compose: &Compose,
) -> Result<Result<(Tool, Model), FileError>, ClusterError> {
    let tool = Tool::find(engine).await?;
    match Model::read(&tool, &compose.files).await? {
        Ok(model) => {
            model
                .check(compose, |tier| target.tiers.get(&tier).map(|spec| spec.networks.clone()).unwrap_or_default())?;
            Ok(Ok((tool, model)))
        }
        Err(error) => Ok(Err(error)),
    }
}

/// Lets Compose build the images of a target's services.
///
/// # Returns
/// References of the images, by service.
///
/// # Errors
/// When an image cannot be built, in the builder's words.
pub async fn build(tool: &Tool, model: &Model, target: &Target) -> Result<BTreeMap<String, String>, ClusterError> {
    let images = model.built_images(&target.name);
    if !images.is_empty() {
        let project = repository(&format!("steadfast-{}", target.name));
        let model = model.for_build(&target.name).text();
        let output = tool.run(&["-p", &project, "-f", "-", "build"], &model, BUILD_TIMEOUT).await?;
        if !output.status.success() {
            return Err(ClusterError::new(format!("building the images of {}", target.name), words_of(&output)));
        }
    }
    Ok(images)
}

/// A project whose containers exist.
pub struct Project {
    tool: Tool,
    name: String,
    model: Vec<u8>,
}

impl Project {
    /// Lets Compose make the containers of a trial, and gives those of the topology's nodes their addresses.
    ///
    /// # Returns
    /// The project, and the containers by node.
    ///
    /// # Errors
    /// When Compose or the engine refuses something.
    pub async fn create(
        engine: &Engine,
        owner: &Ownership,
        (tool, model): (Tool, Model),
        topology: &Topology,
        compose: &Compose,
        (networks, cores): (&BTreeMap<Network, String>, &CoreSets),
    ) -> Result<(Self, BTreeMap<String, String>), ClusterError> {
        let name = repository(&owner.name(""));
        let trial = Trial {
            target: &topology.target.name,
            compose,
            project: &name,
            labels: &owner.labels(),
            networks,
            app_nodes: u8::try_from(topology.tier(Tier::App).count()).unwrap_or(u8::MAX),
            cores: cores.target.as_ref().map(ToString::to_string),
        };
        let model = model.for_trial(&trial).text();
        let project = Self { tool, name, model };
        let create = || project.compose(&["create"], "making the containers", CREATE_TIMEOUT);
        // Engines fill a new volume from the image of each container that has it, and stumble where several do so at a time. What
        // was made stays, and the second attempt makes the rest.
        if create().await.is_err() {
            create().await?;
        }
        let made = containers(engine, owner).await?;
        let mut of_nodes = BTreeMap::new();
        for node in &topology.nodes {
            let container = container_of(node, compose, &made)?;
            of_nodes.insert(node.name.clone(), container);
        }
        try_join_all(
            topology.nodes.iter().filter_map(|node| Some(pin(engine, node, of_nodes.get(&node.name)?, networks))),
        )
        .await?;
        Ok((project, of_nodes))
    }

    /// Lets Compose start everything, and waits until all is healthy.
    ///
    /// # Errors
    /// When a service ends or does not become healthy, with the end of its log.
    pub async fn start(&self, engine: &Engine, owner: &Ownership) -> Result<(), ClusterError> {
        let began = Instant::now();
        let up = self.compose(&["up", "--detach", "--no-recreate"], "starting the services", START_TIMEOUT).await;
        if let Err(error) = up {
            return Err(healthy::first_failure(engine, owner).await.unwrap_or(error));
        }
        healthy::wait(engine, owner, START_TIMEOUT.saturating_sub(began.elapsed())).await
    }

    async fn compose(&self, words: &[&str], doing: &str, within: Duration) -> Result<(), ClusterError> {
        let mut all = vec!["-p", self.name.as_str(), "-f", "-"];
        all.extend(words);
        let output = self.tool.run(&all, &self.model, within).await?;
        if output.status.success() {
            return Ok(());
        }
        let words = words_of(&output);
        // The first line of a reason stands alone in reports, and the last of these says most.
        let last = words.lines().last().unwrap_or_default().trim().to_owned();
        let all = if last == words.trim() { String::new() } else { format!("\n  all that it said:\n    {words}") };
        Err(ClusterError::new(format!("{doing} with {}", self.tool.name()), format!("{last}{all}")))
    }
}

/// What a service's replies may call its container: its own name, and that of the host it believes to be.
///
/// # Errors
/// When the engine does not answer.
pub async fn names_of(engine: &Engine, container: &str) -> Result<Vec<String>, ClusterError> {
    let inspected = engine.docker.inspect_container(container, None::<InspectContainerOptions>).await;
    let inspected =
        inspected.map_err(|error| ClusterError::new(format!("inspecting {container}"), error.to_string()))?;
    let host = inspected.config.and_then(|config| config.hostname);
    Ok(host.into_iter().chain([container.to_owned()]).collect())
}

pub async fn containers(engine: &Engine, owner: &Ownership) -> Result<Vec<ContainerSummary>, ClusterError> {
    let labels = vec![format!("{RUN_LABEL}={}", owner.run), format!("{TRIAL_LABEL}={}", owner.trial)];
    let filters = HashMap::from([("label", labels)]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let listed = engine.docker.list_containers(Some(options)).await;
    listed.map_err(|error| ClusterError::new("looking for the containers of Compose", error.to_string()))
}

/// The engine's name of a node's container.
fn container_of(node: &Node, compose: &Compose, made: &[ContainerSummary]) -> Result<String, ClusterError> {
    let doing = || format!("looking for the container of {}", node.name);
    let (service, number) = compose
        .service_of(node.tier, node.number)
        .ok_or_else(|| ClusterError::new(doing(), "the target names no service for it"))?;
    let is_it = |container: &&ContainerSummary| {
        let label = |name: &str| container.labels.as_ref()?.get(name).map(String::as_str);
        label(SERVICE_LABEL) == Some(service) && label(NUMBER_LABEL) == Some(&number.to_string())
    };
    let found = made.iter().find(is_it).and_then(|container| container.names.as_ref()?.first().cloned());
    let found = found.map(|name| name.trim_start_matches('/').to_owned());
    found
        .ok_or_else(|| ClusterError::new(doing(), format!("Compose made no container {number} of service `{service}`")))
}

/// Gives a container its addresses. Engines swap those of containers that end and start, and balancers that have looked up
/// their names would take one for the other.
async fn pin(
    engine: &Engine,
    node: &Node,
    container: &str,
    networks: &BTreeMap<Network, String>,
) -> Result<(), ClusterError> {
    let failed = |error: Error| ClusterError::new(format!("giving {container} its addresses"), error.to_string());
    let inspected =
        engine.docker.inspect_container(container, None::<InspectContainerOptions>).await.map_err(failed)?;
    let endpoints = inspected.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    for (network, address) in &node.addresses {
        let Some(name) = networks.get(network) else { continue };
        let aliases = endpoints.get(name).and_then(|endpoint| endpoint.aliases.clone());
        let away = NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        engine.docker.disconnect_network(name, away).await.map_err(failed)?;
        let settings = EndpointSettings { aliases, ..container::endpoint(*address) };
        let back = NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(settings) };
        engine.docker.connect_network(name, back).await.map_err(failed)?;
    }
    Ok(())
}
