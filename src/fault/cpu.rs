//! Cpu: the node runs on with a part of a core, as beside a greedy neighbour or under a limit that is too low.

use super::{Site, Verified};
use crate::cluster::{Cluster, ClusterError};

/// What a runtime may round off.
const TOLERANCE: f64 = 1e-6;

pub async fn inject<C: Cluster>(site: &Site<'_, C>, cores: f64) -> Result<Verified, ClusterError> {
    limit(site, Some(cores)).await
}

pub async fn heal<C: Cluster>(site: &Site<'_, C>) -> Result<Verified, ClusterError> {
    let healed = limit(site, None).await?;
    site.wait_until_ready().await?;
    Ok(healed)
}

async fn limit<C: Cluster>(site: &Site<'_, C>, cores: Option<f64>) -> Result<Verified, ClusterError> {
    let name = &site.node.name;
    let wanted = cores.unwrap_or(site.node.image.cpus);
    let has = site.cluster.limit_cores(name, cores).await?;
    if (has - wanted).abs() > TOLERANCE {
        let reason = format!("the runtime says {has} cores where {wanted} were asked for");
        return Err(ClusterError::new(format!("limiting the cores of {name}"), reason));
    }
    Ok(Verified { unix_ns: None, seen: vec![format!("the runtime says that it has {has} cores")] })
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn a_limit_is_what_the_runtime_says_and_is_taken_back() {
        let cluster = FakeCluster::of("tomcat-none");
        at_app_2(&cluster, async |site| {
            assert_eq!(inject(&site, 0.1).await.unwrap().seen, ["the runtime says that it has 0.1 cores"]);
            assert_eq!(heal(&site).await.unwrap().seen, ["the runtime says that it has 2 cores"]);
        })
        .await;
    }
}
