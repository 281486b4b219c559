//! Hosts: a container beside each node that has the node's place in the networks and does nothing. Where the node's process
//! ends it stays, and its kernel refuses connections at once; without it they would meet silence, as those to a machine
//! that is gone do. Only clusters have them whose plan has a fault that takes them.

use std::collections::BTreeMap;

use bollard::errors::Error;
use bollard::query_parameters::{KillContainerOptionsBuilder, StartContainerOptions};
use tokio::sync::Mutex;

use super::Engine;
use super::stats::{self, Interfaces};
use crate::cluster::ClusterError;
use crate::history::{NodeSample, Traffic};
use crate::topology::Network;

/// The hosts of one cluster.
#[derive(Default)]
pub struct Hosts {
    /// By node.
    containers: BTreeMap<String, String>,
    /// What had gone through each node's interfaces when its process last started: they outlive it.
    before: Mutex<BTreeMap<String, BTreeMap<Network, Traffic>>>,
}

impl Hosts {
    pub fn new(containers: BTreeMap<String, String>) -> Self {
        Self { containers, before: Mutex::default() }
    }

    /// The container whose network a node takes part in: that of its host, or its own.
    pub fn network_of<'a>(&'a self, node: &str, own: &'a str) -> &'a str {
        self.containers.get(node).map_or(own, String::as_str)
    }

    /// The host of a node, if it has one.
    pub fn of(&self, node: &str) -> Option<&str> {
        self.containers.get(node).map(String::as_str)
    }

    /// Starts a node's host where it does not run. `interfaces` are those of the node's earlier life.
    pub async fn start(
        &self,
        engine: &Engine,
        node: &str,
        interfaces: Option<&Interfaces>,
    ) -> Result<(), ClusterError> {
        let Some(host) = self.of(node) else { return Ok(()) };
        let failed = |error: Error| ClusterError::new(format!("starting {host}"), error.to_string());
        // One that runs already is left alone by the engine.
        engine.docker.start_container(host, None::<StartContainerOptions>).await.map_err(failed)?;
        let so_far = match interfaces {
            Some(interfaces) => stats::sample(engine, host, node, 0, interfaces).await.map_err(failed)?,
            None => None,
        };
        self.before.lock().await.insert(node.to_owned(), so_far.map(|sample| sample.networks).unwrap_or_default());
        Ok(())
    }

    /// Ends a node's host, as when the machine is gone.
    pub async fn kill(&self, engine: &Engine, node: &str) -> Result<(), ClusterError> {
        let Some(host) = self.of(node) else { return Ok(()) };
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        match engine.docker.kill_container(host, Some(options)).await {
            // It does not run.
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
            Err(error) => Err(ClusterError::new(format!("killing {host}"), error.to_string())),
        }
    }

    /// What the node's process itself moved since its start.
    pub async fn since_its_start(&self, mut sample: NodeSample) -> NodeSample {
        if let Some(before) = self.before.lock().await.get(&sample.node) {
            for (network, traffic) in &mut sample.networks {
                let earlier = before.get(network).copied().unwrap_or_default();
                traffic.received_bytes = traffic.received_bytes.saturating_sub(earlier.received_bytes);
                traffic.sent_bytes = traffic.sent_bytes.saturating_sub(earlier.sent_bytes);
            }
        }
        sample
    }
}
