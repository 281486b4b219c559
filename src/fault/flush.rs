//! Flush: the store is emptied while it runs, as by an administrator who clears the wrong cache.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::Hurts;
use super::steps::administration;
use super::{Definition, FaultKind, Place, Site, Unfit, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::topology::Tier;

/// No parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flush {}

impl Definition for Flush {
    const KIND: FaultKind = FaultKind {
        tiers: &[Tier::Store],
        hurts: Hurts::Everybody,
        heals_by_itself: true,
        ..FaultKind::new("flush", "empties the store by its own command, while it runs", &[Ability::Shell])
    };

    fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        administration::has(place, "empty it", |commands| !commands.flush.is_empty()).map(|()| self)
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        administration::run(site, &site.node.image.administration.flush, "emptying").await?;
        Ok(Verified::seen("its own command has emptied it"))
    }

    async fn heal<C: Cluster>(&self, _: &Site<'_, C>) -> Result<Verified, ClusterError> {
        Ok(Verified::default())
    }
}
