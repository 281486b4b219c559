//! Full: the store's memory is full: it has less than its data take. What it does then is its policy: it refuses what is written,
//! or forgets something for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::Hurts;
use super::steps::administration;
use super::{Claim, Definition, FaultKind, Place, Site, Unfit, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::topology::Tier;

/// What the store does when it is full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Full {
    /// One of the policies that the store's image has.
    pub policy: String,
}

impl Definition for Full {
    const KIND: FaultKind = FaultKind {
        tiers: &[Tier::Store],
        hurts: Hurts::Everybody,
        claims: Claim::Part("memory limit of the store"),
        ..FaultKind::new(
            "full",
            "gives the store less memory than its data take, by its own command",
            &[Ability::Shell],
        )
    };

    fn detail(&self) -> String {
        self.policy.clone()
    }

    fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        administration::has(place, "limit its memory", |commands| !commands.full.is_empty())?;
        let Some(image) = place.image() else { return Ok(self) };
        let known = &image.administration.policies;
        if known.contains(&self.policy) {
            return Ok(self);
        }
        let known = known.join(", ");
        Err(Unfit::new(
            "policy",
            format!("`{}` is not a policy of the image `{}`; it has: {known}", self.policy, image.name),
        ))
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let command = site.node.image.administration.full.iter();
        let command: Vec<String> = command.map(|word| word.replace("{policy}", &self.policy)).collect();
        administration::run(site, &command, "limiting the memory of").await?;
        Ok(Verified::seen("it refuses or forgets what its memory cannot hold"))
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        administration::run(site, &site.node.image.administration.roomy, "giving memory to").await?;
        Ok(Verified::seen("it has memory again"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::failover::Failover;
    use super::super::flush::Flush;
    use super::super::testing::at_node;
    use super::super::{Inventory, Place};
    use super::*;
    use crate::cluster::fake::FakeCluster;
    use crate::topology::Target;

    fn refused(target: &str, fit: impl Fn(&Place<'_>) -> Option<Unfit>) -> Option<String> {
        let target = Target::find(target).unwrap();
        let place = Place { inventory: Inventory { target: &target, app_nodes: 3 }, node: "store" };
        fit(&place).map(|unfit| unfit.message)
    }

    #[test]
    fn a_store_that_has_no_command_for_it_is_refused_with_what_it_lacks() {
        let full = |policy: &str| {
            let policy = policy.to_owned();
            move |place: &Place<'_>| Full { policy: policy.clone() }.fit(place).err()
        };
        insta::assert_snapshot!(refused("tomcat-postgres", full("allkeys-lru")).unwrap(), @"the image `postgres` of tomcat-postgres has no command to limit its memory");
        insta::assert_snapshot!(refused("tomcat-redis", full("lru")).unwrap(), @"`lru` is not a policy of the image `redis`; it has: noeviction, allkeys-lru, volatile-lru, volatile-ttl, allkeys-random");
        assert_eq!(refused("tomcat-redis", full("allkeys-lru")), None);
        insta::assert_snapshot!(refused("tomcat-redis", |place| Failover {}.fit(place).err()).unwrap(), @"tomcat-redis has one store, and no replica");
        insta::assert_snapshot!(refused("tomcat-memcached", |place| Failover {}.fit(place).err()).unwrap(), @"the image `memcached` of tomcat-memcached has no command to make a replica the primary");
        insta::assert_snapshot!(refused("reference-store", |place| Flush {}.fit(place).err()).unwrap(), @"the image `reference-store` of reference-store has no command to empty it");
        assert_eq!(refused("tomcat-memcached", |place| Flush {}.fit(place).err()), None);
    }

    #[tokio::test]
    async fn a_store_is_filled_and_has_memory_again() {
        let cluster = FakeCluster::of("tomcat-redis");
        cluster.start("store").await.unwrap();
        at_node(&cluster, "store", async |site| {
            let full = Full { policy: "noeviction".to_owned() };
            assert_eq!(full.inject(&site).await.unwrap().seen, ["it refuses or forgets what its memory cannot hold"]);
            assert_eq!(full.heal(&site).await.unwrap().seen, ["it has memory again"]);
        })
        .await;
    }
}
