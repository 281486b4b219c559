//! Failover: a replica becomes the primary by hand, while the old primary is well, as before its machine is taken down.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::Hurts;
use super::steps::administration;
use super::{Definition, FaultKind, Place, Site, Unfit, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::topology::Tier;

/// No parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failover {}

impl Definition for Failover {
    const KIND: FaultKind = FaultKind {
        tiers: &[Tier::Store],
        hurts: Hurts::Everybody,
        heals_by_itself: true,
        ..FaultKind::new("failover", "makes a replica of the store the primary, by its own command", &[Ability::Shell])
    };

    fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        administration::has(place, "make a replica the primary", |commands| !commands.failover.is_empty())?;
        match place.inventory.names_of(Tier::Store).as_slice() {
            [_, _, ..] => Ok(self),
            _ => Err(Unfit::new("fault", format!("{} has one store, and no replica", place.inventory.target.name))),
        }
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        administration::run(site, &site.node.image.administration.failover, "failing over from").await?;
        Ok(Verified::seen("another node is the primary"))
    }

    async fn heal<C: Cluster>(&self, _: &Site<'_, C>) -> Result<Verified, ClusterError> {
        Ok(Verified::default())
    }
}
