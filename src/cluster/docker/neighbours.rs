//! The kernel keeps one table of neighbours (ARP) for all containers of a machine, 1024 entries by default. When it is
//! full, packets between containers are lost for seconds. A full mesh of n nodes needs about n² entries.

use crate::cluster::ClusterError;
use crate::topology::Target;

/// The kernel's default limit.
const DEFAULT_LIMIT: u32 = 1024;
/// Entries for all else on the machine: clients, the agent, other containers.
const RESERVE: u32 = 128;

/// Checks that the nodes of a target fit into the table.
pub fn check(target: &Target, app_nodes: u8) -> Result<(), ClusterError> {
    // The engine is mostly on this machine. If this one has no such file, the default is the best guess.
    let limit = std::fs::read_to_string("/proc/sys/net/ipv4/neigh/default/gc_thresh3");
    check_with(limit.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(DEFAULT_LIMIT), target, app_nodes)
}

fn check_with(limit: u32, target: &Target, app_nodes: u8) -> Result<(), ClusterError> {
    let nodes = u32::from(app_nodes);
    let mesh = if target.app_nodes_form_a_cluster() { nodes * (nodes - 1) } else { 0 };
    // Balancer and app nodes are neighbours, and so are app nodes and store.
    let needed = mesh + 4 * nodes + RESERVE;
    if needed <= limit {
        return Ok(());
    }
    Err(ClusterError::new(
        format!("starting {} with {app_nodes} app nodes in containers", target.name),
        format!("they need about {needed} entries in the kernel's table of neighbours, which holds {limit}"),
    )
    .advise("take fewer nodes, raise it with `sysctl -w net.ipv4.neigh.default.gc_thresh3=8192`, or run reference targets with --runtime process"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mesh_that_does_not_fit_is_refused_with_a_fix_and_others_are_not() {
        let check = |name: &str, nodes: u8| check_with(DEFAULT_LIMIT, &Target::find(name).unwrap(), nodes);
        check("tomcat-delta", 24).unwrap();
        check("tomcat-redis", 32).unwrap();
        let message = check("tomcat-delta", 32).unwrap_err().to_string();
        assert!(message.contains("table of neighbours, which holds 1024"), "{message}");
        assert!(message.contains("gc_thresh3=8192"), "{message}");
    }
}
