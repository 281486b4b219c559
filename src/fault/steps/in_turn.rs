//! What faults that take every app node in turn have in common.

use super::{drain, ended};
use crate::cluster::{Cluster, ClusterError};
use crate::fault::{Site, Verified};
use crate::topology::Tier;

/// Starts app nodes that are not running: an interrupted injection leaves at most one node ended.
pub async fn heal<C: Cluster>(site: &Site<'_, C>) -> Result<Verified, ClusterError> {
    for node in site.cluster.topology().tier(Tier::App).filter(|node| !node.is_standby) {
        let site = Site { node, ..*site };
        ended::start_again(&site).await?;
        drain::admit(&site).await?;
    }
    Ok(Verified::seen("every app node is ready"))
}
