//! Probes a target: starts it, lets one user walk through its session mapping, and asks each app node past the balancer. No load,
//! no fault, no record.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::conduct::{bring_up, started_apps};
use crate::agent::fleet::Agents;
use crate::agent::protocol::Walk;
use crate::agent::remote::AgentError;
use crate::cluster::{Cluster, ClusterError};
use crate::load::{Destination, Workload};
use crate::topology::Topology;

/// What a probe found.
#[derive(Debug, Default)]
pub struct Probed {
    /// The walk through the balancer; empty for a target that speaks the session contract.
    pub walk: Walk,
    /// What is not as it should be, by app node, where the walk went well.
    pub nodes: Vec<String>,
}

/// Starts a cluster's nodes and probes it. The caller removes it.
///
/// # Errors
/// When a node does not start, or the agent fails.
pub async fn probe<C: Cluster>(cluster: &C) -> Result<Probed, ClusterError> {
    let mut agents = bring_up(cluster).await?;
    let failed = |error: AgentError| ClusterError::new("probing the target", error.to_string());
    let no_endpoint = || ClusterError::new("probing the target", "it has no balancer that takes requests");
    let (endpoint, workload) = one_user(cluster.topology()).ok_or_else(no_endpoint)?;
    probe_with(&mut agents, started_apps(cluster), endpoint, workload).await.map_err(failed)
}

async fn probe_with(
    agents: &mut Agents,
    nodes: BTreeMap<String, SocketAddr>,
    endpoint: SocketAddr,
    workload: Workload,
) -> Result<Probed, AgentError> {
    let mut probed = Probed::default();
    if workload.mapped.is_some() {
        probed.walk = agents.walk(endpoint, workload.clone()).await?;
    }
    if probed.walk.failure.is_none() {
        probed.nodes = agents.preflight(nodes, workload).await?;
    }
    Ok(probed)
}

/// What a single user needs, and where it goes in.
fn one_user(topology: &Topology) -> Option<(SocketAddr, Workload)> {
    let endpoints: Vec<SocketAddr> = topology.endpoints().into_iter().map(SocketAddr::V4).collect();
    let first = *endpoints.first()?;
    let mut workload = Workload::of_one_user(Destination {
        host: topology.host()?,
        endpoints,
        protocol: topology.target.client_protocol(),
    });
    workload.mapped = topology.mapped_sessions().map(Box::new);
    Some((first, workload))
}
