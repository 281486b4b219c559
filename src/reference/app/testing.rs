//! Clusters of app nodes inside one test, over real sockets.

use std::net::{SocketAddrV4, TcpListener};

use super::strategy::Sessions;
use crate::reference::config::{AppConfig, Defect, PeerConfig, Replication, StrategyName};

/// The configurations of nodes that form a cluster.
pub fn configs(strategy: StrategyName, replication: Replication, count: usize) -> Vec<AppConfig> {
    let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let address = |listener: &TcpListener| match listener.local_addr().unwrap() {
        std::net::SocketAddr::V4(address) => address,
        std::net::SocketAddr::V6(_) => unreachable!("it was bound to an IPv4 address"),
    };
    let addresses: Vec<SocketAddrV4> = listeners.iter().map(address).collect();
    let peer = |index: usize| PeerConfig { name: format!("app-{}", index + 1), address: addresses[index] };
    let config = |index: usize| AppConfig {
        defect: Defect::None,
        name: format!("app-{}", index + 1),
        listen: addresses[index],
        strategy,
        face: crate::reference::config::Face::Contract,
        replication,
        cluster_listen: Some(addresses[index]),
        peers: (0..count).filter(|other| *other != index).map(peer).collect(),
        store: None,
        expires_after_ms: 0,
    };
    (0..count).map(config).collect()
}

/// Starts a node, and waits until it is ready and sees at least `others` other nodes.
pub async fn start(config: &AppConfig, others: usize) -> Sessions {
    let sessions = Sessions::start(config).await.unwrap();
    wait_until(|| sessions.is_ready() && sessions.members().len() >= others).await;
    sessions
}

/// Starts all nodes at once.
pub async fn start_all(configs: &[AppConfig]) -> Vec<Sessions> {
    futures::future::join_all(configs.iter().map(|config| start(config, configs.len() - 1))).await
}

/// Waits for a condition, without a timeout: the test runner ends a test that hangs.
pub async fn wait_until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Runs a test on one thread, as a node runs.
pub fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}
