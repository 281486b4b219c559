//! A system of the user's that runs already. Its nodes are killed and started by the user's own commands; the agent is a process
//! of this machine. What only an engine knows, such as bytes and memory, is not known here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::docker::{Engines, RemoteAgents};
use super::process::{Child, Log};
use super::reaper::Reaper;
use super::{AGENT, Channel, Cluster, ClusterError, NodeState, last_of, unix_ns};
use crate::commands::Program;
use crate::history::NodeSample;
use crate::topology::{
    Action, Attached, AttachedNode, CoreSets, HostPort, Network, Node, Shape, Subnets, Target, Topology,
};

/// How long a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// How long looking up a name may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a node may answer after the command that ended it.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a node may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// The pause between two looks at whether it still answers.
const PAUSE: Duration = Duration::from_millis(50);

/// A system that runs already.
pub struct AttachedCluster {
    program: PathBuf,
    topology: Topology,
    attached: Attached,
    cores: CoreSets,
    /// What was done to nodes, by their names.
    states: Mutex<BTreeMap<String, Done>>,
    agents: Mutex<Vec<Child>>,
    /// Agents on other machines; without them, they are processes here.
    remote_agents: Option<RemoteAgents>,
}

/// What was done to a node and not undone.
struct Done {
    state: NodeState,
    at_unix_ns: u64,
    /// Undoes it if this process cannot.
    guard: Option<Reaper>,
}

/// The address behind a name.
///
/// # Errors
/// When it is not known, or has no address of version 4.
pub async fn resolve(address: &HostPort) -> Result<Ipv4Addr, ClusterError> {
    let failed = |reason: String| ClusterError::new(format!("looking up {address}"), reason);
    let found = timeout(LOOKUP_TIMEOUT, lookup_host((address.host.as_str(), address.port))).await;
    let found = found.map_err(|_| failed(format!("no reply within {} s", LOOKUP_TIMEOUT.as_secs())))?;
    let mut found = found.map_err(|error| failed(error.to_string()))?;
    let first = found.find_map(|socket| match socket.ip() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    });
    first.ok_or_else(|| failed("it has no IPv4 address".to_owned()))
}

impl AttachedCluster {
    /// Looks up the addresses of a target that runs already. Does nothing to it.
    ///
    /// # Errors
    /// When an address is not known.
    pub async fn create(
        program: &Path,
        target: &Target,
        attached: &Attached,
        agents: u8,
        cores: &CoreSets,
    ) -> Result<Self, ClusterError> {
        let app_nodes = u8::try_from(attached.app_nodes()).unwrap_or(u8::MAX);
        let shape = Shape { agents, ..Shape::from(app_nodes) };
        let mut topology = Topology::resolve(target, shape, Subnets::Localhost)?;
        for node in &mut topology.nodes {
            let address = attached.node(node.tier, node.number).and_then(|node| node.address.as_ref());
            (node.addresses, node.ports) = (BTreeMap::new(), BTreeMap::new());
            if let Some(address) = address {
                node.addresses.insert(Network::Front, resolve(address).await?);
                node.ports.insert(Network::Front, address.port);
                node.also_called = vec![address.host.clone(), address.to_string()];
            }
        }
        Ok(Self {
            program: program.to_owned(),
            topology,
            attached: attached.clone(),
            cores: cores.clone(),
            states: Mutex::default(),
            agents: Mutex::default(),
            remote_agents: None,
        })
    }

    /// The same, whose agents are on the machines of these engines, in containers of a run and a trial.
    ///
    /// # Errors
    /// When one of its addresses is this machine's own, which others do not reach, or an engine refuses something.
    pub async fn from_other_machines(
        self,
        engines: &Engines,
        of: (&str, &str),
        images: &BTreeMap<String, String>,
    ) -> Result<Self, ClusterError> {
        let sockets = || self.topology.nodes.iter().filter_map(Node::socket);
        if let Some(socket) = sockets().find(|socket| socket.ip().is_loopback()) {
            let reason = format!("{socket} is an address of this machine that the hosts do not reach");
            return Err(ClusterError::new(format!("reaching {} from the hosts", self.topology.target.name), reason)
                .advise("give the address that other machines use, or leave --hosts out"));
        }
        let agents = RemoteAgents::create(engines, of, self.topology.agents, images, &self.cores).await?;
        Ok(Self { remote_agents: Some(agents), ..self })
    }

    fn parts_of(&self, name: &str) -> Result<(&Node, &AttachedNode), ClusterError> {
        let missing = || ClusterError::new(format!("looking for node {name}"), "there is none of this name");
        let node = self.topology.node(name).ok_or_else(missing)?;
        Ok((node, self.attached.node(node.tier, node.number).ok_or_else(missing)?))
    }

    fn command(&self, name: &str, action: Action) -> Result<&Program, ClusterError> {
        let (node, attached) = self.parts_of(name)?;
        attached.commands.get(&action).ok_or_else(|| {
            ClusterError::new(format!("{action} of {name}"), "the target file has no command for it")
                .advise(format!("give `{action}` in `attached.{}`", node.tier))
        })
    }

    async fn run(&self, name: &str, action: Action, within: Duration) -> Result<String, ClusterError> {
        let command = self.command(name, action)?;
        let variables = self.parts_of(name)?.0.variables();
        let failed = |reason| ClusterError::new(format!("{action} of {name}: `{}`", command.shown()), reason);
        command.run(&variables, within).await.map_err(failed)
    }

    /// Does something to a node that has to be undone, and makes sure that it is undone if this process ends before.
    async fn hurt(&self, name: &str, (action, undo): (Action, Action), within: Duration) -> Result<(), ClusterError> {
        let guard = match self.command(name, undo) {
            Ok(undo) => Some(Reaper::start_for(&self.program, undo, self.parts_of(name)?.0)?),
            // A node that leaves is not started again.
            Err(_) => None,
        };
        let result = self.run(name, action, within).await;
        let state = if action == Action::Pause { NodeState::Paused } else { NodeState::Ended };
        // A command that failed may have had its effect in part, so it is undone too.
        let done = Done { state, at_unix_ns: unix_ns(), guard };
        self.states.lock().await.insert(name.to_owned(), done);
        result.map(drop)
    }

    async fn undo(&self, name: &str, action: Action) -> Result<(), ClusterError> {
        if !self.states.lock().await.contains_key(name) {
            return Ok(());
        }
        self.run(name, action, COMMAND_TIMEOUT).await?;
        let done = self.states.lock().await.remove(name);
        if let Some(guard) = done.and_then(|done| done.guard) {
            guard.dismiss();
        }
        Ok(())
    }
}

/// The error for operations that need an engine. A plan says so first, so users should never see it.
fn unsupported(doing: String) -> ClusterError {
    ClusterError::new(doing, "no command of an attached system can do it")
}

impl Cluster for AttachedCluster {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    /// It runs already, unless it was killed here.
    async fn start(&self, node: &str) -> Result<(), ClusterError> {
        self.undo(node, Action::Start).await
    }

    async fn kill(&self, node: &str) -> Result<(), ClusterError> {
        self.hurt(node, (Action::Kill, Action::Start), COMMAND_TIMEOUT).await
    }

    async fn kill_process(&self, node: &str) -> Result<(), ClusterError> {
        self.kill(node).await
    }

    async fn stop(&self, node: &str, grace: Duration) -> Result<(), ClusterError> {
        self.hurt(node, (Action::Stop, Action::Start), COMMAND_TIMEOUT + grace).await
    }

    async fn pause(&self, node: &str) -> Result<(), ClusterError> {
        self.hurt(node, (Action::Pause, Action::Resume), COMMAND_TIMEOUT).await
    }

    async fn resume(&self, node: &str) -> Result<(), ClusterError> {
        self.undo(node, Action::Resume).await
    }

    async fn recreate(&self, node: &str) -> Result<(), ClusterError> {
        Err(unsupported(format!("making {node} anew")))
    }

    async fn configure(&self, node: &str, _: &BTreeMap<String, String>) -> Result<(), ClusterError> {
        Err(unsupported(format!("configuring {node}")))
    }

    async fn limit_cores(&self, node: &str, _: Option<f64>) -> Result<f64, ClusterError> {
        Err(unsupported(format!("limiting the cores of {node}")))
    }

    async fn run_in_network_of(&self, node: &str, _: &str) -> Result<(bool, String), ClusterError> {
        Err(unsupported(format!("working on the network of {node}")))
    }

    /// The command says that the node has ended; where it has an address, it must refuse or not answer.
    async fn wait_for_exit(&self, node: &str) -> Result<u64, ClusterError> {
        let failed = |reason: &str| ClusterError::new(format!("waiting for the end of {node}"), reason);
        let ended = self.states.lock().await.get(node).map(|done| done.at_unix_ns);
        let ended = ended.ok_or_else(|| failed("nothing was done to it"))?;
        let Some(socket) = self.parts_of(node)?.0.socket() else { return Ok(ended) };
        let deadline = Instant::now() + END_TIMEOUT;
        while timeout(CONNECT_TIMEOUT, TcpStream::connect(socket)).await.is_ok_and(|connected| connected.is_ok()) {
            if Instant::now() > deadline {
                return Err(failed("it still takes connections after the command that should end it"));
            }
            sleep(PAUSE).await;
        }
        Ok(ended)
    }

    async fn state_of(&self, node: &str) -> Result<NodeState, ClusterError> {
        self.parts_of(node)?;
        Ok(self.states.lock().await.get(node).map_or(NodeState::Running, |done| done.state))
    }

    async fn ran_out_of_memory(&self, _: &str) -> Result<bool, ClusterError> {
        Ok(false)
    }

    async fn execute(&self, node: &str, command: &[String]) -> Result<bool, ClusterError> {
        Err(unsupported(format!("running {command:?} in {node}")))
    }

    async fn sample(&self) -> Result<Vec<NodeSample>, ClusterError> {
        Ok(Vec::new())
    }

    async fn log(&self, node: &str, last_lines: Option<usize>) -> Result<String, ClusterError> {
        if self.command(node, Action::Log).is_err() {
            return Ok("the target file has no command `log` for this node\n".to_owned());
        }
        Ok(last_of(&self.run(node, Action::Log, COMMAND_TIMEOUT).await?, last_lines))
    }

    fn first_agent_has_its_clock(&self) -> bool {
        self.remote_agents.is_none()
    }

    fn host_of(&self, node: &str) -> Option<&str> {
        self.remote_agents.as_ref()?.host_of(node)
    }

    async fn open_agent(&self, number: usize) -> Result<Channel, ClusterError> {
        if let Some(agents) = &self.remote_agents {
            return agents.open(number).await;
        }
        let started = Child::start(&self.program, &[AGENT], &Log::default(), self.cores.agent.as_ref());
        let (child, pipes) = started.map_err(|error| ClusterError::new("starting the agent", error.to_string()))?;
        self.agents.lock().await.push(child);
        Ok(Channel { input: Box::pin(pipes.input), output: Box::pin(pipes.output) })
    }

    /// Ends the agents, and undoes what was done to nodes and not undone. The system itself stays.
    async fn destroy(&self) -> Result<(), ClusterError> {
        for agent in self.agents.lock().await.drain(..) {
            let _ = agent.signal(rustix::process::Signal::KILL);
            let _ = timeout(END_TIMEOUT, agent.wait()).await;
        }
        let removed = match &self.remote_agents {
            Some(agents) => agents.destroy().await,
            None => Ok(()),
        };
        let hurt: Vec<(String, NodeState)> = {
            let states = self.states.lock().await;
            states
                .iter()
                .filter(|(_, done)| done.guard.is_some())
                .map(|(name, done)| (name.clone(), done.state))
                .collect()
        };
        for (name, state) in hurt {
            let undo = if state == NodeState::Paused { Action::Resume } else { Action::Start };
            self.undo(&name, undo).await?;
        }
        removed
    }
}
