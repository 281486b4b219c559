//! Join and leave: scaling out and in under load. A node that joins is known to the cluster's members from the start and
//! to the balancer as one that is not in use; it is taken in when it is ready. One that leaves is drained first.

use std::time::Duration;

use super::{Site, Verified, drain, ended, stop};
use crate::cluster::{Cluster, ClusterError};

pub async fn join<C: Cluster>(site: &Site<'_, C>) -> Result<Verified, ClusterError> {
    let mut verified = ended::start_again(site).await?;
    verified.seen = vec!["started and ready".to_owned()];
    verified.seen.extend(drain::admit(site).await?);
    Ok(verified)
}

pub async fn leave<C: Cluster>(site: &Site<'_, C>, grace: Duration) -> Result<Verified, ClusterError> {
    let drained = drain::drain(site).await?;
    let mut verified = stop::inject(site, grace).await?;
    verified.seen.splice(0..0, drained);
    Ok(verified)
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_node;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn a_node_that_joins_is_ready_before_the_balancer_is_told_and_one_that_leaves_is_drained_before_it_ends() {
        let cluster = FakeCluster::of("tomcat-none");
        for node in ["balancer", "app-1", "app-2"] {
            cluster.start(node).await.unwrap();
        }
        at_node(&cluster, "app-3", async |site| {
            assert_eq!(join(&site).await.unwrap().seen, ["started and ready", "the balancer sends it requests"]);
            assert!(cluster.running().contains(&"app-3".to_owned()));
            let seen = leave(&site, Duration::from_secs(1)).await.unwrap().seen;
            assert_eq!(
                seen[..2],
                ["the balancer sends it nothing new, and it has nothing under way", "the runtime reported its end"]
            );
            assert!(!cluster.running().contains(&"app-3".to_owned()));
        })
        .await;
    }
}
