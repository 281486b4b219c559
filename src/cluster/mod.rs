//! A cluster is the running form of a target. This module says what a cluster can do; the folders below
//! say how each runtime does it. Nothing here knows traffic, profiles or verdicts.

mod ability;
pub mod docker;
#[cfg(test)]
pub(crate) mod fake;
pub mod process;
pub mod reaper;
mod runtime;

use std::pin::Pin;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::history::NodeSample;
use crate::topology::{Node, RenderError, Tier, Topology};

pub use ability::Ability;
pub use runtime::{Runtime, RuntimeName};

/// The name under which the agent appears beside the nodes.
pub const AGENT: &str = "agent";

/// The environment failed. The message says what, where, and what to do next.
#[derive(Debug, Error)]
#[error("{doing}: {reason}{}", next_step.as_ref().map(|step| format!("\n  {step}")).unwrap_or_default())]
pub struct ClusterError {
    /// What was attempted, and on what.
    pub doing: String,
    /// Why it failed.
    pub reason: String,
    /// What the user can do about it.
    pub next_step: Option<String>,
}

impl ClusterError {
    /// An error without a next step.
    pub fn new(doing: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { doing: doing.into(), reason: reason.into(), next_step: None }
    }

    /// The same error with what the user can do about it.
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

/// What a node's process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It exists and can work.
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

/// The app nodes that run: not one that was killed, has left, or is yet to join.
///
/// # Errors
/// When the runtime does not tell.
pub async fn running_apps<C: Cluster>(cluster: &C) -> Result<Vec<&Node>, ClusterError> {
    let mut running = Vec::new();
    for node in cluster.topology().tier(Tier::App) {
        if cluster.state_of(&node.name).await? == NodeState::Running {
            running.push(node);
        }
    }
    Ok(running)
}

/// What a running cluster can do. Nodes are named as in its topology.
pub trait Cluster: Sync {
    /// What it was made from.
    fn topology(&self) -> &Topology;

    /// What the runtime warned of when it made the nodes, each once.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Starts a node that is not running. Returns once its process exists; it may not be ready.
    fn start(&self, node: &str) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Ends a node's process with SIGKILL, and its host if it has one.
    fn kill(&self, node: &str) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// The same, while the host that it ran on lives on: where a plan has this, the cluster was made with hosts.
    fn kill_process(&self, node: &str) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Asks a node's process to end with SIGTERM, and ends it with SIGKILL if it has not after `grace`.
    fn stop(&self, node: &str, grace: Duration) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Pauses a node's process: its connections stay open.
    fn pause(&self, node: &str) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Resumes a node's process.
    fn resume(&self, node: &str) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Makes a node anew in place of the old one, which is not running any more: nothing is left on its disk. It is not
    /// started.
    fn recreate(&self, node: &str) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Gives a running node so much of a core, or with none what it had before. Returns how much it has then.
    fn limit_cores(&self, node: &str, cores: Option<f64>) -> impl Future<Output = Result<f64, ClusterError>> + Send;

    /// Runs a shell script beside a running node, in its network, with the right to change that. Returns whether it
    /// exited with 0, and what it printed.
    fn run_in_network_of(
        &self,
        node: &str,
        script: &str,
    ) -> impl Future<Output = Result<(bool, String), ClusterError>> + Send;

    /// Waits until the runtime itself reports the end of a node's process since its last start.
    /// Returns when that was, in nanoseconds since 1970.
    fn wait_for_exit(&self, node: &str) -> impl Future<Output = Result<u64, ClusterError>> + Send;

    /// What a node's process is doing.
    fn state_of(&self, node: &str) -> impl Future<Output = Result<NodeState, ClusterError>> + Send;

    /// Whether a node that has ended was killed for want of memory.
    fn ran_out_of_memory(&self, node: &str) -> impl Future<Output = Result<bool, ClusterError>> + Send;

    /// Runs a command in a node. Returns whether it exited with 0.
    fn execute(&self, node: &str, command: &[String]) -> impl Future<Output = Result<bool, ClusterError>> + Send;

    /// What every running node, and the agent, used and moved so far.
    fn sample(&self) -> impl Future<Output = Result<Vec<NodeSample>, ClusterError>> + Send;

    /// What a node has printed, all of it or its last lines.
    fn log(&self, node: &str, last_lines: Option<usize>) -> impl Future<Output = Result<String, ClusterError>> + Send;

    /// Starts an agent on the front network and opens its control channel.
    fn open_agent(&self) -> impl Future<Output = Result<Channel, ClusterError>> + Send;

    /// Ends and removes all of it. Safe to call again.
    fn destroy(&self) -> impl Future<Output = Result<(), ClusterError>> + Send;
}
