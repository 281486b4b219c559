//! What the engine's machine can do to the network of a node: asked of its kernel, in an empty network namespace.

use std::collections::BTreeMap;

use super::networks::Ownership;
use super::{Engine, beside};
use crate::cluster::ClusterError;
use crate::history::Ability;

/// Tries each thing once and prints what works.
const SCRIPT: &str = "
iptables -w -A INPUT -s 192.0.2.1 -m statistic --mode random --probability 0.5 -j DROP &&
  iptables -w -A INPUT -s 192.0.2.1 -p tcp -j REJECT --reject-with tcp-reset && echo packet-filter
tc qdisc add dev lo root tbf rate 100000bps burst 5000 latency 200ms && tc qdisc del dev lo root && echo rate-limit
tc qdisc add dev lo root netem delay 1ms && tc qdisc del dev lo root && echo netem
exit 0";

/// What cannot be done here, and why, of what faults may need.
///
/// # Errors
/// When the engine does not run a container.
pub async fn missing(engine: &Engine, toolbox: &str, run: &str) -> Result<BTreeMap<Ability, String>, ClusterError> {
    let owner = Ownership { run: run.to_owned(), trial: "abilities".to_owned() };
    let (_, printed) = beside::run(engine, &owner, toolbox, "none", SCRIPT)
        .await
        .map_err(|error| ClusterError::new("asking the kernel what faults it can do", error.to_string()))?;
    let has = |word: &str| printed.lines().any(|line| line.trim() == word);
    let last_line = printed.lines().last().unwrap_or_default().trim().to_owned();
    let mut missing = BTreeMap::new();
    for (ability, word) in
        [(Ability::PacketFilter, "packet-filter"), (Ability::RateLimit, "rate-limit"), (Ability::Netem, "netem")]
    {
        if !has(word) {
            let why = format!("the kernel of the engine's machine lacks {} ({last_line})", ability.describe());
            missing.insert(ability, why);
        }
    }
    Ok(missing)
}
