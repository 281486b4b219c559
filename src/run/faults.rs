//! Plays the planned faults on schedule, concurrently, and records what was observed of each. Each step is written to a
//! journal before and after it, so that the journal shows what was done to a cluster that a dead driver left behind.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::try_join_all;
use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::balancer;
use super::sampler::Sampler;
use crate::agent::readiness;
use crate::agent::remote::Prober;
use crate::cluster::{Cluster, ClusterError};
use crate::fault::{Hurts, Site, Verified};
use crate::history::{FaultRecord, FaultStep};
use crate::lock::{lock, unlock};
use crate::profile::{PlannedFault, PlannedNode};
use crate::record::Journal;
use crate::topology::{Network, Node, Tier};

/// Maximum delay of the start message if driver and agent share a clock.
const SAME_CLOCK: Duration = Duration::from_secs(1);
/// Longest lead of the sample before a fault. The lead is the time that the last sample took, plus [`LEAD_MARGIN`],
/// because no fault waits for a sample. A sample takes up to a second on some engines (20.10 waits for its next reading
/// of the counters).
const MAX_LEAD: Duration = Duration::from_millis(1200);
const LEAD_MARGIN: Duration = Duration::from_millis(30);
/// How often healing a fault is tried until it is verified.
const HEAL_ATTEMPTS: u32 = 3;
/// Pause between two attempts.
const HEAL_PAUSE: Duration = Duration::from_secs(1);
/// How long the balancer may take to mark a healed node up.
const BALANCER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two requests for its statistics.
const BALANCER_PAUSE: Duration = Duration::from_millis(100);
/// How long a node may take to count its sessions.
const INTERNALS_TIMEOUT: Duration = Duration::from_secs(5);

/// The clock of a load.
#[derive(Clone, Copy)]
pub struct LoadClock {
    /// The start of the load by the driver's clock.
    pub zero: Instant,
    /// The same by the wall clock of the machine where the nodes run, in nanoseconds since 1970.
    pub unix_ns: u64,
}

impl LoadClock {
    /// The clock of a load that, according to a message that has just arrived, started at `unix_ns`. The delay of the
    /// message is subtracted. A delay of `SAME_CLOCK` or more means that the agent's machine has another clock; then
    /// the load counts as started now, unless it is known how far that clock is ahead.
    pub fn started_at(unix_ns: u64, clock_ahead_ns: i64) -> Self {
        let now_unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ago = now_unix.saturating_sub(Duration::from_nanos(unix_ns.saturating_add_signed(-clock_ahead_ns)));
        let now = Instant::now();
        let zero = now.checked_sub(ago).filter(|_| ago < SAME_CLOCK).unwrap_or(now);
        Self { zero, unix_ns }
    }

    /// Now, in nanoseconds from the start of the load.
    pub fn now_ns(self) -> u64 {
        u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The records of the faults so far. Updated while a fault is played, so that an interrupted trial still has them.
pub struct FaultLog<'a> {
    records: Mutex<Vec<FaultRecord>>,
    journal: &'a Journal,
}

impl<'a> FaultLog<'a> {
    /// An empty log.
    pub fn new(journal: &'a Journal) -> Self {
        Self { records: Mutex::default(), journal }
    }

    fn begin(&self, planned: &PlannedFault) -> usize {
        let mut records = lock(&self.records);
        let kind = planned.fault.kind();
        records.push(FaultRecord {
            detail: planned.fault.detail(),
            parameters: planned.fault.parameters(),
            hurts_everybody: Some(kind.hurts == Hurts::Everybody),
            ..FaultRecord::planned(kind.name, &planned.node.to_string())
        });
        records.len() - 1
    }

    fn update(&self, index: usize, change: impl FnOnce(&mut FaultRecord)) -> Result<(), ClusterError> {
        let mut records = lock(&self.records);
        let Some(record) = records.get_mut(index) else { return Ok(()) };
        change(record);
        self.journal.write(record).map_err(|error| ClusterError::new("writing the journal", error.to_string()))
    }

    /// All records, sorted by the time at which the fault was ordered.
    pub fn into_records(self) -> Vec<FaultRecord> {
        let mut records = unlock(self.records);
        records.sort_by_key(|record| record.ordered_ns.unwrap_or(u64::MAX));
        records
    }
}

/// Plays faults on a cluster.
pub struct Player<'a, C> {
    /// The cluster.
    pub cluster: &'a C,
    /// Probes its nodes.
    pub prober: &'a Prober,
    /// Takes a sample before a node's counters vanish.
    pub sampler: &'a Sampler,
    /// The clock of the load.
    pub time: LoadClock,
    /// The log of the records.
    pub log: &'a FaultLog<'a>,
    /// Receives messages about the faults.
    pub say: &'a (dyn Fn(&str) + Sync),
}

/// Why a fault could not be healed.
#[derive(Debug)]
pub struct HealFailed(pub String);

impl<C: Cluster> Player<'_, C> {
    /// Injects and heals each fault at its time.
    ///
    /// # Errors
    /// As soon as a fault cannot be healed, because the cluster is unusable then.
    pub async fn play(&self, planned: &[PlannedFault]) -> Result<(), HealFailed> {
        // Records are in the order of the plan, whichever fault is played first.
        let all = planned.iter().map(|fault| {
            let index = self.log.begin(fault);
            async move {
                match self.play_one(fault, index).await {
                    Ok(()) => Ok(()),
                    Err(Failure::Proof(error)) => {
                        let noted = self.log.update(index, |record| record.error = Some(error.to_string()));
                        noted.map_err(|error| HealFailed(error.to_string()))
                    }
                    Err(Failure::Heal(error)) => {
                        let reason =
                            format!("the {} of {} could not be healed: {error}", fault.fault.kind(), fault.node);
                        let _ = self.log.update(index, |record| record.error = Some(error.to_string()));
                        Err(HealFailed(reason))
                    }
                }
            }
        });
        try_join_all(all).await.map(drop)
    }

    async fn play_one(&self, planned: &PlannedFault, index: usize) -> Result<(), Failure> {
        let at = self.time.zero + planned.at.get();
        sleep_until(at.checked_sub(MAX_LEAD).unwrap_or(at)).await;
        let lead = (self.sampler.takes() + LEAD_MARGIN).min(MAX_LEAD);
        sleep_until(at.checked_sub(lead).unwrap_or(at)).await;
        // A node's counters may vanish with it. A sample that fails or is late is skipped.
        let _ = timeout_at(at, self.sampler.take_all(self.cluster)).await;
        sleep_until(at).await;
        let kind = planned.fault.kind();
        let node = self.choose(&planned.node).await?;
        let name = match planned.node {
            PlannedNode::EachApp => planned.node.to_string(),
            _ => node.name.clone(),
        };
        let site = Site { cluster: self.cluster, prober: self.prober, node };
        self.log.update(index, |record| {
            record.node.clone_from(&name);
            record.tier = (planned.node != PlannedNode::EachApp).then_some(node.tier);
            record.ordered_ns = Some(self.time.now_ns());
        })?;
        let guard = planned.fault.guard(node)?;
        let injected = planned.fault.inject(&site).await;
        match &injected {
            Ok(verified) => {
                self.log.update(index, |record| {
                    record.injected_ns = Some(when(verified, self.time));
                    note(record, verified, self.time);
                })?;
                (self.say)(&format!("{kind} of {name} took effect"));
            }
            // A failed injection may have taken effect in part, so it is healed too.
            Err(error) => (self.say)(&format!("{kind} of {name} failed: {error}")),
        }
        let heal_at = self.time.zero + planned.heal_at.get();
        if injected.is_ok() && self.wait_for_the_balancer(node, false, heal_at).await {
            self.log.update(index, |record| record.marked_down_ns = Some(self.time.now_ns()))?;
        }
        sleep_until(heal_at).await;
        let begins = FaultStep { at_ns: self.time.now_ns(), seen: "healing begins".to_owned() };
        self.log.update(index, |record| {
            record.heal_ordered_ns = Some(begins.at_ns);
            record.steps.push(begins);
        })?;
        let healed = self.heal(planned, &site).await.map_err(Failure::Heal)?;
        if let Some(guard) = guard {
            guard.dismiss();
        }
        self.log.update(index, |record| {
            record.healed_ns = Some(when(&healed, self.time));
            note(record, &healed, self.time);
        })?;
        (self.say)(&format!("{name} is healed"));
        if self.wait_for_the_balancer(node, true, Instant::now() + BALANCER_TIMEOUT).await {
            self.log.update(index, |record| record.marked_up_ns = Some(self.time.now_ns()))?;
        }
        injected.map(drop).map_err(Failure::Proof)
    }

    /// Waits until the balancer has marked a node down, or up again. Returns whether it did so before `until`; `false`
    /// at once if it publishes no statistics or the node is no app node.
    async fn wait_for_the_balancer(&self, node: &Node, is_up: bool, until: Instant) -> bool {
        let topology = self.cluster.topology();
        let tells = balancer::tells_nodes(topology);
        while tells && node.tier == Tier::App && Instant::now() < until {
            let view = balancer::ask(topology, self.prober).await;
            if view.nodes.get(&node.name).is_some_and(|view| view.is_up == is_up) {
                return true;
            }
            sleep(BALANCER_PAUSE).await;
        }
        false
    }

    /// Heals a fault; tries again if success was not verified.
    async fn heal(&self, planned: &PlannedFault, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let mut attempt = 1;
        loop {
            match planned.fault.heal(site).await {
                Err(error) if attempt < HEAL_ATTEMPTS => {
                    (self.say)(&format!("healing {} failed, attempt {attempt}: {error}", site.node.name));
                    attempt += 1;
                    sleep(HEAL_PAUSE).await;
                }
                result => return result,
            }
        }
    }

    async fn choose(&self, planned: &PlannedNode) -> Result<&Node, ClusterError> {
        let topology = self.cluster.topology();
        let missing = |what: &str| ClusterError::new(format!("looking for {what}"), "the target has no such node");
        match planned {
            PlannedNode::Named(name) => topology.node(name).ok_or_else(|| missing(name)),
            PlannedNode::EachApp => topology.tier(Tier::App).next().ok_or_else(|| missing("app nodes")),
            PlannedNode::Busiest => {
                let moved = self.sampler.bytes_moved(Network::Front);
                let apps = topology.tier(Tier::App);
                let busiest = apps.max_by_key(|node| moved.get(&node.name).copied().unwrap_or_default());
                busiest.ok_or_else(|| missing("app nodes"))
            }
            PlannedNode::PrimaryOfMostSessions => {
                let mut most: Option<(u64, &Node)> = None;
                for node in topology.tier(Tier::App) {
                    let count = self.primaries_of(node).await?;
                    if most.is_none_or(|(highest, _)| count > highest) {
                        most = Some((count, node));
                    }
                }
                most.map(|(_, node)| node).ok_or_else(|| missing("app nodes"))
            }
        }
    }

    async fn primaries_of(&self, node: &Node) -> Result<u64, ClusterError> {
        let doing = || format!("asking {} how many sessions it holds", node.name);
        let url = readiness::url_of(node, "/internals").unwrap_or_default();
        let answer = self.prober.probe(&url, INTERNALS_TIMEOUT).await;
        let text = answer.success().ok_or_else(|| ClusterError::new(doing(), "it did not answer"))?;
        let holds: Holds = serde_json::from_str(text).map_err(|error| ClusterError::new(doing(), error.to_string()))?;
        Ok(holds.sessions.primary)
    }
}

/// The part of `/internals` that counts the sessions of a node.
#[derive(Deserialize)]
struct Holds {
    sessions: Roles,
}

#[derive(Deserialize)]
struct Roles {
    primary: u64,
}

/// Why a fault is inconclusive.
enum Failure {
    /// Its effect was not verified.
    Proof(ClusterError),
    /// Its healing was not verified.
    Heal(ClusterError),
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        Self::Proof(error)
    }
}

fn when(verified: &Verified, time: LoadClock) -> u64 {
    verified.unix_ns.map_or_else(|| time.now_ns(), |unix_ns| unix_ns.saturating_sub(time.unix_ns))
}

fn note(record: &mut FaultRecord, verified: &Verified, time: LoadClock) {
    let at_ns = time.now_ns();
    record.steps.extend(verified.seen.iter().map(|seen| FaultStep { at_ns, seen: seen.clone() }));
}
