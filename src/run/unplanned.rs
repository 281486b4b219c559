//! Finds nodes that ended although no fault ended them. The strategy did not cause the loss of their sessions, so each
//! such node is a reason why the trial is inconclusive.

use std::time::Duration;

use tokio::time::timeout;

use crate::cluster::{Cluster, NodeState};
use crate::fault::FaultKind;
use crate::history::FaultRecord;
use crate::topology::Node;

/// How long the runtime may take to report whether and when a node ended.
const TELL_TIMEOUT: Duration = Duration::from_secs(2);

/// One message per node that ended unplanned. `started_unix_ns` is the wall clock at the start of the load. A node is
/// left out if the runtime does not report its state.
pub async fn ends<C: Cluster>(cluster: &C, faults: &[FaultRecord], started_unix_ns: u64) -> Vec<String> {
    let mut ends = Vec::new();
    for node in cluster.topology().nodes.iter().filter(|node| should_run(node, faults)) {
        if matches!(timeout(TELL_TIMEOUT, cluster.state_of(&node.name)).await, Ok(Ok(NodeState::Ended))) {
            ends.push(describe_end(cluster, &node.name, started_unix_ns).await);
        }
    }
    ends
}

/// Whether a node should be running: not if it has left, if its fault is not healed, or if it is a standby that never
/// joined.
fn should_run(node: &Node, faults: &[FaultRecord]) -> bool {
    let of_node = || faults.iter().filter(|fault| fault.node == node.name && fault.ordered_ns.is_some());
    let is_kind = |fault: &FaultRecord, is: fn(&FaultKind) -> bool| FaultKind::find(&fault.kind).is_some_and(is);
    let has_joined = of_node().any(|fault| is_kind(fault, FaultKind::adds_node) && fault.injected_ns.is_some());
    let is_out = of_node().any(|fault| is_kind(fault, |kind| kind.removes_node) || fault.healed_ns.is_none());
    (!node.is_standby || has_joined) && !is_out
}

async fn describe_end<C: Cluster>(cluster: &C, node: &str, started_unix_ns: u64) -> String {
    let death = timeout(TELL_TIMEOUT, cluster.wait_for_exit(node)).await.ok().and_then(Result::ok);
    let when = death.map_or_else(String::new, |unix_ns| match unix_ns.checked_sub(started_unix_ns) {
        Some(after_ns) => format!(" {:.1} s into the load", Duration::from_nanos(after_ns).as_secs_f64()),
        None => " before the load".to_owned(),
    });
    let starved = timeout(TELL_TIMEOUT, cluster.ran_out_of_memory(node)).await;
    let why = if matches!(starved, Ok(Ok(true))) { ": it ran out of memory" } else { "" };
    format!("{node} ended by itself{when}{why}; the strategy did not cause the loss of its sessions; its log says more")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::FakeCluster;

    async fn all_up() -> FakeCluster {
        let cluster = FakeCluster::of("tomcat-none");
        for node in &cluster.topology().nodes {
            cluster.start(&node.name).await.unwrap();
        }
        cluster
    }

    fn fault(fault: &str, healed_ns: Option<u64>) -> FaultRecord {
        FaultRecord { ordered_ns: Some(1), healed_ns, ..FaultRecord::planned(fault, "app-2") }
    }

    #[tokio::test]
    async fn a_node_that_no_fault_ended_is_named_with_what_is_known_of_its_end() {
        let cluster = all_up().await;
        assert_eq!(ends(&cluster, &[], 0).await, [""; 0]);
        cluster.kill("app-2").await.unwrap();
        cluster.starved.lock().unwrap().insert("app-2".to_owned());
        let messages = ends(&cluster, &[], u64::MAX).await;
        assert_eq!(
            messages,
            ["app-2 ended by itself before the load: it ran out of memory; the strategy did not cause the loss of \
              its sessions; its log says more"]
        );
        let after_its_heal = ends(&cluster, &[fault("kill", Some(2))], 0).await;
        assert!(after_its_heal[0].contains(" s into the load"), "{after_its_heal:?}");
    }

    #[tokio::test]
    async fn a_node_that_is_out_by_a_fault_is_not_named() {
        let cluster = all_up().await;
        cluster.kill("app-2").await.unwrap();
        for faults in [fault("kill", None), fault("leave", Some(2))] {
            assert_eq!(ends(&cluster, &[faults], 0).await, [""; 0]);
        }
    }
}
