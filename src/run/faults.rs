//! Plays the planned faults on their schedule and writes down what was seen of each.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep_until};

use super::sampler::Sampler;
use crate::agent::remote::Prober;
use crate::cluster::{Cluster, ClusterError};
use crate::fault::{self, Site, Verified};
use crate::history::{FaultRecord, Step};
use crate::lock::{lock, unlock};
use crate::plan::PlannedFault;

/// Word of a start does not take longer where the clock is the same.
const SAME_CLOCK: Duration = Duration::from_secs(1);

/// The time line of a load.
#[derive(Clone, Copy)]
pub struct TimeLine {
    /// The start of the load by the driver's clock.
    pub zero: Instant,
    /// The same by the wall clock of the machine where the nodes run.
    pub unix_ns: u64,
}

impl TimeLine {
    /// The time line of a load of which the driver has just been told that it started at `unix_ns`. The word
    /// of it took a moment; on another machine the clock may be another, and then it is taken to have
    /// started now.
    pub fn started_at(unix_ns: u64) -> Self {
        let told = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ago = told.saturating_sub(Duration::from_nanos(unix_ns));
        let now = Instant::now();
        let zero = now.checked_sub(ago).filter(|_| ago < SAME_CLOCK).unwrap_or(now);
        Self { zero, unix_ns }
    }

    /// Now, in nanoseconds from the start of the load.
    pub fn now_ns(self) -> u64 {
        u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What was seen of each fault so far. It is written while a fault goes on, so that an interrupted trial
/// still knows what was done to it.
#[derive(Default)]
pub struct FaultLog {
    records: Mutex<Vec<FaultRecord>>,
}

impl FaultLog {
    fn begin(&self, planned: &PlannedFault) -> usize {
        let mut records = lock(&self.records);
        records.push(FaultRecord::planned(planned.kind, &planned.node));
        records.len() - 1
    }

    fn update(&self, index: usize, change: impl FnOnce(&mut FaultRecord)) {
        if let Some(record) = lock(&self.records).get_mut(index) {
            change(record);
        }
    }

    /// Everything that was seen.
    pub fn into_records(self) -> Vec<FaultRecord> {
        unlock(self.records)
    }
}

/// Plays faults on a cluster.
pub struct Player<'a, C> {
    /// The cluster.
    pub cluster: &'a C,
    /// Asks its nodes.
    pub prober: &'a Prober,
    /// Takes a sample before a node's counters vanish.
    pub sampler: &'a Sampler,
    /// When is now.
    pub time: TimeLine,
    /// Where it is written down.
    pub log: &'a FaultLog,
    /// Is told what happens.
    pub say: &'a (dyn Fn(&str) + Sync),
}

impl<C: Cluster> Player<'_, C> {
    /// Injects and heals each fault at its time, in turn.
    pub async fn play(&self, planned: &[PlannedFault]) {
        for fault in planned {
            let index = self.log.begin(fault);
            if let Err(error) = self.play_one(fault, index).await {
                self.log.update(index, |record| record.error = Some(error.to_string()));
            }
        }
    }

    async fn play_one(&self, planned: &PlannedFault, index: usize) -> Result<(), ClusterError> {
        let missing = || ClusterError::new(format!("looking for {}", planned.node), "the target has no such node");
        let node = self.cluster.topology().node(&planned.node).ok_or_else(missing)?;
        let site = Site { cluster: self.cluster, prober: self.prober, node };
        sleep_until(self.time.zero + planned.at.get()).await;
        self.sampler.take(self.cluster).await?;
        self.log.update(index, |record| record.ordered_ns = Some(self.time.now_ns()));
        let injected = fault::inject(planned.kind, &site).await;
        match &injected {
            Ok(verified) => {
                self.log.update(index, |record| {
                    record.injected_ns = Some(when(verified, self.time));
                    note(record, verified, self.time);
                });
                (self.say)(&format!("{} of {} took effect", planned.kind, planned.node));
            }
            // Half done is not undone: it is healed all the same.
            Err(error) => (self.say)(&format!("{} of {} failed: {error}", planned.kind, planned.node)),
        }
        sleep_until(self.time.zero + planned.heal_at.get()).await;
        let begins = Step { at_ns: self.time.now_ns(), seen: "healing begins".to_owned() };
        self.log.update(index, |record| record.steps.push(begins));
        let healed = fault::heal(planned.kind, &site).await?;
        self.log.update(index, |record| {
            record.healed_ns = Some(when(&healed, self.time));
            note(record, &healed, self.time);
        });
        (self.say)(&format!("{} is healed", planned.node));
        injected.map(drop)
    }
}

fn when(verified: &Verified, time: TimeLine) -> u64 {
    verified.unix_ns.map_or_else(|| time.now_ns(), |unix_ns| unix_ns.saturating_sub(time.unix_ns))
}

fn note(record: &mut FaultRecord, verified: &Verified, time: TimeLine) {
    let at_ns = time.now_ns();
    record.steps.extend(verified.seen.iter().map(|seen| Step { at_ns, seen: seen.clone() }));
}
