//! What an administrator can do to a store by its own commands, as its image states them.

use crate::cluster::{Cluster, ClusterError};
use crate::fault::{Place, Site, Unfit};
use crate::topology::Administration;

/// Runs a command of the node's image in the node.
pub async fn run<C: Cluster>(site: &Site<'_, C>, command: &[String], doing: &str) -> Result<(), ClusterError> {
    if site.cluster.execute(&site.node.name, command).await? {
        return Ok(());
    }
    let doing = format!("{doing} {}", site.node.name);
    Err(ClusterError::new(doing, format!("the command failed: {}", command.join(" "))))
}

/// Checks that the image of a fault's node has a command.
pub fn has(place: &Place<'_>, to: &str, command: impl Fn(&Administration) -> bool) -> Result<(), Unfit> {
    match place.image() {
        Some(image) if !command(&image.administration) => Err(Unfit::new(
            "fault",
            format!("the image `{}` of {} has no command to {to}", image.name, place.inventory.target.name),
        )),
        _ => Ok(()),
    }
}
