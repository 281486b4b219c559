//! Restart: the node is asked to end and is started again at once, as a deployment does with one node.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameters::default_grace;
use super::steps::ended;
use super::{Definition, FaultKind, Site, Verified};
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::topology::Action;
use crate::values::Time;

/// How the node is stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Restart {
    /// How long the node has to end, before it is killed.
    #[serde(default = "default_grace")]
    pub grace: Time,
}

impl Definition for Restart {
    const KIND: FaultKind = FaultKind {
        commands: Some(&[Action::Stop, Action::Start]),
        heals_by_itself: true,
        ..FaultKind::new("restart", "asks the node's process to end and starts it again at once", &[Ability::Signals])
    };

    fn detail(&self) -> String {
        ended::describe(self.grace)
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        ended::stop(site, self.grace).await
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        ended::start_again(site).await
    }
}
