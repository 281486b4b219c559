//! The trait that each fault's file implements. The fields of the implementing type are the fault's parameters: the
//! keys in a profile, with their types and limits.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{FaultKind, Place, Site, Verified};
use crate::cluster::reaper::Reaper;
use crate::cluster::{Cluster, ClusterError};
use crate::topology::Node;

/// A fault: its facts, its parameters, and how it is injected and healed.
pub trait Definition: Clone + DeserializeOwned + JsonSchema + Serialize {
    /// The facts of the fault, which do not depend on its parameters.
    const KIND: FaultKind;

    /// Describes the parameters; empty if there is nothing to add to the name.
    fn detail(&self) -> String {
        String::new()
    }

    /// Checks that the fault can be injected into a node, and fills in values that depend on node and target.
    ///
    /// # Errors
    /// Why it cannot be injected there.
    fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        let _ = place;
        Ok(self)
    }

    /// The reaper that heals the fault if the driver dies. Only faults outside the cluster need one, because the
    /// cluster itself is removed.
    ///
    /// # Errors
    /// If the reaper cannot be started. The fault must not be injected then.
    fn guard(&self, node: &Node) -> Result<Option<Reaper>, ClusterError> {
        let _ = node;
        Ok(None)
    }

    /// Injects the fault, and returns when its effect has been seen.
    ///
    /// # Errors
    /// If it cannot be injected, or its effect is not seen in time.
    fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> impl Future<Output = Result<Verified, ClusterError>> + Send;

    /// Heals the fault, and returns when that has been seen. Safe to call again.
    ///
    /// # Errors
    /// If it cannot be healed, or that is not seen in time.
    fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> impl Future<Output = Result<Verified, ClusterError>> + Send;
}

/// Why a fault cannot be injected into a node of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The profile's key that causes the error.
    pub key: &'static str,
    /// The reason.
    pub message: String,
}

impl Unfit {
    /// An error about a key, with its reason.
    pub fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self { key, message: message.into() }
    }
}
