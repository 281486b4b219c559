//! Kill: the node's process is killed, as in a crash; it is started again later.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::steps::ended;
use super::{Definition, FaultKind, Site, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::topology::Action;

/// No parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Kill {}

impl Definition for Kill {
    const KIND: FaultKind = FaultKind {
        commands: Some(&[Action::Kill, Action::Start]),
        ..FaultKind::new(
            "kill",
            "ends the node's process with SIGKILL; heals by starting the node again",
            &[Ability::Signals],
        )
    };

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        site.cluster.kill(&site.node.name).await?;
        ended::verify(site, &format!("killing {}", site.node.name)).await
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        ended::start_again(site).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at_app_2, at_node};
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn a_killed_node_ends_becomes_unreachable_and_comes_back() {
        let cluster = FakeCluster::of("tomcat-none");
        at_app_2(&cluster, async |site| {
            let injected = Kill {}.inject(&site).await.unwrap();
            assert!(injected.unix_ns.is_some());
            assert_eq!(injected.seen, ["the runtime reported its end", "unreachable: connection refused"]);
            assert!(!cluster.running().contains(&"app-2".to_owned()));
            assert_eq!(Kill {}.heal(&site).await.unwrap().seen, ["started again and ready"]);
            assert!(cluster.running().contains(&"app-2".to_owned()));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_does_not_end_is_an_error() {
        let mut cluster = FakeCluster::of("tomcat-none");
        cluster.immortal.insert("app-2".into());
        let error = at_app_2(&cluster, async |site| Kill {}.inject(&site).await.unwrap_err().to_string()).await;
        assert_eq!(error, "killing app-2: the runtime reported no end within 10 s");
    }

    #[tokio::test]
    async fn a_node_that_does_not_come_back_is_not_healed_and_shows_its_log() {
        let mut cluster = FakeCluster::of("tomcat-none");
        at_app_2(&cluster, async |site| Kill {}.inject(&site).await.map(drop)).await.unwrap();
        cluster.stillborn.insert("app-2".into());
        let error = at_node(&cluster, "app-2", async |site| Kill {}.heal(&site).await.unwrap_err().to_string()).await;
        assert!(error.starts_with("waiting for app-2: it ended by itself"), "{error}");
        assert!(error.contains("the log of app-2"), "{error}");
    }
}
