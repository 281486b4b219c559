//! Recovery, fault by fault: what its users felt, what was lost with it, and how long it took until all was as before.
//!
//! A fault's *scope* goes from its order to the next fault that is ordered after it was healed, or to the end. What
//! happens there is put down to it; where another fault goes on at the same time, it is put down to both, and the record
//! says so.

mod band;
mod catch_up;

use std::ops::Range;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::latency::{Latency, empty};
use super::resources::Sampled;
use super::series::Interval;
use crate::check::Losses;
use crate::history::{Fate, FaultKind, FaultRecord, HIGHEST_LATENCY_US, Life, Operation, Outcome, Timeline};

pub use band::Back;
pub use catch_up::CatchUp;

/// Sessions by whether the victim had answered them last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ByVictim {
    /// Those that the victim had answered last.
    pub of_victim: u64,
    /// All others.
    pub of_others: u64,
}

impl ByVictim {
    fn count(&mut self, is_of_victim: bool) {
        *(if is_of_victim { &mut self.of_victim } else { &mut self.of_others }) += 1;
    }
}

/// What became of requests that were under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InFlight {
    /// Answered as if nothing had happened.
    pub ok: u64,
    /// Certainly not applied.
    pub fail: u64,
    /// Nobody knows.
    pub indeterminate: u64,
}

/// What one fault did. Times are from the instant at which it was ordered, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// What was done.
    pub fault: FaultKind,
    /// To whom.
    pub node: String,
    /// Whether another fault went on at the same time, so that these figures are those of both.
    pub overlaps: bool,
    /// Until it was seen to take effect, by the runtime's own time where it tells one.
    pub injected_ms: Option<u64>,
    /// Until it was seen to be undone.
    pub healed_ms: Option<u64>,
    /// Until the balancer held the node for dead, where it tells and did.
    pub marked_down_ms: Option<u64>,
    /// Until the balancer had taken it in again, where it tells and had to.
    pub marked_up_ms: Option<u64>,
    /// Until the first operation that did not end well ended; none if all ended well.
    pub first_error_ms: Option<u64>,
    /// Until the last one.
    pub last_error_ms: Option<u64>,
    /// Until the first operation that began after the order ended well.
    pub first_success_ms: Option<u64>,
    /// Until the share of operations that ended well was back in the steady band.
    pub success: Back,
    /// Until the 99th percentile of the response times was.
    pub p99: Back,
    /// Of the sessions that were alive: the longest that each user waited for an answer, whatever it took.
    pub gap_us: Latency,
    /// Sessions that were alive, as far as their users knew.
    pub alive: ByVictim,
    /// Those of them that were lost in the fault's scope.
    pub lost: ByVictim,
    /// Writes that were acknowledged before the order and are gone.
    pub acknowledged_writes_lost: u64,
    /// How old the oldest of them was.
    pub oldest_lost_write_ms: Option<u64>,
    /// Requests that were under way at the order, and what became of them.
    pub in_flight: InFlight,
    /// What nodes exchanged beyond the usual once the fault was being undone; none where that was not measured.
    pub catch_up: Option<CatchUp>,
}

/// One fault while lives go by.
struct FaultTally {
    at_ns: u64,
    scope: Range<u64>,
    /// None where every app node is hit.
    victim: Option<String>,
    first_error_ns: Option<u64>,
    last_error_ns: Option<u64>,
    first_success_ns: Option<u64>,
    gap_us: Histogram<u64>,
    alive: ByVictim,
    lost: ByVictim,
    in_flight: InFlight,
    lost_writes: u64,
    oldest_lost_ns: Option<u64>,
}

/// All faults of a trial.
pub struct RecoveryTally<'a> {
    timeline: &'a Timeline,
    /// Of the faults that landed, with their places in the timeline.
    faults: Vec<(usize, FaultTally)>,
}

impl<'a> RecoveryTally<'a> {
    /// Has seen nothing yet.
    ///
    /// # Errors
    /// When a histogram cannot be made: a defect of this program.
    pub fn new(timeline: &'a Timeline) -> Result<Self, String> {
        let landed = timeline.faults.iter().enumerate();
        let landed = landed.filter_map(|(place, fault)| Some((place, fault, fault.effective_from_ns()?)));
        let faults = landed.map(|(place, fault, at_ns)| Ok((place, FaultTally::new(fault, at_ns, timeline)?)));
        Ok(Self { timeline, faults: faults.collect::<Result<_, String>>()? })
    }

    /// Takes a life into account, of which `fate` tells what became of it and the checker what it has lost.
    pub fn add(&mut self, life: &Life, fate: &Fate, losses: &Losses) {
        for (_, fault) in &mut self.faults {
            fault.add(life, fate);
        }
        for completed_ns in &losses.lost_at_ns {
            let before = self.faults.iter_mut().filter(|(_, fault)| *completed_ns <= fault.at_ns);
            // With its session, when that was lost; alone, by the next fault.
            let by = match fate.loss.map(|loss| loss.times.completed_ns) {
                Some(loss_ns) => {
                    before.filter(|(_, fault)| fault.scope.contains(&loss_ns)).max_by_key(|(_, fault)| fault.at_ns)
                }
                None => before.min_by_key(|(_, fault)| fault.at_ns),
            };
            if let Some((_, fault)) = by {
                fault.lost_writes += 1;
                fault.oldest_lost_ns = Some(fault.oldest_lost_ns.map_or(*completed_ns, |old| old.min(*completed_ns)));
            }
        }
    }

    /// The figures of each fault.
    ///
    /// # Errors
    /// When a histogram cannot be written down: a defect of this program.
    pub fn finish(
        self,
        intervals: &[Interval],
        interval_ns: u64,
        sampled: Sampled<'_>,
    ) -> Result<Vec<Recovery>, String> {
        let band = band::Steady::of(intervals, interval_ns, self.timeline);
        let timeline = self.timeline;
        let finish =
            |(place, tally): (usize, FaultTally)| {
                let fault = &timeline.faults[place];
                let ms = |at: Option<u64>| Some(at?.saturating_sub(tally.at_ns) / 1_000_000);
                let (success, p99) = band.back(intervals, interval_ns, &tally.scope, timeline);
                Ok(Recovery {
                    fault: fault.kind,
                    node: fault.node.clone(),
                    overlaps: timeline.faults.iter().enumerate().any(|(other, fault)| {
                        other != place && goes_on_in(fault, &tally.during(&timeline.faults[place]))
                    }),
                    injected_ms: ms(fault.injected_ns),
                    healed_ms: ms(fault.healed_ns),
                    marked_down_ms: ms(fault.marked_down_ns),
                    marked_up_ms: ms(fault.marked_down_ns.and(fault.marked_up_ns)),
                    first_error_ms: ms(tally.first_error_ns),
                    last_error_ms: ms(tally.last_error_ns),
                    first_success_ms: ms(tally.first_success_ns),
                    success,
                    p99,
                    gap_us: Latency::of(&tally.gap_us)?,
                    alive: tally.alive,
                    lost: tally.lost,
                    acknowledged_writes_lost: tally.lost_writes,
                    oldest_lost_write_ms: tally.oldest_lost_ns.map(|old| (tally.at_ns - old) / 1_000_000),
                    in_flight: tally.in_flight,
                    catch_up: catch_up::of(fault, &tally.scope, sampled),
                })
            };
        self.faults.into_iter().map(finish).collect()
    }
}

fn goes_on_in(fault: &FaultRecord, during: &Range<u64>) -> bool {
    fault.effective_from_ns().is_some_and(|from| from < during.end)
        && fault.healed_ns.is_none_or(|healed| healed > during.start)
}

impl FaultTally {
    fn new(fault: &FaultRecord, at_ns: u64, timeline: &Timeline) -> Result<Self, String> {
        let healed_ns = fault.healed_ns.unwrap_or(u64::MAX);
        let others = timeline.faults.iter().filter_map(FaultRecord::effective_from_ns);
        let end = others.filter(|other| *other > at_ns && *other >= healed_ns).min().unwrap_or(u64::MAX);
        Ok(Self {
            at_ns,
            scope: at_ns..end,
            victim: (fault.kind != FaultKind::RollingRestart).then(|| fault.node.clone()),
            first_error_ns: None,
            last_error_ns: None,
            first_success_ns: None,
            gap_us: empty()?,
            alive: ByVictim::default(),
            lost: ByVictim::default(),
            in_flight: InFlight::default(),
            lost_writes: 0,
            oldest_lost_ns: None,
        })
    }

    /// While it went on.
    fn during(&self, fault: &FaultRecord) -> Range<u64> {
        self.at_ns..fault.healed_ns.unwrap_or(self.scope.end)
    }

    fn add(&mut self, life: &Life, fate: &Fate) {
        let of_the_load = || life.operations.iter().filter(|operation| !operation.is_a_look());
        for operation in of_the_load() {
            self.add_operation(operation, fate.ended_well(operation));
        }
        if !fate.is_alive_at(self.at_ns) {
            return;
        }
        let before = life.operations.iter().filter(|operation| operation.times.completed_ns <= self.at_ns);
        let answered = before.filter_map(|operation| Some((operation.times.completed_ns, operation.answer.as_ref()?)));
        let bound_to = answered.max_by_key(|(completed_ns, _)| *completed_ns).map(|(_, answer)| answer.node.as_str());
        let is_of_victim = match &self.victim {
            Some(victim) => bound_to == Some(victim.as_str()),
            None => bound_to.is_some(),
        };
        self.alive.count(is_of_victim);
        if fate.loss.is_some_and(|loss| self.scope.contains(&loss.times.completed_ns)) {
            self.lost.count(is_of_victim);
        }
        if let Some(gap_ns) = self.longest_gap(of_the_load(), fate) {
            self.gap_us.saturating_record((gap_ns / 1000).clamp(1, HIGHEST_LATENCY_US));
        }
    }

    fn add_operation(&mut self, operation: &Operation, ended_well: bool) {
        let (began_ns, completed_ns) = (operation.began_ns(), operation.times.completed_ns);
        if operation.sent() && began_ns <= self.at_ns && completed_ns > self.at_ns {
            match operation.outcome {
                _ if ended_well => self.in_flight.ok += 1,
                Outcome::Indeterminate(_) => self.in_flight.indeterminate += 1,
                Outcome::Ok(_) | Outcome::Done | Outcome::Fail(_) => self.in_flight.fail += 1,
            }
        }
        if !self.scope.contains(&completed_ns) {
            return;
        }
        let earlier = |known: Option<u64>| Some(known.map_or(completed_ns, |known| known.min(completed_ns)));
        if !ended_well {
            self.first_error_ns = earlier(self.first_error_ns);
            self.last_error_ns = self.last_error_ns.max(Some(completed_ns));
        } else if began_ns >= self.at_ns {
            self.first_success_ns = earlier(self.first_success_ns);
        }
    }

    /// From an instant at which something was to start until something ended well: the longest in the scope.
    fn longest_gap<'o>(&self, operations: impl Iterator<Item = &'o Operation>, fate: &Fate) -> Option<u64> {
        let mut waits_since: Option<u64> = None;
        let mut longest = None;
        for operation in operations.filter(|operation| self.scope.contains(&operation.times.completed_ns)) {
            let since = *waits_since.get_or_insert(operation.times.scheduled_ns);
            let gap_ns =
                operation.times.completed_ns.saturating_sub(since.max(self.at_ns.min(operation.times.scheduled_ns)));
            longest = longest.max(Some(gap_ns));
            if fate.ended_well(operation) {
                waits_since = None;
            }
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::history_of;
    use crate::history::{Answer, ErrorKind};
    use crate::history::{Fault, Outcome};
    use std::sync::Arc;
    use std::time::Duration;

    const MS: u64 = 1_000_000;

    fn timeline(faults: &[(&str, u64, u64)]) -> Timeline {
        let fault = |(node, at_ms, healed_ms): &(&str, u64, u64)| FaultRecord {
            ordered_ns: Some(at_ms * MS),
            injected_ns: Some(at_ms * MS + 20 * MS),
            healed_ns: Some(healed_ms * MS),
            ..FaultRecord::planned(&Fault::Kill, node)
        };
        Timeline {
            faults: faults.iter().map(fault).collect(),
            warm_up: Duration::from_secs(0),
            load_end: Duration::from_secs(20),
        }
    }

    /// One user's operations: created at 0, then one of these each: scheduled, completed, in ms, whether ok, by whom.
    fn life(user: u32, steps: &[(u64, u64, bool, &str)]) -> Life {
        let told = history_of(user, |story| steps.iter().fold(story.create(), |story, _| story.read()));
        let mut lives = Life::all(told);
        let mut life = lives.remove(0);
        life.operations[0].times.completed_ns = MS;
        life.operations[0].times.scheduled_ns = 0;
        for (operation, (scheduled, completed, is_ok, node)) in life.operations[1..].iter_mut().zip(steps) {
            operation.times.scheduled_ns = scheduled * MS;
            operation.times.dispatched_ns = scheduled * MS;
            operation.times.sent_ns = Some(scheduled * MS);
            operation.times.completed_ns = completed * MS;
            operation.answer = Some(Arc::new(Answer { node: (*node).to_owned(), boot: "b".into() }));
            if !is_ok {
                operation.outcome = Outcome::Indeterminate(ErrorKind::Status5xx);
            }
        }
        life
    }

    fn recoveries(timeline: &Timeline, lives: &[Life], losses: &Losses) -> Vec<Recovery> {
        let mut tally = RecoveryTally::new(timeline).unwrap();
        for life in lives {
            tally.add(life, &Fate::of(life), losses);
        }
        let sampled = Sampled { samples: &[], started_unix_ns: 0, timeline };
        tally.finish(&[], 1000 * MS, sampled).unwrap()
    }

    #[test]
    fn what_users_felt_counts_from_the_order() {
        let timeline = timeline(&[("app-1", 5000, 8000)]);
        let lives = [
            life(
                1,
                &[
                    (1000, 1010, true, "app-1"),
                    (4990, 5400, false, "app-1"),
                    (5500, 5600, false, "app-2"),
                    (6000, 6100, true, "app-2"),
                ],
            ),
            life(2, &[(1000, 1010, true, "app-2"), (4995, 5050, true, "app-2"), (5200, 5210, true, "app-2")]),
        ];
        let recovery = recoveries(&timeline, &lives, &Losses::default()).remove(0);
        assert_eq!((recovery.injected_ms, recovery.healed_ms), (Some(20), Some(3000)));
        assert_eq!(
            (recovery.first_error_ms, recovery.last_error_ms, recovery.first_success_ms),
            (Some(400), Some(600), Some(210))
        );
        assert_eq!(recovery.in_flight, InFlight { ok: 1, fail: 0, indeterminate: 1 });
        assert_eq!((recovery.alive, recovery.lost), (ByVictim { of_victim: 1, of_others: 1 }, ByVictim::default()));
        // The first user waited from 4.99 s to 6.1 s, over two errors.
        assert!((1_100_000..1_120_000).contains(&recovery.gap_us.max), "{}", recovery.gap_us.max);
        assert!(!recovery.overlaps);
    }

    #[test]
    fn a_fault_answers_for_what_happens_until_the_next_one_after_its_heal() {
        let timeline = timeline(&[("app-1", 5000, 6000), ("app-2", 10_000, 11_000)]);
        let lives =
            [life(1, &[(1000, 1010, true, "app-1"), (5100, 5200, false, "app-1"), (10_500, 10_600, false, "app-2")])];
        let losses = Losses { acknowledged: 2, lost_at_ns: vec![4000 * MS, 9000 * MS] };
        let [first, second] = recoveries(&timeline, &lives, &losses).try_into().unwrap();
        assert_eq!((first.last_error_ms, second.first_error_ms), (Some(200), Some(600)));
        assert_eq!((first.acknowledged_writes_lost, first.oldest_lost_write_ms), (1, Some(1000)));
        assert_eq!((second.acknowledged_writes_lost, second.oldest_lost_write_ms), (1, Some(1000)));
        assert!(!first.overlaps && !second.overlaps);
    }

    #[test]
    fn a_write_is_lost_with_its_session_by_the_fault_that_lost_that() {
        let timeline = timeline(&[("app-1", 5000, 6000), ("app-2", 10_000, 11_000)]);
        let mut lost = life(1, &[(1000, 1010, true, "app-1"), (10_500, 10_600, false, "app-2")]);
        lost.operations[2].outcome = Outcome::Fail(ErrorKind::UnknownSession);
        let losses = Losses { acknowledged: 1, lost_at_ns: vec![1010 * MS] };
        let [first, second] = recoveries(&timeline, &[lost], &losses).try_into().unwrap();
        assert_eq!((first.acknowledged_writes_lost, first.lost.of_victim), (0, 0));
        assert_eq!((second.acknowledged_writes_lost, second.oldest_lost_write_ms), (1, Some(8990)));
        assert_eq!((second.lost, second.alive), (ByVictim { of_victim: 0, of_others: 1 }, second.lost));
    }

    #[test]
    fn a_rolling_restart_hits_every_session() {
        let mut timeline = timeline(&[("every app node", 5000, 6000)]);
        timeline.faults[0].kind = FaultKind::RollingRestart;
        let lives = [life(1, &[(1000, 1010, true, "app-1")]), life(2, &[(1000, 1010, true, "app-2")])];
        assert_eq!(recoveries(&timeline, &lives, &Losses::default())[0].alive, ByVictim { of_victim: 2, of_others: 0 });
    }

    #[test]
    fn faults_that_go_on_together_say_so() {
        let timeline = timeline(&[("app-1", 5000, 8000), ("app-2", 6000, 7000)]);
        let both = recoveries(&timeline, &[], &Losses::default());
        assert!(both.iter().all(|recovery| recovery.overlaps));
    }
}
