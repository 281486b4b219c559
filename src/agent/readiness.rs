//! Waits until a node accepts requests by polling it, never by sleeping for a guessed time. The agent sends the polls,
//! because it reaches the node over the same network as the clients.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::remote::{Probe, Prober};
use crate::cluster::{Cluster, ClusterError, NodeState, running_apps};
use crate::topology::{Node, Ready, Tier};

/// Pause after the first poll; doubled after each further one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
/// Longest pause between two polls.
const MAX_PAUSE: Duration = Duration::from_millis(50);
/// A poll without an answer within this time is repeated.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// How many lines of its log the error shows if a node does not become ready.
const LOG_LINES: usize = 30;

/// The node's URL for a path.
#[must_use]
pub fn url_of(node: &Node, path: &str) -> Option<String> {
    let scheme = if node.protocol.is_tls() { "https" } else { "http" };
    Some(format!("{scheme}://{}{path}", node.socket()?))
}

/// The URL that answers when the node is ready; `None` if the image checks readiness with a command.
#[must_use]
pub fn url(node: &Node) -> Option<String> {
    match &node.image.ready {
        Ready::Http(path) => url_of(node, path),
        Ready::Answers => url_of(node, "/"),
        Ready::Command(_) | Ready::Healthy => None,
    }
}

/// Waits until a node accepts requests and, if the app nodes form a cluster, sees every running member.
///
/// # Errors
/// When it ends or is not ready in time, with the last lines of its log.
pub async fn wait_until_ready<C: Cluster>(
    cluster: &C,
    prober: &Prober,
    node: &Node,
    within: Duration,
) -> Result<(), ClusterError> {
    wait(cluster, prober, node, within, Members::All).await
}

/// Waits until a node accepts requests, regardless of the members that it sees.
///
/// # Errors
/// When it ends or does not serve in time, with the last lines of its log.
pub async fn wait_until_serving<C: Cluster>(
    cluster: &C,
    prober: &Prober,
    node: &Node,
    within: Duration,
) -> Result<(), ClusterError> {
    wait(cluster, prober, node, within, Members::Any).await
}

/// Which members of its cluster a node must see.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Members {
    All,
    Any,
}

async fn wait<C: Cluster>(
    cluster: &C,
    prober: &Prober,
    node: &Node,
    within: Duration,
    members: Members,
) -> Result<(), ClusterError> {
    let deadline = Instant::now() + within;
    let mut pause = SHORTEST_PAUSE;
    loop {
        let Err(missing) = ask(cluster, prober, node, members).await? else { return Ok(()) };
        let ended = cluster.state_of(&node.name).await? == NodeState::Ended;
        if !ended && Instant::now() < deadline {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
            continue;
        }
        let log = cluster.log(&node.name, Some(LOG_LINES)).await.unwrap_or_else(|error| error.to_string());
        let reason = if ended {
            "it ended by itself".to_owned()
        } else {
            format!("not ready after {} s: {missing}", within.as_secs())
        };
        let log = log.trim_end().replace('\n', "\n    ");
        return Err(ClusterError::new(
            format!("waiting for {}", node.name),
            format!("{reason}\n  the end of its log:\n    {log}"),
        )
        .advise(match &cluster.topology().target.attached {
            Some(_) => "does it run, and is its address in `[attached]` right?",
            None => "fix the error shown above; `steadfast up TARGET` starts the target alone to look at",
        }));
    }
}

/// Polls once. The inner result is `Ok` if the node is ready; otherwise it says what is missing.
async fn ask<C: Cluster>(
    cluster: &C,
    prober: &Prober,
    node: &Node,
    members: Members,
) -> Result<Result<(), String>, ClusterError> {
    match &node.image.ready {
        Ready::Http(_) => {
            let url = url(node).unwrap_or_default();
            let probe = prober.probe(&url, PROBE_TIMEOUT).await;
            let expected = match members {
                Members::All => running_members(cluster, node).await?,
                Members::Any => Vec::new(),
            };
            Ok(judge(&expected, &probe))
        }
        Ready::Command(command) => Ok(match cluster.execute(&node.name, command).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("{} failed", command.join(" "))),
            // A container that has just been started may not accept commands yet.
            Err(error) => Err(error.to_string()),
        }),
        Ready::Healthy => cluster.is_healthy(&node.name).await,
        Ready::Answers => {
            let healthy = cluster.is_healthy(&node.name).await?;
            let Some(url) = url(node).filter(|_| healthy.is_ok()) else { return Ok(healthy) };
            Ok(match prober.probe(&url, PROBE_TIMEOUT).await {
                Probe::Answered { .. } => Ok(()),
                Probe::Silent(reason) => Err(format!("no answer on its port: {reason}")),
            })
        }
    }
}

#[derive(Deserialize)]
struct Health {
    members: Vec<String>,
}

/// The members that a node must see: the running app nodes. One that was killed or has not joined yet is not a member. Only
/// an app that speaks the session contract tells what it sees.
async fn running_members<C: Cluster>(cluster: &C, node: &Node) -> Result<Vec<String>, ClusterError> {
    let target = &cluster.topology().target;
    if node.tier != Tier::App || !target.app_nodes_form_a_cluster() || target.session.is_some() {
        return Ok(Vec::new());
    }
    Ok(running_apps(cluster).await?.into_iter().map(|app| app.name.clone()).collect())
}

fn judge(expected: &[String], probe: &Probe) -> Result<(), String> {
    let body = match probe {
        Probe::Answered { status: 200, body } => body,
        Probe::Answered { status, .. } => return Err(format!("its health check answered {status}")),
        Probe::Silent(reason) => return Err(format!("its health check: {reason}")),
    };
    if expected.is_empty() {
        return Ok(());
    }
    let health: Health =
        serde_json::from_str(body).map_err(|error| format!("its health check is not the contract's: {error}"))?;
    if expected.iter().all(|name| health.members.contains(name)) {
        return Ok(());
    }
    Err(format!("it sees the members {} of {}", health.members.join(", "), expected.join(", ")))
}
