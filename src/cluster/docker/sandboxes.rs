//! Sandboxes: for each node, a container that has the node's addresses and does nothing. When the node's process ends, the
//! sandbox's kernel refuses connections at once, as the machine of a crashed process does. Without one they would get no answer,
//! as if the machine were gone. A cluster has sandboxes only if a fault of its plan needs them.

use std::collections::BTreeMap;

use bollard::errors::Error;
use bollard::query_parameters::KillContainerOptionsBuilder;
use tokio::sync::Mutex;

use super::Engine;
use super::stats::{self, Interfaces};
use crate::cluster::ClusterError;
use crate::history::{NodeSample, Traffic};
use crate::topology::Network;

/// The sandboxes of one cluster.
#[derive(Default)]
pub struct Sandboxes {
    /// Containers by node.
    containers: BTreeMap<String, String>,
    /// Traffic of each node's interfaces before its last start: interfaces outlive the process.
    before: Mutex<BTreeMap<String, BTreeMap<Network, Traffic>>>,
}

impl Sandboxes {
    pub fn new(containers: BTreeMap<String, String>) -> Self {
        Self { containers, before: Mutex::default() }
    }

    /// The container whose network a node uses: its sandbox's, or its own.
    pub fn network_of<'a>(&'a self, node: &str, own: &'a str) -> &'a str {
        self.containers.get(node).map_or(own, String::as_str)
    }

    /// The sandbox of a node, if it has one.
    pub fn of(&self, node: &str) -> Option<&str> {
        self.containers.get(node).map(String::as_str)
    }

    /// Starts a node's sandbox if it is not running. `interfaces` come from the node's previous start.
    pub async fn start(
        &self,
        engine: &Engine,
        node: &str,
        interfaces: Option<&Interfaces>,
    ) -> Result<(), ClusterError> {
        let Some(sandbox) = self.of(node) else { return Ok(()) };
        let failed = |error: Error| ClusterError::new(format!("starting {sandbox}"), error.to_string());
        // The engine ignores this if the sandbox is running.
        engine.start_container(sandbox).await.map_err(failed)?;
        let so_far = match interfaces {
            Some(interfaces) => stats::sample(engine, sandbox, node, 0, interfaces).await.map_err(failed)?,
            None => None,
        };
        self.before.lock().await.insert(node.to_owned(), so_far.map(|sample| sample.networks).unwrap_or_default());
        Ok(())
    }

    /// Kills a node's sandbox, as if the machine were gone.
    pub async fn kill(&self, engine: &Engine, node: &str) -> Result<(), ClusterError> {
        let Some(sandbox) = self.of(node) else { return Ok(()) };
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        match engine.docker.kill_container(sandbox, Some(options)).await {
            // The sandbox was not running.
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
            Err(error) => Err(ClusterError::new(format!("killing {sandbox}"), error.to_string())),
        }
    }

    /// Keeps only the traffic of the node's process since its start.
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
