//! Memory: something in the node eats its memory up to the node's own limit, and the kernel kills the node's process for
//! want of it. It is started again later.

use super::{Site, Verified, ended};
use crate::cluster::{Cluster, ClusterError};

/// Whoever was there before is to be killed first, and not the eater: a process may offer itself, but nobody may hold
/// itself back without privileges. A variable of the shell's doubles until it no longer fits.
const EATER: &str = "for file in /proc/[0-9]*/oom_score_adj; do [ $file = /proc/$$/oom_score_adj ] || echo 1000 > $file; done 2>/dev/null
a=xxxxxxxxxxxxxxxx; while :; do a=$a$a; done";

pub async fn inject<C: Cluster>(site: &Site<'_, C>) -> Result<Verified, ClusterError> {
    let name = &site.node.name;
    let command = ["sh", "-c", EATER].map(str::to_owned);
    let doing = format!("filling the memory of {name}");
    // The command ends with the node, and its own end says nothing.
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

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    async fn of(is_roomy: bool) -> Result<Vec<String>, String> {
        let mut cluster = FakeCluster::of("tomcat-none");
        cluster.is_roomy = is_roomy;
        let injected = at_app_2(&cluster, async |site| inject(&site).await).await;
        injected.map(|verified| verified.seen).map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_must_be_seen_to_end_for_want_of_memory() {
        assert_eq!(of(false).await.unwrap().last().unwrap(), "the runtime says that it ran out of memory");
        let error = of(true).await.unwrap_err();
        assert_eq!(error, "filling the memory of app-2: the runtime reported no end within 10 s");
    }
}
