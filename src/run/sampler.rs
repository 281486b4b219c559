//! Samples all nodes: once a second from the end of the warm-up, and on demand, because a container's counters vanish
//! with the container.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Cluster, ClusterError};
use crate::history::NodeSample;
use crate::lock::{lock, unlock};
use crate::topology::Network;

/// Interval between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// All samples so far.
#[derive(Default)]
pub struct Sampler {
    samples: Mutex<Vec<NodeSample>>,
    failures: Mutex<u64>,
    took: Mutex<Duration>,
}

impl Sampler {
    /// Takes one sample of every node.
    pub async fn take<C: Cluster>(&self, cluster: &C) -> Result<(), ClusterError> {
        let began = Instant::now();
        let samples = cluster.sample().await?;
        *lock(&self.took) = began.elapsed();
        lock(&self.samples).extend(samples);
        Ok(())
    }

    /// How long the last sample took; zero before the first one.
    pub fn takes(&self) -> Duration {
        *lock(&self.took)
    }

    /// Takes samples for as long as the future is polled. A failed sample is only counted, because another one follows.
    pub async fn run<C: Cluster>(&self, cluster: &C, zero: Instant, warm_up: Duration) {
        let mut next = zero + warm_up;
        loop {
            tokio::time::sleep_until(next).await;
            if self.take(cluster).await.is_err() {
                *lock(&self.failures) += 1;
            }
            next = (next + INTERVAL).max(Instant::now());
        }
    }

    /// Bytes that each node has received and sent on a network, according to its last sample.
    pub fn bytes_moved(&self, network: Network) -> BTreeMap<String, u64> {
        let samples = lock(&self.samples);
        let moved = samples.iter().filter_map(|sample| {
            let traffic = sample.networks.get(&network)?;
            Some((sample.node.clone(), traffic.received_bytes + traffic.sent_bytes))
        });
        moved.collect()
    }

    /// All samples, and how many failed.
    pub fn into_samples(self) -> (Vec<NodeSample>, u64) {
        (unlock(self.samples), unlock(self.failures))
    }
}
