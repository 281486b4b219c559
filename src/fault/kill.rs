//! Kill: the node's process ends without a chance to say anything, as in a crash; it is started again later.

use std::time::Duration;

use tokio::time::timeout;

use super::{Site, Verified};
use crate::agent::readiness;
use crate::agent::remote::Probe;
use crate::cluster::{Cluster, ClusterError};

/// How long the runtime may take to report the end.
const DEATH_TIMEOUT: Duration = Duration::from_secs(10);
/// A dead node must not answer within this.
const SILENCE: Duration = Duration::from_millis(500);
/// How long the node may take until it is ready again.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

pub async fn inject<C: Cluster>(site: &Site<'_, C>) -> Result<Verified, ClusterError> {
    let name = site.node.name.as_str();
    let doing = || format!("killing {name}");
    site.cluster.kill(name).await?;
    let died = timeout(DEATH_TIMEOUT, site.cluster.death_of(name)).await;
    let died = died.map_err(|_| ClusterError::new(doing(), format!("the engine reported no end within {} s", DEATH_TIMEOUT.as_secs())))??;
    if site.cluster.is_running(name).await? {
        return Err(ClusterError::new(doing(), "it is still running"));
    }
    let mut seen = vec!["the engine reported its end".to_owned()];
    if let Some(url) = readiness::url(site.node) {
        match site.prober.probe(&url, SILENCE).await {
            Probe::Silent(reason) => seen.push(format!("unreachable: {reason}")),
            Probe::Answered { status, .. } => return Err(ClusterError::new(doing(), format!("it still answers, with {status}"))),
        }
    }
    Ok(Verified { unix_ns: Some(died), seen })
}

pub async fn heal<C: Cluster>(site: &Site<'_, C>) -> Result<Verified, ClusterError> {
    let name = site.node.name.as_str();
    site.cluster.start(name).await?;
    readiness::wait_until_ready(site.cluster, site.prober, site.node, READY_TIMEOUT).await?;
    Ok(Verified { unix_ns: None, seen: vec!["started again and ready".to_owned()] })
}
