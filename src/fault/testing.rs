//! Helpers for tests of faults: a site at a node of a fake cluster.

use super::{Definition, Site, Verified};
use crate::agent::remote::Agent;
use crate::cluster::Cluster;
use crate::cluster::fake::FakeCluster;

/// Starts every node, and runs a test at app-2.
pub async fn at_app_2<T>(cluster: &FakeCluster, test: impl AsyncFnOnce(Site<'_, FakeCluster>) -> T) -> T {
    for node in &cluster.topology().nodes {
        cluster.start(&node.name).await.unwrap();
    }
    at_node(cluster, "app-2", test).await
}

/// Runs a test at a node, without starting any node.
pub async fn at_node<T>(cluster: &FakeCluster, node: &str, test: impl AsyncFnOnce(Site<'_, FakeCluster>) -> T) -> T {
    let agent = Agent::connect(cluster.open_agent(0).await.unwrap()).await.unwrap();
    let prober = agent.prober();
    test(Site { cluster, prober: &prober, node: cluster.topology().node(node).unwrap() }).await
}

/// The scripts that inject and heal a fault at app-2, and the result of the injection.
pub async fn scripts_of(fault: &impl Definition, printed: &str) -> (String, String, Verified) {
    let mut cluster = FakeCluster::of("tomcat-delta");
    cluster.printed = printed.to_owned();
    let injected = at_app_2(&cluster, async |site| {
        let injected = fault.inject(&site).await.unwrap();
        fault.heal(&site).await.unwrap();
        injected
    })
    .await;
    let mut scripts: Vec<String> = cluster.scripts.lock().unwrap().iter().map(|(_, script)| script.clone()).collect();
    let healing = scripts.pop().unwrap();
    (scripts.pop().unwrap(), healing, injected)
}
