//! The nodes that share a host, which a fault of the machine hits all at once.

use futures::future::try_join_all;

use crate::cluster::{Cluster, ClusterError, NodeState};
use crate::fault::{Definition, Site, Verified};
use crate::topology::{Node, Tier};

/// The running nodes on the host of the site's node, itself among them; stores come first, balancers last.
///
/// # Errors
/// If the runtime does not report the state of one.
pub async fn running<'a, C: Cluster>(site: &Site<'a, C>) -> Result<Vec<&'a Node>, ClusterError> {
    let mut running = Vec::new();
    for node in on_it(site) {
        if site.cluster.state_of(&node.name).await? == NodeState::Running {
            running.push(node);
        }
    }
    Ok(running)
}

/// The nodes on the host of the site's node by tier, in the order in which tiers are started; those that join later are left out.
pub fn by_tier<'a, C: Cluster>(site: &Site<'a, C>) -> [Vec<&'a Node>; 3] {
    [Tier::Store, Tier::App, Tier::Balancer]
        .map(|tier| on_it(site).filter(|node| node.tier == tier && !node.is_standby).collect())
}

/// All nodes on the host of the site's node.
pub fn on_it<'a, C: Cluster>(site: &Site<'a, C>) -> impl Iterator<Item = &'a Node> {
    let cluster = site.cluster;
    let host = cluster.host_of(&site.node.name);
    let own = &site.node.name;
    cluster
        .topology()
        .nodes
        .iter()
        .filter(move |node| node.name == *own || (host.is_some() && cluster.host_of(&node.name) == host))
}

/// Injects a fault of one node into all running nodes of the host at once.
///
/// # Errors
/// If it cannot be injected into one of them.
pub async fn inject_all<C: Cluster>(
    fault: &(impl Definition + Sync),
    site: &Site<'_, C>,
) -> Result<Verified, ClusterError> {
    let hit = running(site).await?.into_iter().map(|node| async move {
        let site = Site { node, ..*site };
        Ok((node.name.clone(), fault.inject(&site).await?))
    });
    try_join_all(hit).await.map(together)
}

/// What was seen of each node, as one: it took effect when the last one was hit.
pub fn together(of_each: impl IntoIterator<Item = (String, Verified)>) -> Verified {
    let mut all = Verified::default();
    for (node, verified) in of_each {
        all.unix_ns = all.unix_ns.max(verified.unix_ns);
        all.seen.extend(verified.seen.into_iter().map(|seen| format!("{node}: {seen}")));
    }
    all
}
