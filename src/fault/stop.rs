//! Stop: the node is asked to end and given time to, as a deployment or a reboot does; it is started again later.

use std::time::Duration;

use super::{Site, Verified, ended};
use crate::cluster::{Cluster, ClusterError};

pub async fn inject<C: Cluster>(site: &Site<'_, C>, grace: Duration) -> Result<Verified, ClusterError> {
    site.cluster.stop(&site.node.name, grace).await?;
    ended::verify(site, &format!("stopping {}", site.node.name)).await
}
