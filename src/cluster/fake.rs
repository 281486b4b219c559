//! A cluster without processes, for tests of code that uses clusters. Nodes are flags; the agent is a task that speaks
//! the real protocol over a pipe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::{Channel, Cluster, ClusterError, NodeState};
use crate::agent::protocol::{Command, Message, Walk};
use crate::history::{GeneratorHealth, NodeSample, Settled};
use crate::topology::{Subnets, Target, Topology};

/// The fake agent's history.
pub const HISTORY: &[u8] = b"not looked at";

/// Nodes as flags in memory.
pub struct FakeCluster {
    topology: Topology,
    running: Arc<Mutex<BTreeSet<String>>>,
    paused: Mutex<BTreeSet<String>>,
    /// Nodes that were recreated.
    pub recreated: Mutex<BTreeSet<String>>,
    /// Configuration files that nodes have got since.
    pub configured: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
    /// Scripts that were run: (node, script).
    pub scripts: Mutex<Vec<(String, String)>>,
    /// Nodes that ran out of memory.
    pub starved: Mutex<BTreeSet<String>>,
    /// How many of the next pauses fail.
    pub pauses_refused: Mutex<u32>,
    /// Whether nodes have more memory than a fault fills.
    pub is_roomy: bool,
    /// Every script's output.
    pub printed: String,
    /// Nodes on which SIGKILL has no effect.
    pub immortal: BTreeSet<String>,
    /// Nodes that end right after their start.
    pub stillborn: BTreeSet<String>,
    /// The host of each node that has one.
    pub hosts: BTreeMap<String, String>,
}

impl FakeCluster {
    /// A target with three app nodes, none of them started.
    #[must_use]
    pub fn of(target: &str) -> Self {
        let target = Target::find(target).unwrap();
        let topology = Topology::resolve(&target, 3, Subnets::candidates(None)[0]).unwrap();
        Self {
            topology,
            running: Arc::default(),
            paused: Mutex::default(),
            recreated: Mutex::default(),
            configured: Mutex::default(),
            scripts: Mutex::default(),
            starved: Mutex::default(),
            pauses_refused: Mutex::default(),
            is_roomy: false,
            printed: String::new(),
            immortal: BTreeSet::new(),
            stillborn: BTreeSet::new(),
            hosts: BTreeMap::new(),
        }
    }

    /// Puts nodes on a host.
    pub fn on_one_host(&mut self, host: &str, nodes: &[&str]) {
        self.hosts.extend(nodes.iter().map(|node| ((*node).to_owned(), host.to_owned())));
    }

    /// The names of the running nodes.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        self.running.lock().unwrap().iter().cloned().collect()
    }
}

impl Cluster for FakeCluster {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    fn host_of(&self, node: &str) -> Option<&str> {
        self.hosts.get(node).map(String::as_str)
    }

    async fn start(&self, node: &str) -> Result<(), ClusterError> {
        if !self.stillborn.contains(node) {
            self.running.lock().unwrap().insert(node.to_owned());
        }
        Ok(())
    }

    async fn kill(&self, node: &str) -> Result<(), ClusterError> {
        if !self.immortal.contains(node) {
            self.running.lock().unwrap().remove(node);
        }
        Ok(())
    }

    async fn kill_process(&self, node: &str) -> Result<(), ClusterError> {
        self.kill(node).await
    }

    async fn stop(&self, node: &str, _: Duration) -> Result<(), ClusterError> {
        self.kill(node).await
    }

    async fn pause(&self, node: &str) -> Result<(), ClusterError> {
        let mut refused = self.pauses_refused.lock().unwrap();
        if let Some(left) = refused.checked_sub(1) {
            *refused = left;
            return Err(ClusterError::new(format!("pausing {node}"), "unable to freeze"));
        }
        if self.running.lock().unwrap().remove(node) {
            self.paused.lock().unwrap().insert(node.to_owned());
        }
        Ok(())
    }

    async fn resume(&self, node: &str) -> Result<(), ClusterError> {
        if self.paused.lock().unwrap().remove(node) {
            self.running.lock().unwrap().insert(node.to_owned());
        }
        Ok(())
    }

    async fn recreate(&self, node: &str) -> Result<(), ClusterError> {
        self.recreated.lock().unwrap().insert(node.to_owned());
        Ok(())
    }

    async fn configure(&self, node: &str, files: &BTreeMap<String, String>) -> Result<(), ClusterError> {
        if self.running.lock().unwrap().contains(node) {
            return Err(ClusterError::new(format!("configuring {node}"), "it runs"));
        }
        self.configured.lock().unwrap().insert(node.to_owned(), files.clone());
        Ok(())
    }

    async fn limit_cores(&self, node: &str, cores: Option<f64>) -> Result<f64, ClusterError> {
        let usual = self.topology.node(node).map_or(1.0, |node| node.image.cpus);
        Ok(cores.unwrap_or(usual))
    }

    async fn run_in_network_of(&self, node: &str, script: &str) -> Result<(bool, String), ClusterError> {
        self.scripts.lock().unwrap().push((node.to_owned(), script.to_owned()));
        Ok((true, self.printed.clone()))
    }

    async fn wait_for_exit(&self, node: &str) -> Result<u64, ClusterError> {
        while self.state_of(node).await? == NodeState::Running {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap())
    }

    async fn state_of(&self, node: &str) -> Result<NodeState, ClusterError> {
        let runs = self.running.lock().unwrap().contains(node);
        let is_paused = self.paused.lock().unwrap().contains(node);
        Ok(match (runs, is_paused) {
            (true, _) => NodeState::Running,
            (false, true) => NodeState::Paused,
            (false, false) => NodeState::Ended,
        })
    }

    async fn ran_out_of_memory(&self, node: &str) -> Result<bool, ClusterError> {
        Ok(self.starved.lock().unwrap().contains(node))
    }

    async fn execute(&self, node: &str, command: &[String]) -> Result<bool, ClusterError> {
        if command.iter().any(|part| part.contains("oom_score_adj")) && !self.is_roomy {
            self.starved.lock().unwrap().insert(node.to_owned());
            self.kill(node).await?;
        }
        Ok(self.state_of(node).await? == NodeState::Running)
    }

    async fn sample(&self) -> Result<Vec<NodeSample>, ClusterError> {
        Ok(Vec::new())
    }

    async fn log(&self, node: &str, _: Option<usize>) -> Result<String, ClusterError> {
        Ok(format!("the log of {node}\n"))
    }

    async fn open_agent(&self, _number: usize) -> Result<Channel, ClusterError> {
        let (ours, theirs) = tokio::io::duplex(4096);
        let names = self.topology.nodes.iter().filter_map(|node| Some((node.socket()?.to_string(), node.name.clone())));
        let agent = FakeAgent { names: names.collect(), running: Arc::clone(&self.running) };
        tokio::spawn(agent.serve(theirs));
        let (output, input) = tokio::io::split(ours);
        Ok(Channel { input: Box::pin(input), output: Box::pin(output) })
    }

    async fn destroy(&self) -> Result<(), ClusterError> {
        self.running.lock().unwrap().clear();
        Ok(())
    }
}

struct FakeAgent {
    names: Vec<(String, String)>,
    running: Arc<Mutex<BTreeSet<String>>>,
}

impl FakeAgent {
    async fn serve(self, stream: DuplexStream) {
        let (input, mut output) = tokio::io::split(stream);
        let mut lines = BufReader::new(input).lines();
        say(&mut output, &Message::Ready).await;
        while let Ok(Some(line)) = lines.next_line().await {
            match serde_json::from_str(&line).unwrap() {
                Command::Probe { id, url, .. } => say(&mut output, &self.probe(id, &url)).await,
                Command::TellTime => say(&mut output, &Message::Time { unix_ns: now_ns() }).await,
                Command::Load(_) => say(&mut output, &Message::Prepared).await,
                Command::Start { unix_ns } => {
                    say(&mut output, &Message::Started { unix_ns: unix_ns.unwrap_or_else(now_ns) }).await;
                    say(
                        &mut output,
                        &Message::LoadDone(GeneratorHealth { offered: 10, started: 10, ..GeneratorHealth::default() }),
                    )
                    .await;
                }
                Command::Preflight { .. } => say(&mut output, &Message::PreflightDone { failures: Vec::new() }).await,
                Command::Register(_) => say(&mut output, &Message::Registered { failure: None }).await,
                Command::Walk { .. } => say(&mut output, &Message::Walked(Walk::default())).await,
                Command::FinalRead { .. } => {
                    let settled = Settled { rounds: 2, took_ms: 10, has_settled: true };
                    say(&mut output, &Message::FinalReadDone { sessions: 5, unanswered: 1, settled }).await;
                }
                Command::History => {
                    say(&mut output, &Message::History { bytes: HISTORY.len() as u64 }).await;
                    output.write_all(HISTORY).await.unwrap();
                }
            }
        }
    }

    fn probe(&self, id: u64, url: &str) -> Message {
        let running = self.running.lock().unwrap();
        let asked = self.names.iter().find(|(address, _)| url.contains(&format!("//{address}")));
        if asked.is_none_or(|(_, name)| !running.contains(name)) {
            return Message::Probed { id, status: None, text: "connection refused".into() };
        }
        let members: Vec<String> = running.iter().map(|name| format!("\"{name}\"")).collect();
        let text = format!(
            "{{\"node\":\"x\",\"boot\":\"b\",\"members\":[{}],\"heap_bytes\":7,\"sessions\":{{\"primary\":1,\"backup\":0,\"proxy\":0}}}}",
            members.join(",")
        );
        Message::Probed { id, status: Some(200), text }
    }
}

fn now_ns() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap()
}

async fn say(output: &mut (impl AsyncWriteExt + Unpin), message: &Message) {
    let mut line = serde_json::to_vec(message).unwrap();
    line.push(b'\n');
    output.write_all(&line).await.unwrap();
}
