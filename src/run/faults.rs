//! Plays the planned faults on their schedule and writes down what was seen of each.

use tokio::time::Instant;

use super::sampler::Sampler;
use crate::agent::remote::Prober;
use crate::cluster::{Cluster, ClusterError};
use crate::fault::{self, Site, Verified};
use crate::history::{FaultRecord, Step};
use crate::plan::PlannedFault;

/// The time line of a load.
#[derive(Clone, Copy)]
pub struct TimeLine {
    /// The start of the load by the driver's clock.
    pub zero: Instant,
    /// The same by the wall clock of the machine where the nodes run.
    pub unix_ns: u64,
}

impl TimeLine {
    /// Now, in nanoseconds from the start of the load.
    pub fn now_ns(self) -> u64 {
        u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Injects and heals each fault at its time, in turn. A fault that was injected is healed at once when
/// `hurry` says so, so that nothing is left broken.
pub async fn play<C: Cluster>(
    cluster: &C,
    prober: &Prober,
    sampler: &Sampler,
    planned: &[PlannedFault],
    time: TimeLine,
    records: &std::sync::Mutex<Vec<FaultRecord>>,
    say: &(dyn Fn(&str) + Sync),
) {
    for fault in planned {
        let mut record = FaultRecord::planned(fault.kind, &fault.node);
        let result = play_one(cluster, prober, sampler, fault, time, &mut record, say).await;
        if let Err(error) = result {
            say(&format!("{} of {} failed: {error}", fault.kind, fault.node));
            record.error = Some(error.to_string());
        }
        records.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(record);
    }
}

async fn play_one<C: Cluster>(
    cluster: &C,
    prober: &Prober,
    sampler: &Sampler,
    planned: &PlannedFault,
    time: TimeLine,
    record: &mut FaultRecord,
    say: &(dyn Fn(&str) + Sync),
) -> Result<(), ClusterError> {
    let node = cluster.topology().node(&planned.node);
    let node =
        node.ok_or_else(|| ClusterError::new(format!("looking for {}", planned.node), "the target has no such node"))?;
    let site = Site { cluster, prober, node };
    tokio::time::sleep_until(time.zero + planned.at.get()).await;
    // The node's counters vanish with it.
    sampler.take(cluster).await?;
    record.ordered_ns = Some(time.now_ns());
    let verified = fault::inject(planned.kind, &site).await?;
    record.injected_ns = Some(when(&verified, time));
    note(record, &verified, time);
    say(&format!("{} of {} took effect", planned.kind, planned.node));
    tokio::time::sleep_until(time.zero + planned.heal_at.get()).await;
    record.steps.push(Step { at_ns: time.now_ns(), seen: "healing begins".to_owned() });
    let healed = fault::heal(planned.kind, &site).await?;
    record.healed_ns = Some(when(&healed, time));
    note(record, &healed, time);
    say(&format!("{} is healed", planned.node));
    Ok(())
}

fn when(verified: &Verified, time: TimeLine) -> u64 {
    verified.unix_ns.map_or_else(|| time.now_ns(), |unix_ns| unix_ns.saturating_sub(time.unix_ns))
}

fn note(record: &mut FaultRecord, verified: &Verified, time: TimeLine) {
    let at_ns = time.now_ns();
    record.steps.extend(verified.seen.iter().map(|seen| Step { at_ns, seen: seen.clone() }));
}
