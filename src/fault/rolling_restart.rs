//! Rolling restart: every app node in turn is drained, stopped, started and waited for, as a deployment does: a crash that
//! everyone schedules.

use std::time::{Duration, Instant};

use super::{Site, Verified, drain, ended, stop};
use crate::cluster::{Cluster, ClusterError, running_apps};
use crate::topology::Tier;

pub async fn inject<C: Cluster>(site: &Site<'_, C>, grace: Duration) -> Result<Verified, ClusterError> {
    let mut verified = Verified { unix_ns: None, seen: Vec::new() };
    let began = Instant::now();
    // One that is yet to join, or has left, is not restarted.
    for node in running_apps(site.cluster).await? {
        let site = Site { node, ..*site };
        drain::drain(&site).await?;
        let ended = stop::inject(&site, grace).await?;
        verified.unix_ns = verified.unix_ns.or(ended.unix_ns);
        let has_ended = began.elapsed();
        ended::start_again(&site).await?;
        drain::admit(&site).await?;
        verified.seen.push(format!(
            "{} had ended after {:.1} s and was ready again after {:.1} s",
            node.name,
            has_ended.as_secs_f64(),
            began.elapsed().as_secs_f64()
        ));
    }
    Ok(verified)
}

/// It is over with the last node; one that was interrupted left at most one node ended.
pub async fn heal<C: Cluster>(site: &Site<'_, C>) -> Result<Verified, ClusterError> {
    for node in site.cluster.topology().tier(Tier::App).filter(|node| !node.is_standby) {
        let site = Site { node, ..*site };
        ended::start_again(&site).await?;
        drain::admit(&site).await?;
    }
    Ok(Verified { unix_ns: None, seen: vec!["every app node is ready".to_owned()] })
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn every_app_node_ends_and_comes_back_before_the_next_one() {
        let cluster = FakeCluster::of("tomcat-delta");
        at_app_2(&cluster, async |site| {
            let seen = inject(&site, Duration::from_secs(1)).await.unwrap().seen;
            let nodes: Vec<&str> =
                seen.iter().filter_map(|seen| seen.split_once(" had ended after")).map(|(node, _)| node).collect();
            assert_eq!(nodes, ["app-1", "app-2", "app-3"]);
            assert_eq!(cluster.running().len(), 4);
            assert_eq!(heal(&site).await.unwrap().seen, ["every app node is ready"]);
        })
        .await;
    }
}
