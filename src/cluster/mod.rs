//! A cluster is the running form of a target. This module defines what a cluster can do; the folders below implement it
//! for each runtime. Nothing here knows traffic, profiles or verdicts.

mod ability;
pub mod attached;
pub mod docker;
#[cfg(test)]
pub(crate) mod fake;
pub mod process;
pub mod reaper;
mod runtime;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::{Stream, stream};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::history::{LinkSample, NodeSample};
use crate::topology::{Node, RenderError, Tier, Topology};

pub use ability::Ability;
pub use runtime::{Runtime, RuntimeName};

/// The first agent's name in lists of nodes; others follow, see [`agent_name`].
pub const AGENT: &str = "agent";

/// The name of an agent by its number, from 0.
#[must_use]
pub fn agent_name(number: usize) -> String {
    if number == 0 { AGENT.to_owned() } else { format!("{AGENT}-{}", number + 1) }
}

/// The environment failed. The message says what failed, why, and what to do next.
#[derive(Debug, Error)]
#[error("{doing}: {reason}{}", next_step.as_ref().map(|step| format!("\n  {step}")).unwrap_or_default())]
pub struct ClusterError {
    /// The failed operation, such as `pausing app-1`.
    pub doing: String,
    /// Why it failed.
    pub reason: String,
    /// How the user can fix it.
    pub next_step: Option<String>,
}

impl ClusterError {
    /// An error without a next step.
    pub fn new(doing: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { doing: doing.into(), reason: reason.into(), next_step: None }
    }

    /// Names the host where it failed, if it has one.
    #[must_use]
    pub fn of_host(mut self, host: Option<&str>) -> Self {
        if let Some(host) = host {
            self.doing = format!("{host}: {}", self.doing);
        }
        self
    }

    /// Adds why it could not be undone either, if it could not.
    #[must_use]
    pub fn and_then(mut self, undone: Result<(), Self>) -> Self {
        if let Err(Self { doing, reason, next_step }) = undone {
            self.reason = format!("{}; then {doing} failed: {reason}", self.reason);
            self.next_step = self.next_step.or(next_step);
        }
        self
    }

    /// Adds how the user can fix it.
    #[must_use]
    pub fn advise(mut self, next_step: impl Into<String>) -> Self {
        self.next_step = Some(next_step.into());
        self
    }
}

impl From<RenderError> for ClusterError {
    fn from(error: RenderError) -> Self {
        Self::new("configuring the target", error.to_string())
    }
}

/// The state of a node's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It exists and can run.
    Running,
    /// It exists and is paused.
    Paused,
    /// It does not exist.
    Ended,
}

/// The two directions of the control channel to an agent.
pub struct Channel {
    /// To the agent's standard input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// From the agent's standard output.
    pub output: Pin<Box<dyn AsyncRead + Send>>,
}

/// This machine's wall clock, in nanoseconds since 1970.
#[must_use]
pub fn unix_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// A log, or its last lines.
fn last_of(text: &str, last_lines: Option<usize>) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(last_lines.unwrap_or(lines.len()));
    lines.get(first..).unwrap_or_default().join("\n") + "\n"
}

/// The running app nodes: none that is paused, was killed, has left or has not joined yet.
///
/// # Errors
/// When the runtime does not report the state of a node.
pub async fn running_apps<C: Cluster>(cluster: &C) -> Result<Vec<&Node>, ClusterError> {
    let mut running = Vec::new();
    for node in cluster.topology().tier(Tier::App) {
        if cluster.state_of(&node.name).await? == NodeState::Running {
            running.push(node);
        }
    }
    Ok(running)
}

/// The operations of a running cluster. Nodes have the names of its topology.
pub trait Cluster: Sync {
    /// The topology it was created from.
    fn topology(&self) -> &Topology;

    /// How far the clock by which the runtime tells the time is ahead of this machine's, as far as is known. In nanoseconds.
    fn clock_ahead_ns(&self) -> i64 {
        0
    }

    /// Whether the first agent goes by the clock by which the runtime tells the time; on a machine of its own it does not.
    fn first_agent_has_its_clock(&self) -> bool {
        true
    }

    /// The host on which a node runs, where a file names hosts.
    fn host_of(&self, node: &str) -> Option<&str> {
        let _ = node;
        None
    }

    /// The runtime's warnings from creating the nodes, without duplicates.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Starts what starts nodes in an order of its own, and waits until it has; the other runtimes have nothing of the kind.
    fn launch(&self) -> impl Future<Output = Result<(), ClusterError>> + Send {
        async { Ok(()) }
    }

    /// Starts a node that is not running. Returns once its process exists; it may not be ready yet.
    fn start(&self, node: &str) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Ends a node's process with SIGKILL, and its sandbox if it has one.
    fn kill(&self, node: &str) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Ends a node's process with SIGKILL but keeps its sandbox running. If a plan needs this, the cluster was created
    /// with sandboxes.
    fn kill_process(&self, node: &str) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Sends SIGTERM to a node's process, and SIGKILL if it has not ended after `grace`. Ends its sandbox too, if any.
    fn stop(&self, node: &str, grace: Duration) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Pauses a node's process: its connections stay open.
    fn pause(&self, node: &str) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Resumes a node's process.
    fn resume(&self, node: &str) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Replaces the configuration files of a node that is not running, by path in the node; its next start reads them.
    fn configure(
        &self,
        node: &str,
        files: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Recreates a node that is no longer running, with an empty disk. Does not start it.
    fn recreate(&self, node: &str) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Limits a running node to `cores` cores; `None` restores the original limit. Returns the limit in force.
    fn limit_cores(&self, node: &str, cores: Option<f64>) -> impl Future<Output = Result<f64, ClusterError>> + Send;

    /// Runs a shell script in a running node's network, with the right to change it. Returns whether it exited with 0,
    /// and its output.
    fn run_in_network_of(
        &self,
        node: &str,
        script: &str,
    ) -> impl Future<Output = Result<(bool, String), ClusterError>> + Send;

    /// Waits until the runtime itself reports the end of a node's process since its last start. Returns its time, in
    /// nanoseconds since 1970.
    fn wait_for_exit(&self, node: &str) -> impl Future<Output = Result<u64, ClusterError>> + Send;

    /// The state of a node's process.
    fn state_of(&self, node: &str) -> impl Future<Output = Result<NodeState, ClusterError>> + Send;

    /// What the node's own health check says; `Ok` if it has none and runs. The reason is why it is not healthy.
    fn is_healthy(&self, node: &str) -> impl Future<Output = Result<Result<(), String>, ClusterError>> + Send {
        async move {
            Ok(match self.state_of(node).await? {
                NodeState::Running => Ok(()),
                NodeState::Paused => Err("it is paused".to_owned()),
                NodeState::Ended => Err("it does not run".to_owned()),
            })
        }
    }

    /// Whether a node that has ended was killed because it ran out of memory.
    fn ran_out_of_memory(&self, node: &str) -> impl Future<Output = Result<bool, ClusterError>> + Send;

    /// Runs a command in a node. Returns whether it exited with 0.
    fn execute(&self, node: &str, command: &[String]) -> impl Future<Output = Result<bool, ClusterError>> + Send;

    /// Memory, CPU time and traffic of every running node and the agent.
    fn sample(&self) -> impl Future<Output = Result<Vec<NodeSample>, ClusterError>> + Send;

    /// What each node has sent to nodes on other hosts; empty where there are none, or the kernel does not count.
    fn sample_links(&self) -> impl Future<Output = Result<Vec<LinkSample>, ClusterError>> + Send {
        async { Ok(Vec::new()) }
    }

    /// A node's log: all of it, or its last lines.
    fn log(&self, node: &str, last_lines: Option<usize>) -> impl Future<Output = Result<String, ClusterError>> + Send;

    /// A node's whole log, in pieces as they come.
    fn log_pieces(&self, node: &str) -> impl Stream<Item = Result<Bytes, ClusterError>> + Send {
        stream::once(async { self.log(node, None).await.map(Bytes::from) })
    }

    /// Starts the agent with this number, from 0, on the front network and opens its control channel.
    fn open_agent(&self, number: usize) -> impl Future<Output = Result<Channel, ClusterError>> + Send;

    /// Ends and removes the whole cluster. Safe to call again.
    fn destroy(&self) -> impl Future<Output = Result<(), ClusterError>> + Send;
}
