//! Samples all nodes: once a second from the end of the warm-up, and on demand, because a container's counters vanish
//! with the container.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use futures::future::join;
use tokio::time::Instant;

use crate::cluster::{Cluster, ClusterError};
use crate::history::{LinkSample, NodeSample};
use crate::lock::{lock, unlock};
use crate::topology::Network;

/// Interval between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// What was sampled.
pub struct Sampled {
    /// Memory, CPU time and traffic of nodes.
    pub samples: Vec<NodeSample>,
    /// What nodes had sent to nodes on other hosts.
    pub links: Vec<LinkSample>,
    /// How many samples failed.
    pub failures: u64,
}

/// All samples so far.
#[derive(Default)]
pub struct Sampler {
    samples: Mutex<Vec<NodeSample>>,
    links: Mutex<Vec<LinkSample>>,
    failures: Mutex<u64>,
    /// How long the last sample took, and the last reading of links.
    took: Mutex<(Duration, Duration)>,
}

impl Sampler {
    /// Takes one sample of every node.
    async fn take<C: Cluster>(&self, cluster: &C) -> Result<(), ClusterError> {
        let began = Instant::now();
        let samples = cluster.sample().await?;
        lock(&self.took).0 = began.elapsed();
        lock(&self.samples).extend(samples);
        Ok(())
    }

    /// Reads what nodes have sent to other hosts. A reading that fails is left out: the figures are absent then.
    async fn take_links<C: Cluster>(&self, cluster: &C) {
        let began = Instant::now();
        let links = cluster.sample_links().await.unwrap_or_default();
        lock(&self.took).1 = began.elapsed();
        lock(&self.links).extend(links);
    }

    /// Takes a sample of every node and of what crosses between hosts. If it is given up, what was done by then is kept.
    pub async fn take_all<C: Cluster>(&self, cluster: &C) -> Result<(), ClusterError> {
        join(self.take(cluster), self.take_links(cluster)).await.0
    }

    /// How long the last sample of everything took; zero before the first one.
    pub fn takes(&self) -> Duration {
        let took = *lock(&self.took);
        took.0.max(took.1)
    }

    /// Takes samples for as long as the future is polled, and what crosses between hosts at the end of the warm-up and shortly
    /// before the end of the load, both counted from `zero`. A failed sample is only counted, because another one follows.
    pub async fn run<C: Cluster>(&self, cluster: &C, zero: Instant, (warm_up, load_end): (Duration, Duration)) {
        let mut next = zero + warm_up;
        loop {
            tokio::time::sleep_until(next).await;
            let is_first = next == zero + warm_up;
            let is_last = next < zero + load_end && next + 2 * INTERVAL >= zero + load_end;
            let taken = if is_first || is_last { self.take_all(cluster).await } else { self.take(cluster).await };
            *lock(&self.failures) += u64::from(taken.is_err());
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

    /// All samples.
    pub fn into_samples(self) -> Sampled {
        Sampled { samples: unlock(self.samples), links: unlock(self.links), failures: unlock(self.failures) }
    }
}
