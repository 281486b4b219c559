//! Draining: the balancer sends a node nothing new, and what is under way ends first; and taking it in again. Where a
//! balancer cannot be told, it finds out by its own checks.

use crate::cluster::{Cluster, ClusterError};
use crate::fault::Site;
use crate::topology::{Image, Tier};

/// What was seen, if the balancer can be told.
pub async fn drain<C: Cluster>(site: &Site<'_, C>) -> Result<Option<String>, ClusterError> {
    let told = tell(site, |image| &image.drain, "draining").await?;
    Ok(told.then(|| "the balancer sends it nothing new, and it has nothing under way".to_owned()))
}

/// What was seen, if the balancer can be told.
pub async fn admit<C: Cluster>(site: &Site<'_, C>) -> Result<Option<String>, ClusterError> {
    let told = tell(site, |image| &image.admit, "taking in").await?;
    Ok(told.then(|| "the balancer sends it requests".to_owned()))
}

/// Says whether there was anybody to tell.
async fn tell<C: Cluster>(
    site: &Site<'_, C>,
    command: impl Fn(&Image) -> &Vec<String>,
    doing: &str,
) -> Result<bool, ClusterError> {
    let mut told = false;
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
        told = true;
    }
    Ok(told)
}
