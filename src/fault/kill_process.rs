//! Kill of the process alone: its host lives on, so that who connects is refused at once and need not wait for silence.
//! That is what a crash of the program looks like, where `kill` is the loss of the machine.

use super::{Site, Verified, ended};
use crate::cluster::{Cluster, ClusterError};

pub async fn inject<C: Cluster>(site: &Site<'_, C>) -> Result<Verified, ClusterError> {
    site.cluster.kill_process(&site.node.name).await?;
    ended::verify(site, &format!("killing the process of {}", site.node.name)).await
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn a_node_whose_process_was_killed_is_seen_to_end_and_to_refuse() {
        let cluster = FakeCluster::of("tomcat-none");
        at_app_2(&cluster, async |site| {
            let injected = inject(&site).await.unwrap();
            assert_eq!(injected.seen, ["the runtime reported its end", "unreachable: connection refused"]);
            assert!(!cluster.running().contains(&"app-2".to_owned()));
        })
        .await;
    }
}
