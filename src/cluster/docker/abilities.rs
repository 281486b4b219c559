//! Finds the abilities that the engine and its machine lack: from the engine's facts, and by tests of the kernel in an
//! empty network namespace.

use std::collections::BTreeMap;

use super::networks::Ownership;
use super::{Engine, EngineFacts, helper};
use crate::cluster::{Ability, ClusterError};

/// Tries each ability once and prints those that work.
const SCRIPT: &str = "
iptables -w -A INPUT -s 192.0.2.1 -m statistic --mode random --probability 0.5 -j DROP &&
  iptables -w -A INPUT -s 192.0.2.1 -p tcp -j REJECT --reject-with tcp-reset && echo packet-filter
tc qdisc add dev lo root tbf rate 100000bps burst 5000 latency 200ms && tc qdisc del dev lo root && echo rate-limit
tc qdisc add dev lo root netem delay 1ms && tc qdisc del dev lo root && echo netem
exit 0";

/// The abilities that the engine lacks by its own facts, with the reasons.
#[must_use]
pub fn missing_by_itself(facts: &EngineFacts) -> BTreeMap<Ability, String> {
    let why = |what: &str| {
        format!(
            "{} {what} (control groups v{}, driver {})",
            facts.name(),
            facts.cgroup_version,
            facts.control_groups.driver
        )
    };
    let all = [
        (Ability::CpuLimit, facts.control_groups.counts_cpu, "limits and counts no processor time"),
        (Ability::MemoryLimit, facts.control_groups.counts_memory, "limits and counts no memory"),
        (Ability::Freezer, facts.control_groups.can_freeze, "cannot pause containers"),
    ];
    all.into_iter().filter(|(_, has, _)| !has).map(|(ability, _, what)| (ability, why(what))).collect()
}

/// The network abilities that faults need and the kernel lacks, with reasons.
///
/// # Errors
/// When the engine does not run a container.
pub async fn missing(engine: &Engine, toolbox: &str, run: &str) -> Result<BTreeMap<Ability, String>, ClusterError> {
    let owner = Ownership { run: run.to_owned(), trial: "abilities".to_owned() };
    let (_, printed) =
        helper::run(engine, &owner, toolbox, &helper::Place::Network("none".to_owned()), SCRIPT)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::docker::ControlGroups;

    #[test]
    fn an_engine_without_control_groups_can_neither_freeze_nor_limit_nor_count() {
        let rootless = EngineFacts {
            product: "Docker".to_owned(),
            version: "26.1.5".to_owned(),
            cgroup_version: "1".to_owned(),
            control_groups: ControlGroups { driver: "none".to_owned(), ..ControlGroups::default() },
            ..EngineFacts::default()
        };
        let missing = missing_by_itself(&rootless);
        assert_eq!(missing.keys().collect::<Vec<_>>(), [&Ability::CpuLimit, &Ability::MemoryLimit, &Ability::Freezer]);
        assert_eq!(
            missing[&Ability::Freezer],
            "Docker engine 26.1.5 cannot pause containers (control groups v1, driver none)"
        );
        let all = ControlGroups { counts_cpu: true, counts_memory: true, can_freeze: true, ..ControlGroups::default() };
        let whole = EngineFacts { control_groups: all, ..rootless };
        assert!(missing_by_itself(&whole).is_empty());
    }
}
