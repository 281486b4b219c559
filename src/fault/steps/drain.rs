//! Draining: the balancer sends a node no new requests, and requests in flight end first; and admitting it again. A
//! balancer without such commands relies on its own health checks.

use crate::cluster::{Cluster, ClusterError};
use crate::fault::Site;
use crate::topology::{Image, Tier};

/// Drains the node. Returns what was seen; `None` if no balancer has a command for it.
pub async fn drain<C: Cluster>(site: &Site<'_, C>) -> Result<Option<String>, ClusterError> {
    let has_run = run_on_balancers(site, |image| &image.drain, "draining").await?;
    Ok(has_run.then(|| "the balancer reports it as drained".to_owned()))
}

/// Admits the node again. Returns what was seen; `None` if no balancer has a command for it.
pub async fn admit<C: Cluster>(site: &Site<'_, C>) -> Result<Option<String>, ClusterError> {
    let has_run = run_on_balancers(site, |image| &image.admit, "taking in").await?;
    Ok(has_run.then(|| "the balancer sends it requests".to_owned()))
}

/// Runs a command on every balancer that has one. Returns whether any has.
async fn run_on_balancers<C: Cluster>(
    site: &Site<'_, C>,
    command: impl Fn(&Image) -> &Vec<String>,
    doing: &str,
) -> Result<bool, ClusterError> {
    let mut has_run = false;
    for balancer in site.cluster.topology().tier(Tier::Balancer) {
        let command: Vec<String> =
            command(&balancer.image).iter().map(|word| word.replace("{node}", &site.node.name)).collect();
        if command.is_empty() {
            continue;
        }
        if !site.cluster.execute(&balancer.name, &command).await? {
            let doing = format!("{doing} {}", site.node.name);
            return Err(ClusterError::new(doing, format!("{} refused: {}", balancer.name, command.join(" "))));
        }
        has_run = true;
    }
    Ok(has_run)
}
