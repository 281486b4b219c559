//! Cpu: the node keeps running with fewer cores, as with a noisy neighbour or under a CPU limit that is too low.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::Claim;
use super::{Definition, FaultKind, Site, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};

/// The rounding error of a runtime, in cores.
const TOLERANCE: f64 = 1e-6;

/// The limit during the fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cpu {
    /// So many cores.
    pub cores: Cores,
}

/// A number of cores, 0.01 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(with = "f64")]
pub struct Cores(f64);

impl TryFrom<f64> for Cores {
    type Error = String;

    fn try_from(cores: f64) -> Result<Self, String> {
        if (0.01..=1000.0).contains(&cores) { Ok(Self(cores)) } else { Err("it takes 0.01 to 1000 cores".to_owned()) }
    }
}

impl From<Cores> for f64 {
    fn from(cores: Cores) -> Self {
        cores.0
    }
}

impl Definition for Cpu {
    const KIND: FaultKind = FaultKind {
        claims: Claim::Part("cores"),
        ..FaultKind::new("cpu", "limits the node to a part of a core", &[Ability::CpuLimit])
    };

    fn detail(&self) -> String {
        format!("{} of a core", self.cores.0)
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        limit(site, Some(self.cores.0)).await
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let healed = limit(site, None).await?;
        site.wait_until_ready().await?;
        Ok(healed)
    }
}

async fn limit<C: Cluster>(site: &Site<'_, C>, cores: Option<f64>) -> Result<Verified, ClusterError> {
    let name = &site.node.name;
    let wanted = cores.unwrap_or(site.node.image.cpus);
    let has = site.cluster.limit_cores(name, cores).await?;
    if (has - wanted).abs() > TOLERANCE {
        let reason = format!("the runtime says {has} cores where {wanted} were asked for");
        return Err(ClusterError::new(format!("limiting the cores of {name}"), reason));
    }
    Ok(Verified::seen(format!("the runtime says that it has {has} cores")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn a_limit_is_confirmed_by_the_runtime_and_removed_again() {
        let cluster = FakeCluster::of("tomcat-none");
        let fault = Cpu { cores: Cores(0.1) };
        at_app_2(&cluster, async |site| {
            assert_eq!(fault.inject(&site).await.unwrap().seen, ["the runtime says that it has 0.1 cores"]);
            assert_eq!(fault.heal(&site).await.unwrap().seen, ["the runtime says that it has 2 cores"]);
        })
        .await;
    }
}
