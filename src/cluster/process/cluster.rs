//! Runs a target as child processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::addresses::{Claim, Ports};
use super::child::{Asker, Child, Log};
use super::usage::{self, Usage};
use crate::cluster::reaper::Reaper;
use crate::cluster::{AGENT, Channel, Cluster, ClusterError, NodeState, agent_name, last_of, unix_ns};
use crate::history::{NodeSample, Traffic};
use crate::reference::counters::Counts;
use crate::topology::{CoreSets, Network, Node, Shape, Target, Tier, Topology};

/// How long a node may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a process may take to end after SIGKILL.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A target that runs as child processes.
pub struct ProcessCluster {
    program: PathBuf,
    topology: Topology,
    _claim: Claim,
    /// The folder of the store's file, if there is one.
    folder: Option<TempDir>,
    /// Removes the folder if this process cannot.
    reaper: Option<Reaper>,
    nodes: BTreeMap<String, NodeProcess>,
    cores: CoreSets,
}

/// A node over all its starts.
#[derive(Default)]
struct NodeProcess {
    log: Log,
    /// Its configuration since it was configured anew.
    config: Mutex<Option<String>>,
    life: Mutex<Option<RunningProcess>>,
}

/// A node since its last start.
struct RunningProcess {
    starts: u32,
    child: Child,
    /// `None` for the agent, because its pipes are the control channel.
    asker: Option<Asker>,
}

impl ProcessCluster {
    /// Chooses addresses and ports for a target, but starts no node. `program` is this program's own file.
    ///
    /// # Errors
    /// When the target has real products, or no addresses or ports are free.
    pub fn create(
        program: &Path,
        target: &Target,
        shape: impl Into<Shape>,
        cores: &CoreSets,
    ) -> Result<Self, ClusterError> {
        if !target.is_reference() {
            return Err(ClusterError::new(
                format!("starting {} as processes", target.name),
                "its nodes are real products, which run in containers",
            )
            .advise(format!(
                "start a Docker engine, or take the reference target of the same strategy, {}",
                target.stand_in_name()
            )));
        }
        let claim = Claim::first_free()?;
        claim.check(target)?;
        let mut ports = Ports::default();
        let topology = Topology::resolve_with(target, shape, claim.subnets, |address, preferred| {
            ports.settle(address, preferred)
        })?;
        let has_store = target.tiers.contains_key(&Tier::Store);
        let folder = has_store.then(|| tempfile::Builder::new().prefix("steadfast-").tempdir()).transpose();
        let folder = folder.map_err(|error| ClusterError::new("making a temporary folder", error.to_string()))?;
        let path = folder.as_ref().map(|folder| folder.path().to_string_lossy());
        let reaper = path.map(|path| Reaper::start(program, &["--folder", &path], &[])).transpose()?;
        let names = topology.nodes.iter().map(|node| node.name.clone()).chain((0..topology.agents).map(agent_name));
        let nodes = names.map(|name| (name, NodeProcess::default())).collect();
        Ok(Self { program: program.to_owned(), topology, _claim: claim, folder, reaper, nodes, cores: cores.clone() })
    }

    fn process(&self, node: &str) -> Result<&NodeProcess, ClusterError> {
        let missing = || ClusterError::new(format!("looking for node {node}"), "there is none of this name");
        self.nodes.get(node).ok_or_else(missing)
    }

    async fn signal(&self, node: &str, signal: Signal, doing: &str) -> Result<(), ClusterError> {
        let life = self.process(node)?.life.lock().await;
        let failed = |reason: String| ClusterError::new(format!("{doing} {node}"), reason);
        let life = life.as_ref().ok_or_else(|| failed("it was never started".to_owned()))?;
        life.child.signal(signal).map_err(|error| failed(error.to_string()))
    }

    fn start_node(&self, node: &Node, log: &Log, config: Option<&str>) -> std::io::Result<(Child, Asker)> {
        let role = node.tier.to_string();
        let store_file =
            self.folder.as_ref().map(|folder| folder.path().join("changes").to_string_lossy().into_owned());
        let mut arguments = vec!["node", role.as_str(), "--driven"];
        arguments.extend(store_file.iter().flat_map(|file| ["--store-file", file.as_str()]));
        let (child, pipes) = Child::start(&self.program, &arguments, log, self.cores.target.as_ref())?;
        let from_the_target = || node.files.values().next().map_or("", String::as_str);
        Ok((child, Asker::new(pipes, config.unwrap_or_else(from_the_target))))
    }

    async fn sample_of(&self, name: &str) -> Option<(NodeSample, Counts)> {
        let mut life = self.nodes.get(name)?.life.lock().await;
        let life = life.as_mut()?;
        if life.child.end().is_some() {
            return None;
        }
        let counts = match &mut life.asker {
            Some(asker) => asker.counts().await,
            None => Counts::default(),
        };
        let Usage { resident_bytes, cpu_ns } = usage::of(life.child.pid())?;
        let networks = match self.topology.node(name) {
            Some(node) => node.addresses.keys().map(|network| (*network, traffic(&counts, *network))).collect(),
            None => BTreeMap::new(),
        };
        let sample = NodeSample {
            node: name.to_owned(),
            unix_ns: unix_ns(),
            starts: life.starts,
            resident_bytes: Some(resident_bytes),
            cpu_ns: Some(cpu_ns),
            networks,
        };
        Some((sample, counts))
    }
}

/// A node's traffic on a network. A balancer's traffic with clients is front traffic.
fn traffic(counts: &Counts, network: Network) -> Traffic {
    match network {
        Network::Front => Traffic {
            received_bytes: counts.front.received_bytes + counts.clients.received_bytes,
            sent_bytes: counts.front.sent_bytes + counts.clients.sent_bytes,
        },
        Network::Cluster => counts.cluster,
        Network::Store => counts.store,
    }
}

/// The agent has no counters. It sent what the balancers received from their clients, and vice versa, because nothing
/// is between them.
fn add_agents_traffic(samples: &mut [(NodeSample, Counts)], topology: &Topology) {
    let balancers: Vec<&str> = topology.tier(Tier::Balancer).map(|node| node.name.as_str()).collect();
    let of_clients = samples.iter().filter(|(sample, _)| balancers.contains(&sample.node.as_str()));
    let with_clients = of_clients.fold(Traffic::default(), |sum, (_, counts)| Traffic {
        received_bytes: sum.received_bytes + counts.clients.sent_bytes,
        sent_bytes: sum.sent_bytes + counts.clients.received_bytes,
    });
    for (sample, _) in samples.iter_mut().filter(|(sample, _)| sample.node == AGENT) {
        sample.networks.insert(Network::Front, with_clients);
    }
}

/// The error for operations that need containers. A run checks first, so users should never see it.
fn unsupported(doing: String) -> ClusterError {
    ClusterError::new(doing, "nodes that are processes share the machine's network, disk and cores")
        .advise("run it on a Docker engine")
}

impl Drop for ProcessCluster {
    /// The folder is removed with this value, and needs no reaper.
    fn drop(&mut self) {
        if let Some(reaper) = self.reaper.take() {
            reaper.dismiss();
        }
    }
}

impl Cluster for ProcessCluster {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    async fn start(&self, node: &str) -> Result<(), ClusterError> {
        let process = self.process(node)?;
        let failed = |reason: String| ClusterError::new(format!("starting {node}"), reason);
        let resolved = self.topology.node(node).ok_or_else(|| failed("the target has no such node".to_owned()))?;
        let mut life = process.life.lock().await;
        if life.as_ref().is_some_and(|life| life.child.end().is_none()) {
            return Ok(());
        }
        let starts = life.as_ref().map_or(0, |life| life.starts) + 1;
        let config = process.config.lock().await.clone();
        let started = self.start_node(resolved, &process.log, config.as_deref());
        let (child, asker) = started.map_err(|error| failed(error.to_string()))?;
        *life = Some(RunningProcess { starts, child, asker: Some(asker) });
        Ok(())
    }

    async fn kill(&self, node: &str) -> Result<(), ClusterError> {
        self.signal(node, Signal::KILL, "killing").await
    }

    async fn kill_process(&self, node: &str) -> Result<(), ClusterError> {
        // The host is this machine, which is never killed.
        self.kill(node).await
    }

    async fn stop(&self, node: &str, grace: Duration) -> Result<(), ClusterError> {
        self.signal(node, Signal::TERM, "stopping").await?;
        let child = self.process(node)?.life.lock().await.as_ref().map(|life| life.child.clone());
        match child {
            Some(child) if timeout(grace, child.wait()).await.is_err() => self.kill(node).await,
            _ => Ok(()),
        }
    }

    async fn pause(&self, node: &str) -> Result<(), ClusterError> {
        self.signal(node, Signal::STOP, "pausing").await
    }

    async fn resume(&self, node: &str) -> Result<(), ClusterError> {
        self.signal(node, Signal::CONT, "resuming").await
    }

    async fn recreate(&self, node: &str) -> Result<(), ClusterError> {
        Err(unsupported(format!("making {node} anew")))
    }

    async fn configure(&self, node: &str, files: &BTreeMap<String, String>) -> Result<(), ClusterError> {
        *self.process(node)?.config.lock().await = files.values().next().cloned();
        Ok(())
    }

    async fn limit_cores(&self, node: &str, _: Option<f64>) -> Result<f64, ClusterError> {
        Err(unsupported(format!("limiting the cores of {node}")))
    }

    async fn run_in_network_of(&self, node: &str, _: &str) -> Result<(bool, String), ClusterError> {
        Err(unsupported(format!("working on the network of {node}")))
    }

    async fn wait_for_exit(&self, node: &str) -> Result<u64, ClusterError> {
        let process = self.process(node)?;
        let failed = |reason: &str| ClusterError::new(format!("waiting for the end of {node}"), reason);
        let child = {
            let life = process.life.lock().await;
            life.as_ref().ok_or_else(|| failed("it was never started"))?.child.clone()
        };
        let end = child.wait().await.ok_or_else(|| failed("its exit status is not available"))?;
        Ok(end.unix_ns)
    }

    async fn state_of(&self, node: &str) -> Result<NodeState, ClusterError> {
        let life = self.process(node)?.life.lock().await;
        Ok(match life.as_ref() {
            None => NodeState::Ended,
            Some(life) if life.child.end().is_some() => NodeState::Ended,
            Some(life) if usage::is_stopped(life.child.pid()) => NodeState::Paused,
            Some(_) => NodeState::Running,
        })
    }

    async fn ran_out_of_memory(&self, _: &str) -> Result<bool, ClusterError> {
        // Processes have no memory limit of their own.
        Ok(false)
    }

    async fn execute(&self, node: &str, command: &[String]) -> Result<bool, ClusterError> {
        // The only command of reference nodes checks whether they accept connections, which is possible from here.
        let asked = format!("running {command:?} in {node}");
        let missing = || ClusterError::new(asked, "the target has no such node");
        let socket = self.topology.node(node).and_then(Node::socket).ok_or_else(missing)?;
        Ok(timeout(CONNECT_TIMEOUT, TcpStream::connect(socket)).await.is_ok_and(|connected| connected.is_ok()))
    }

    async fn sample(&self) -> Result<Vec<NodeSample>, ClusterError> {
        let samples = join_all(self.nodes.keys().map(|name| self.sample_of(name))).await;
        let mut samples: Vec<_> = samples.into_iter().flatten().collect();
        add_agents_traffic(&mut samples, &self.topology);
        Ok(samples.into_iter().map(|(sample, _)| sample).collect())
    }

    async fn log(&self, node: &str, last_lines: Option<usize>) -> Result<String, ClusterError> {
        Ok(last_of(&self.process(node)?.log.text(), last_lines))
    }

    async fn open_agent(&self, number: usize) -> Result<Channel, ClusterError> {
        let process = self.process(&agent_name(number))?;
        let started = Child::start(&self.program, &[AGENT], &process.log, self.cores.agent.as_ref());
        let (child, pipes) = started.map_err(|error| ClusterError::new("starting the agent", error.to_string()))?;
        *process.life.lock().await = Some(RunningProcess { starts: 1, child, asker: None });
        Ok(Channel { input: Box::pin(pipes.input), output: Box::pin(pipes.output) })
    }

    async fn destroy(&self) -> Result<(), ClusterError> {
        let mut stubborn = Vec::new();
        for (name, process) in &self.nodes {
            let child = process.life.lock().await.as_ref().map(|life| life.child.clone());
            let Some(child) = child else { continue };
            let _ = child.signal(Signal::KILL);
            if timeout(END_TIMEOUT, child.wait()).await.is_err() {
                stubborn.push(format!("{name} (process {})", child.pid()));
            }
        }
        if stubborn.is_empty() {
            return Ok(());
        }
        Err(ClusterError::new("ending the nodes", format!("still there after SIGKILL: {}", stubborn.join(", "))))
    }
}
