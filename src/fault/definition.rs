//! What each fault's file defines. The parameters of a fault are the fields of the type that implements this: a profile's
//! keys, with their types and limits.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{FaultKind, Place, Site, Verified};
use crate::cluster::reaper::Reaper;
use crate::cluster::{Cluster, ClusterError};
use crate::topology::Node;

/// A fault: its facts, its parameters, and how it is done and undone.
pub trait Definition: Clone + DeserializeOwned + JsonSchema + Serialize {
    /// What is true of it whatever its parameters are.
    const KIND: FaultKind;

    /// How much of it, in words; empty where the name says it all.
    fn detail(&self) -> String {
        String::new()
    }

    /// The same for one node of a target, with what depends on them filled in.
    ///
    /// # Errors
    /// Why it cannot be done there.
    fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        let _ = place;
        Ok(self)
    }

    /// What undoes it when the driver is gone: of faults that reach beyond the cluster, which goes with all else.
    ///
    /// # Errors
    /// When it cannot be readied: then the fault must not be done.
    fn guard(&self, node: &Node) -> Result<Option<Reaper>, ClusterError> {
        let _ = node;
        Ok(None)
    }

    /// Does it, and returns once its effect has been seen.
    ///
    /// # Errors
    /// When it cannot be done, or its effect cannot be seen in time.
    fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> impl Future<Output = Result<Verified, ClusterError>> + Send;

    /// Undoes it, and returns once that has been seen. Safe to call again.
    ///
    /// # Errors
    /// When it cannot be undone, or that cannot be seen in time.
    fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> impl Future<Output = Result<Verified, ClusterError>> + Send;
}

/// Why a fault cannot be done to a node of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The key of the profile that is to blame.
    pub key: &'static str,
    /// Why.
    pub message: String,
}

impl Unfit {
    /// A key and why it does not fit.
    pub fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self { key, message: message.into() }
    }
}
