//! Memory: a process in the node fills the memory up to the node's limit, and the kernel's OOM killer kills the node's
//! process. It is started again later.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::steps::ended;
use super::{Definition, FaultKind, Place, Site, Unfit, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};

/// Without privileges a process can only raise `oom_score_adj`, not lower it. So the script raises it for all processes
/// except itself, and the kernel kills those first. Then a shell variable doubles until it no longer fits into memory.
const EATER: &str = "for file in /proc/[0-9]*/oom_score_adj; do [ $file = /proc/$$/oom_score_adj ] || echo 1000 > $file; done 2>/dev/null
a=xxxxxxxxxxxxxxxx; while :; do a=$a$a; done";

/// No parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Memory {}

impl Definition for Memory {
    const KIND: FaultKind = FaultKind::new(
        "memory",
        "fills the node's memory until the kernel kills it; heals by starting the node again",
        &[Ability::Shell, Ability::MemoryLimit],
    );

    fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        if place.image().is_some_and(|image| image.reference.is_some()) {
            return Err(Unfit::new("fault", format!("{} has no shell to fill its memory from", place.name())));
        }
        Ok(self)
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let name = &site.node.name;
        let command = ["sh", "-c", EATER].map(str::to_owned);
        let doing = format!("filling the memory of {name}");
        // The command ends with the node, so its exit code is ignored.
        let eats = site.cluster.execute(name, &command);
        tokio::select! {
            verified = ended::verify(site, &doing) => {
                let mut verified = verified?;
                if !site.cluster.ran_out_of_memory(name).await? {
                    return Err(ClusterError::new(doing, "it ended, but not for want of memory"));
                }
                verified.seen.push("the runtime says that it ran out of memory".to_owned());
                Ok(verified)
            }
            result = async { eats.await?; std::future::pending().await } => result,
        }
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        ended::start_again(site).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    async fn of(is_roomy: bool) -> Result<Vec<String>, String> {
        let mut cluster = FakeCluster::of("tomcat-none");
        cluster.is_roomy = is_roomy;
        let injected = at_app_2(&cluster, async |site| Memory {}.inject(&site).await).await;
        injected.map(|verified| verified.seen).map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_must_be_seen_to_run_out_of_memory() {
        assert_eq!(of(false).await.unwrap().last().unwrap(), "the runtime says that it ran out of memory");
        let error = of(true).await.unwrap_err();
        assert_eq!(error, "filling the memory of app-2: the runtime reported no end within 10 s");
    }
}
