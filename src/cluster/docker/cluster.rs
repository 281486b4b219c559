//! Runs a target as containers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerState};
use bollard::query_parameters::{
    EventsOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder, RemoveContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::compose::{self, Project};
use super::container::{self, Spec};

use super::images::PROGRAM;
use super::neighbours;
use super::networks::{self, Ownership, Reach};
use super::remote_agents::attach;
use super::sandboxes::Sandboxes;
use super::stats::{self, Interfaced, Interfaces};
use super::{Engine, Engines, Removal, TOOLBOX, exec, health, helper, limits, links, logs, swarm};
use crate::cluster::{AGENT, Channel, Cluster, ClusterError, NodeState, agent_name, unix_ns};
use crate::history::{LinkSample, NodeSample};
use crate::hosts::Placement;
use crate::topology::{Compose, CoreSets, Network, Node, Shape, Target, Topology};

/// How long to retry if a state is unknown.
const UNKNOWN_STATE: Duration = Duration::from_secs(1);

/// A target that runs as containers.
pub struct DockerCluster {
    engines: Engines,
    /// The host of each node; empty without hosts.
    placement: Placement,
    owner: Ownership,
    topology: Topology,
    networks: BTreeMap<Network, String>,
    containers: BTreeMap<String, String>,
    images: BTreeMap<String, String>,
    cores: CoreSets,
    lives: Mutex<HashMap<String, ContainerRun>>,
    sandboxes: Sandboxes,
    /// What made the containers; `None`: this module, from images.
    project: Option<Project>,
    warnings: BTreeSet<String>,
}

/// Facts about a container since its last start.
#[derive(Clone, Default)]
struct ContainerRun {
    starts: u32,
    interfaces: Option<Interfaces>,
    /// How often its restart policy has started it; an engine counts from zero after each start that was asked for.
    restarts: i64,
    /// The engine's time of the start that a crash ended. Its restart policy may have started it again since.
    crashed: Option<String>,
}

impl DockerCluster {
    /// Creates networks and containers for a target, but starts nothing. If something fails, removes what it created.
    ///
    /// # Errors
    /// When the engine refuses something, or the kernel's table of neighbours is too small.
    pub async fn create(
        engines: &Engines,
        run: &str,
        trial: &str,
        target: &Target,
        shape: impl Into<Shape>,
        images: &BTreeMap<String, String>,
        cores: &CoreSets,
    ) -> Result<Self, ClusterError> {
        let shape = shape.into();
        neighbours::check(target, shape.app_nodes + shape.standby)?;
        let owner = Ownership { run: run.to_owned(), trial: trial.to_owned() };
        let created = Self::try_create(engines, &owner, (target, shape), images, cores).await;
        match created {
            Err(error) => Err(error.and_then(remove(engines, &owner).await)),
            created => created,
        }
    }

    async fn try_create(
        engines: &Engines,
        owner: &Ownership,
        (target, shape): (&Target, Shape),
        images: &BTreeMap<String, String>,
        cores: &CoreSets,
    ) -> Result<Self, ClusterError> {
        if let Some(compose) = &target.compose {
            // On the heap: it is much larger than what other targets need.
            return Box::pin(Self::of_compose(engines, owner, (target, shape, compose), images, cores)).await;
        }
        let reach = |network| (network, Reach::of(engines.manager(), owner, network));
        let wanted: Vec<_> = target.networks().into_iter().map(reach).collect();
        let (subnets, networks) = networks::create(engines, owner, &wanted).await?;
        let topology = Topology::resolve(target, shape, subnets)?;
        let placement = engines.place(&topology)?;
        let engine_of = |node: &str| engines.of(placement.get(node));
        let image = |name: &str| {
            images
                .get(name)
                .map(String::as_str)
                .ok_or_else(|| ClusterError::new(format!("looking for image {name}"), "it was not built"))
        };
        let no_files = BTreeMap::new();
        let overlay = engines.has_hosts().then_some((subnets, topology.agents));
        let named = |node: &Node| (shape.sandboxes || overlay.is_some()).then(|| format!("{}-sandbox", node.name));
        let sandboxed: Vec<_> = topology.nodes.iter().filter_map(|node| Some((node, named(node)?))).collect();
        let mut sandbox_specs = Vec::new();
        for (node, name) in &sandboxed {
            let script = overlay.map(|(subnets, agents)| {
                let way = container::way_to_clients(node, subnets, agents);
                way + &links::counting(node, &topology.nodes, &placement)
            });
            sandbox_specs.push((engine_of(&node.name), Spec::sandbox(name, node, image(TOOLBOX)?, &no_files, script)));
        }
        let (sandbox_containers, mut warnings) = make_all(owner, &networks, &sandbox_specs).await?;
        drop(sandbox_specs);
        let sandbox_containers = sandboxed.iter().map(|(node, _)| node.name.clone()).zip(sandbox_containers);
        let sandboxes = Sandboxes::new(sandbox_containers.collect());
        let agents: Vec<String> = (0..topology.agents).map(agent_name).collect();
        let mut specs = Vec::new();
        for (number, agent) in agents.iter().enumerate() {
            let spec = Spec::agent(agent, image(PROGRAM)?, subnets.agent(number), &no_files, cores);
            specs.push((engine_of(agent), spec));
        }
        for node in &topology.nodes {
            let sandbox = sandboxes.of(&node.name).map(str::to_owned);
            specs.push((engine_of(&node.name), Spec::node(node, image(&node.image.name)?, cores, sandbox)));
        }
        let (names, further) = make_all(owner, &networks, &specs).await?;
        warnings.extend(further);
        let containers = specs.iter().map(|(_, spec)| spec.name.to_owned()).zip(names).collect();
        drop(specs);
        let cluster = Self::new(engines, owner, topology, (networks, containers), (images, cores));
        Ok(Self { placement, sandboxes, warnings, ..cluster })
    }

    /// Without hosts, without a project.
    fn new(
        engines: &Engines,
        owner: &Ownership,
        topology: Topology,
        (networks, containers): (BTreeMap<Network, String>, BTreeMap<String, String>),
        (images, cores): (&BTreeMap<String, String>, &CoreSets),
    ) -> Self {
        Self {
            engines: engines.clone(),
            placement: Placement::new(),
            owner: owner.clone(),
            topology,
            networks,
            containers,
            images: images.clone(),
            cores: cores.clone(),
            lives: Mutex::default(),
            sandboxes: Sandboxes::default(),
            project: None,
            warnings: BTreeSet::new(),
        }
    }

    async fn of_compose(
        engines: &Engines,
        owner: &Ownership,
        (target, shape, compose): (&Target, Shape, &Compose),
        images: &BTreeMap<String, String>,
        cores: &CoreSets,
    ) -> Result<Self, ClusterError> {
        let engine = engines.manager();
        let read = compose::read(Some(engine), target, compose).await?;
        let read = read.map_err(|error| ClusterError::new("reading the target", error.to_string()))?;
        let is_internal = |network| compose.networks.get(&network).is_some_and(|name| read.1.is_internal(name));
        let reach = |network| if is_internal(network) { Reach::Project } else { Reach::Outside };
        let wanted: Vec<_> = target.networks().into_iter().map(|network| (network, reach(network))).collect();
        let (subnets, networks) = networks::create(engines, owner, &wanted).await?;
        let mut topology = Topology::resolve(target, shape, subnets)?;
        let (project, mut containers) =
            Project::create(engine, owner, read, &topology, compose, (&networks, cores)).await?;
        for node in &mut topology.nodes {
            if let Some(container) = containers.get(&node.name) {
                node.image.cpus = limits::cores_of(engine, container).await?;
                node.also_called = compose::names_of(engine, container).await?;
            }
        }
        let missing = || ClusterError::new("making the agent", "this program's image was not built");
        let no_files = BTreeMap::new();
        let program = images.get(PROGRAM).ok_or_else(missing)?;
        let mut warnings = BTreeSet::new();
        for number in 0..topology.agents {
            let name = agent_name(number);
            let agent = Spec::agent(&name, program, subnets.agent(number), &no_files, cores);
            let (container, further) = container::create(engine, owner, &networks, &agent).await?;
            warnings.extend(further);
            containers.insert(name, container);
        }
        let cluster = Self::new(engines, owner, topology, (networks, containers), (images, cores));
        Ok(Self { project: Some(project), warnings, ..cluster })
    }

    /// The engine of a node's host.
    fn engine_of(&self, node: &str) -> &Engine {
        self.engines.of(self.placement.get(node))
    }

    fn container(&self, node: &str) -> Result<&str, ClusterError> {
        self.containers
            .get(node)
            .map(String::as_str)
            .ok_or_else(|| ClusterError::new(format!("looking for node {node}"), "there is none of this name"))
    }

    fn image(&self, name: &str) -> Result<&str, ClusterError> {
        let missing = || ClusterError::new(format!("looking for image {name}"), "it was not built");
        self.images.get(name).map(String::as_str).ok_or_else(missing)
    }

    async fn sample_of(&self, node: &str, container: &str) -> Result<Option<NodeSample>, ClusterError> {
        self.notice_restarts(node, container).await;
        let life = self.lives.lock().await.get(node).cloned();
        let Some(life) = life else { return Ok(None) };
        let failed = |error: Error| ClusterError::new(format!("sampling {container}"), error.to_string());
        let (of, has_shell): (Vec<Network>, bool) = match self.topology.node(node) {
            Some(node) => (node.addresses.keys().copied().collect(), node.image.reference.is_none()),
            None => (vec![Network::Front], false),
        };
        let asked = Interfaced {
            container,
            place: self.sandboxes.network_of(node, container),
            of: &of,
            has_shell,
            is_service: self.project.is_some() && self.topology.node(node).is_some(),
        };
        let interfaces = match life.interfaces {
            Some(interfaces) => interfaces,
            None => match stats::interfaces(self.engine_of(node), &self.networks, &asked).await {
                Ok(Some(found)) => {
                    if let Some(life) = self.lives.lock().await.get_mut(node) {
                        life.interfaces = Some(found.clone());
                    }
                    found
                }
                // It is starting or ending: the next sample retries.
                Ok(None) | Err(Error::DockerResponseServerError { .. }) => return Ok(None),
                Err(error) => return Err(failed(error)),
            },
        };
        match stats::sample(self.engine_of(node), container, node, life.starts, &interfaces).await {
            Ok(Some(sample)) => Ok(Some(self.sandboxes.since_its_start(sample).await)),
            Ok(None) | Err(Error::DockerResponseServerError { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Counts the starts that a restart policy made: they reset the counters, and may exchange the interfaces.
    async fn notice_restarts(&self, node: &str, container: &str) {
        if self.project.is_none() {
            return;
        }
        let inspected = self.inspect(node, container).await.ok();
        let restarts = inspected.and_then(|inspected| inspected.restart_count).unwrap_or_default();
        if let Some(life) = self.lives.lock().await.get_mut(node).filter(|life| life.restarts < restarts) {
            life.starts += u32::try_from(restarts - life.restarts).unwrap_or_default();
            (life.restarts, life.interfaces) = (restarts, None);
        }
    }

    /// Inspects a container. Podman briefly reports the state `stopped`, which the library does not know: then the
    /// request is repeated.
    async fn inspect(&self, node: &str, container: &str) -> Result<ContainerInspectResponse, Error> {
        let deadline = Instant::now() + UNKNOWN_STATE;
        loop {
            match self.engine_of(node).docker.inspect_container(container, None::<InspectContainerOptions>).await {
                Err(Error::JsonDataError { .. } | Error::JsonSerdeError { .. }) if Instant::now() < deadline => {
                    sleep(UNKNOWN_STATE / 50).await;
                }
                inspected => return inspected,
            }
        }
    }

    async fn container_state(&self, node: &str) -> Result<ContainerState, ClusterError> {
        let container = self.container(node)?;
        let inspected = self.inspect(node, container).await;
        let inspected =
            inspected.map_err(|error| ClusterError::new(format!("inspecting {container}"), error.to_string()))?;
        Ok(inspected.state.unwrap_or_default())
    }

    async fn kill_container(&self, node: &str) -> Result<(), ClusterError> {
        let container = self.container(node)?;
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        let killed = self.engine_of(node).docker.kill_container(container, Some(options)).await;
        killed.map_err(|error| ClusterError::new(format!("killing {container}"), error.to_string()))
    }

    async fn started_at(&self, node: &str, container: &str) -> Result<Option<String>, Error> {
        Ok(self.inspect(node, container).await?.state.and_then(|state| state.started_at))
    }
}

fn unreadable_log(container: &str, error: &Error) -> ClusterError {
    ClusterError::new(format!("reading the log of {container}"), error.to_string())
}

/// Waits for all containers, even if one fails: the engine also completes an abandoned request, and a container that is
/// created after the removal would be left behind.
async fn make_all(
    owner: &Ownership,
    networks: &BTreeMap<Network, String>,
    specs: &[(&Engine, Spec<'_>)],
) -> Result<(Vec<String>, BTreeSet<String>), ClusterError> {
    let made = join_all(specs.iter().map(|(engine, spec)| container::create(engine, owner, networks, spec))).await;
    let made = made.into_iter().collect::<Result<Vec<_>, _>>()?;
    let (names, warnings): (Vec<_>, Vec<_>) = made.into_iter().unzip();
    Ok((names, warnings.into_iter().flatten().collect()))
}

async fn remove(engines: &Engines, owner: &Ownership) -> Result<(), ClusterError> {
    engines.remove(Removal::Trial { run: &owner.run, trial: &owner.trial }).await.map(drop)
}

impl Cluster for DockerCluster {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    fn clock_ahead_ns(&self) -> i64 {
        self.engines.clock_ahead_ns()
    }

    fn first_agent_has_its_clock(&self) -> bool {
        self.engines.is_manager(self.placement.get(AGENT))
    }

    fn host_of(&self, node: &str) -> Option<&str> {
        self.placement.get(node).map(String::as_str)
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.iter().cloned().collect()
    }

    async fn launch(&self) -> Result<(), ClusterError> {
        match &self.project {
            Some(project) => project.start(self.engines.manager(), &self.owner).await,
            None => Ok(()),
        }
    }

    async fn start(&self, node: &str) -> Result<(), ClusterError> {
        let container = self.container(node)?;
        let interfaces = self.lives.lock().await.get(node).and_then(|life| life.interfaces.clone());
        self.sandboxes.start(self.engine_of(node), node, interfaces.as_ref()).await?;
        {
            let mut lives = self.lives.lock().await;
            let life = lives.entry(node.to_owned()).or_default();
            *life = ContainerRun { starts: life.starts + 1, ..ContainerRun::default() };
        }
        let started = self.engine_of(node).start_container(container).await;
        started.map_err(|error| {
            let failed = ClusterError::new(format!("starting {container}"), error.to_string());
            match self.host_of(node) {
                // An overlay that cannot be made shows here first, after 20 s.
                Some(host) => failed.of_host(Some(host)).advise(swarm::NEEDED_TO_ATTACH),
                None => failed,
            }
        })
    }

    async fn kill(&self, node: &str) -> Result<(), ClusterError> {
        // Its network goes first: a machine that is gone refuses nothing and says no goodbye.
        self.sandboxes.kill(self.engine_of(node), node).await?;
        self.kill_container(node).await
    }

    async fn kill_process(&self, node: &str) -> Result<(), ClusterError> {
        if self.project.is_none() {
            return self.kill_container(node).await;
        }
        // From outside of the engine, as a crash: a kill by the engine counts as asked for, and no restart policy acts on it.
        let container = self.container(node)?;
        let failed = |reason: String| ClusterError::new(format!("killing the process of {container}"), reason);
        let state =
            self.inspect(node, container).await.map_err(|error| failed(error.to_string()))?.state.unwrap_or_default();
        let process = state.pid.filter(|pid| *pid > 0).ok_or_else(|| failed("it does not run".to_owned()))?;
        if let Some(life) = self.lives.lock().await.get_mut(node) {
            life.crashed = state.started_at;
        }
        let script = format!("kill -KILL {process}");
        let place = helper::Place::Processes;
        let run = helper::run(self.engine_of(node), &self.owner, self.image(TOOLBOX)?, &place, &script).await;
        match run.map_err(|error| failed(error.to_string()))? {
            (true, _) => Ok(()),
            (false, printed) => Err(failed(printed.trim().to_owned())),
        }
    }
    async fn stop(&self, node: &str, grace: Duration) -> Result<(), ClusterError> {
        let container = self.container(node)?;
        // The engine accepts only whole seconds.
        let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        let stopped = self.engine_of(node).docker.stop_container(container, Some(options)).await;
        stopped.map_err(|error| ClusterError::new(format!("stopping {container}"), error.to_string()))?;
        self.sandboxes.kill(self.engine_of(node), node).await
    }

    async fn pause(&self, node: &str) -> Result<(), ClusterError> {
        let container = self.container(node)?;
        let paused = self.engine_of(node).docker.pause_container(container).await;
        paused.map_err(|error| ClusterError::new(format!("pausing {container}"), error.to_string()))
    }

    async fn resume(&self, node: &str) -> Result<(), ClusterError> {
        let container = self.container(node)?;
        let resumed = self.engine_of(node).docker.unpause_container(container).await;
        resumed.map_err(|error| ClusterError::new(format!("resuming {container}"), error.to_string()))
    }

    async fn recreate(&self, node: &str) -> Result<(), ClusterError> {
        let container = self.container(node)?;
        if self.project.is_some() {
            return compose::recreate(self.engine_of(node), container).await;
        }
        let failed = |error: Error| ClusterError::new(format!("removing {container}"), error.to_string());
        let options = RemoveContainerOptionsBuilder::new().v(true).build();
        match self.engine_of(node).docker.remove_container(container, Some(options)).await {
            // An earlier attempt may have removed it and then failed.
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(error) => return Err(failed(error)),
        }
        let missing = || ClusterError::new(format!("making {node} anew"), "the target has no such node");
        let resolved = self.topology.node(node).ok_or_else(missing)?;
        let sandbox = self.sandboxes.of(node).map(str::to_owned);
        let spec = Spec::node(resolved, self.image(&resolved.image.name)?, &self.cores, sandbox);
        container::create(self.engine_of(node), &self.owner, &self.networks, &spec).await.map(drop)
    }

    async fn configure(&self, node: &str, files: &BTreeMap<String, String>) -> Result<(), ClusterError> {
        container::upload(self.engine_of(node), self.container(node)?, files).await
    }

    async fn limit_cores(&self, node: &str, cores: Option<f64>) -> Result<f64, ClusterError> {
        let container = self.container(node)?;
        let failed = |error: Error| ClusterError::new(format!("limiting the cores of {container}"), error.to_string());
        let usual = self.topology.node(node).map_or(1.0, |node| node.image.cpus);
        limits::limit_cores(self.engine_of(node), container, cores.unwrap_or(usual)).await.map_err(failed)
    }

    async fn run_in_network_of(&self, node: &str, script: &str) -> Result<(bool, String), ClusterError> {
        let container = self.sandboxes.network_of(node, self.container(node)?);
        let image = self.image(TOOLBOX)?;
        let place = helper::Place::Network(format!("container:{container}"));
        let run = helper::run(self.engine_of(node), &self.owner, image, &place, script).await;
        run.map_err(|error| ClusterError::new(format!("working on the network of {node}"), error.to_string()))
    }

    async fn wait_for_exit(&self, node: &str) -> Result<u64, ClusterError> {
        let container = self.container(node)?;
        let failed = |reason: String| ClusterError::new(format!("waiting for the end of {container}"), reason);
        let crashed = self.lives.lock().await.get(node).and_then(|life| life.crashed.clone());
        let started = match crashed {
            Some(started) => Some(started),
            None => self.started_at(node, container).await.map_err(|error| failed(error.to_string()))?,
        };
        let since: jiff::Timestamp =
            started.unwrap_or_default().parse().map_err(|error| failed(format!("no time of its start: {error}")))?;
        let since = format!("{}.{:09}", since.as_second(), since.subsec_nanosecond());
        let filters = HashMap::from([("container", vec![container]), ("event", vec!["die"])]);
        let options = EventsOptionsBuilder::new().since(&since).filters(&filters).build();
        let mut events = std::pin::pin!(self.engine_of(node).docker.events(Some(options)));
        let event = events.next().await.ok_or_else(|| failed("the engine ended its events".to_owned()))?;
        let event = event.map_err(|error| failed(error.to_string()))?;
        event
            .time_nano
            .and_then(|time| u64::try_from(time).ok())
            .map(|time| self.engine_of(node).by_the_runs_clock(time))
            .ok_or_else(|| failed("its event has no time".to_owned()))
    }

    async fn state_of(&self, node: &str) -> Result<NodeState, ClusterError> {
        let state = self.container_state(node).await?;
        Ok(match (state.running, state.paused) {
            (_, Some(true)) => NodeState::Paused,
            (Some(true), _) => NodeState::Running,
            _ => NodeState::Ended,
        })
    }

    async fn is_healthy(&self, node: &str) -> Result<Result<(), String>, ClusterError> {
        Ok(health::judge(self.container_state(node).await?))
    }

    async fn ran_out_of_memory(&self, node: &str) -> Result<bool, ClusterError> {
        Ok(self.container_state(node).await?.oom_killed.unwrap_or_default())
    }

    async fn execute(&self, node: &str, command: &[String]) -> Result<bool, ClusterError> {
        let container = self.container(node)?;
        match exec::execute(self.engine_of(node), container, command).await {
            Ok((code, _)) => Ok(code == 0),
            Err(error) => Err(ClusterError::new(format!("running {command:?} in {container}"), error.to_string())),
        }
    }

    async fn sample(&self) -> Result<Vec<NodeSample>, ClusterError> {
        let samples = self.containers.iter().map(|(node, container)| self.sample_of(node, container));
        Ok(try_join_all(samples).await?.into_iter().flatten().collect())
    }

    async fn sample_links(&self) -> Result<Vec<LinkSample>, ClusterError> {
        let nodes = &self.topology.nodes;
        let of_node = async |node: &Node| {
            let sandbox = self.sandboxes.of(&node.name).filter(|_| self.engines.has_hosts())?;
            let began = unix_ns();
            let (code, printed) = exec::execute(self.engine_of(&node.name), sandbox, &links::reading()).await.ok()?;
            // The counters were read somewhere between.
            let unix_ns = began.midpoint(unix_ns()).saturating_add_signed(self.clock_ahead_ns());
            let sent = if code == 0 { links::read(&printed, node, nodes, &self.placement) } else { BTreeMap::new() };
            let sample = |(to, sent_bytes)| LinkSample { from: node.name.clone(), to, unix_ns, sent_bytes };
            Some(sent.into_iter().map(sample).collect::<Vec<_>>())
        };
        Ok(join_all(nodes.iter().map(of_node)).await.into_iter().flatten().flatten().collect())
    }

    async fn log(&self, node: &str, last_lines: Option<usize>) -> Result<String, ClusterError> {
        let container = self.container(node)?;
        let log = logs::read(self.engine_of(node), container, last_lines).await;
        log.map_err(|error| unreadable_log(container, &error))
    }

    fn log_pieces(&self, node: &str) -> impl Stream<Item = Result<Bytes, ClusterError>> + Send {
        let of_container = move |container| {
            let pieces = logs::pieces(self.engine_of(node), container, None);
            pieces.map_err(move |error| unreadable_log(container, &error))
        };
        stream::iter([self.container(node)]).map_ok(of_container).try_flatten()
    }

    async fn open_agent(&self, number: usize) -> Result<Channel, ClusterError> {
        let agent = agent_name(number);
        let attached = attach(self.engine_of(&agent), self.container(&agent)?).await?;
        self.start(&agent).await?;
        Ok(attached.channel())
    }

    async fn destroy(&self) -> Result<(), ClusterError> {
        remove(&self.engines, &self.owner).await
    }
}
