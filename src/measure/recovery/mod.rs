//! Recovery, fault by fault: errors and waits of users, losses, and the time until the system was steady again.
//!
//! A fault's *scope* goes from its order to the next fault that is ordered after it was healed, or to the end. Events
//! in the scope are attributed to the fault. If another fault is active at the same time, they are attributed to both,
//! and the record says so.

mod band;
mod catch_up;
mod figures;

use std::ops::Range;

use hdrhistogram::Histogram;

use super::MeasureError;
use super::affinity::answered;
use super::latency::{Latency, empty, record};
use super::resources::Sampled;
use super::series::Interval;
use crate::check::{Losses, LostWrite};
use crate::history::{FaultRecord, Operation, Outcome, SessionHistory, SessionOutcome, Timeline};

pub use band::Back;
pub use catch_up::CatchUp;
pub use figures::{ByVictim, InFlight, Rebound, Recovery, RecoveryFigures};

/// How long an acknowledged write may exist on one node only: Tomcat and Redis replicate within a second.
const MAX_UNREPLICATED_NS: u64 = 1_000_000_000;

/// How long a user waits for an operation to end well.
#[derive(Clone, Copy)]
struct Wait {
    user: u32,
    /// Start of the current wait, if the user still waits.
    since_ns: Option<u64>,
    longest_ns: Option<u64>,
}

/// Collects the figures of one fault, one session at a time.
struct FaultTally {
    at_ns: u64,
    scope: Range<u64>,
    /// `None` if the fault hits every app node.
    victim: Option<String>,
    hurts_one_node: bool,
    first_error_ns: Option<u64>,
    last_error_ns: Option<u64>,
    first_success_ns: Option<u64>,
    gap_us: Histogram<u64>,
    /// The wait of the last user whose session was alive, if it goes on into the user's next session.
    waits: Option<Wait>,
    alive: ByVictim,
    lost: ByVictim,
    rebound: Rebound,
    /// From when on it was undone; `None` if it was not.
    healed_ns: Option<u64>,
    in_flight: InFlight,
    lost_writes: u64,
    oldest_lost_ns: Option<u64>,
}

/// All faults of a trial.
pub struct RecoveryTally<'a> {
    timeline: &'a Timeline,
    /// The faults that landed, each with its index in the timeline.
    faults: Vec<(usize, FaultTally)>,
    /// Lost writes that no fault explains.
    pub without_fault: u64,
}

impl<'a> RecoveryTally<'a> {
    /// Starts without any session.
    ///
    /// # Errors
    /// When a histogram cannot be created: a defect of this program.
    pub fn new(timeline: &'a Timeline) -> Result<Self, MeasureError> {
        let landed = timeline.faults.iter().enumerate();
        let landed = landed.filter_map(|(place, fault)| Some((place, fault, fault.effective_from_ns()?)));
        let faults = landed.map(|(place, fault, at_ns)| Ok((place, FaultTally::new(fault, at_ns, timeline)?)));
        Ok(Self { timeline, faults: faults.collect::<Result<_, MeasureError>>()?, without_fault: 0 })
    }

    /// Adds a session with its `outcome` and the writes that the checker found to be lost.
    pub fn add(&mut self, history: &SessionHistory, outcome: &SessionOutcome, losses: &Losses) {
        for (_, fault) in &mut self.faults {
            fault.add(history, outcome);
        }
        for write in &losses.lost {
            match self.answers_for(write, outcome.loss.map(|loss| loss.times.completed_ns)) {
                Some(fault) => {
                    let at_ns = write.acknowledged_ns;
                    fault.lost_writes += 1;
                    fault.oldest_lost_ns = Some(fault.oldest_lost_ns.map_or(at_ns, |old| old.min(at_ns)));
                }
                None => self.without_fault += 1,
            }
        }
    }

    /// The fault that lost a write. If the session was lost, too: the fault in whose scope it was lost. Otherwise: the
    /// fault during which the write was acknowledged; or a fault ordered at most [`MAX_UNREPLICATED_NS`] later that hit
    /// the acknowledging node or can hurt all nodes. Of several, the latest.
    fn answers_for(&mut self, write: &LostWrite, session_lost_ns: Option<u64>) -> Option<&mut FaultTally> {
        let timeline = self.timeline;
        let at_ns = write.acknowledged_ns;
        let hits = |tally: &FaultTally| {
            let by = write.by.as_ref().map(|answer| answer.node.as_str());
            !tally.hurts_one_node || tally.victim.as_deref() == by
        };
        let answers = |(place, tally): &(usize, FaultTally)| {
            if let Some(lost_ns) = session_lost_ns {
                return tally.scope.contains(&lost_ns);
            }
            let was_during = timeline.faults.get(*place).is_some_and(|fault| tally.during(fault).contains(&at_ns));
            let was_just_before = (at_ns..=at_ns.saturating_add(MAX_UNREPLICATED_NS)).contains(&tally.at_ns);
            was_during || (was_just_before && hits(tally))
        };
        let place = self.faults.iter().enumerate().filter(|(_, fault)| answers(fault));
        let place = place.max_by_key(|(_, (_, tally))| tally.at_ns).map(|(place, _)| place)?;
        self.faults.get_mut(place).map(|(_, tally)| tally)
    }

    /// The figures of each fault.
    ///
    /// # Errors
    /// When a histogram cannot be written: a defect of this program.
    pub fn finish(
        self,
        intervals: &[Interval],
        interval_ns: u64,
        sampled: Sampled<'_>,
    ) -> Result<Vec<Recovery>, MeasureError> {
        let band = band::Steady::of(intervals, interval_ns, self.timeline);
        let timeline = self.timeline;
        let finish = |(place, mut tally): (usize, FaultTally)| {
            if let Some(wait) = tally.waits.take() {
                tally.end_wait(wait);
            }
            let fault = &timeline.faults[place];
            let ms = |at: Option<u64>| Some(at?.saturating_sub(tally.at_ns) / 1_000_000);
            let (success, p99) = band.back(intervals, interval_ns, &tally.scope, timeline);
            let figures =
                RecoveryFigures {
                    fault: fault.kind.clone(),
                    node: fault.node.clone(),
                    detail: fault.detail.clone(),
                    overlaps: timeline.faults.iter().enumerate().any(|(other, fault)| {
                        other != place && goes_on_in(fault, &tally.during(&timeline.faults[place]))
                    }),
                    healed_ms: ms(fault.healed_ns),
                    marked_down_ms: ms(fault.marked_down_ns),
                    marked_up_ms: ms(fault.marked_down_ns.and(fault.marked_up_ns)),
                    first_error_ms: ms(tally.first_error_ns),
                    last_error_ms: ms(tally.last_error_ns),
                    first_success_ms: ms(tally.first_success_ns),
                    success,
                    p99,
                    alive: tally.alive,
                    lost: tally.lost,
                    acknowledged_writes_lost: tally.lost_writes,
                    oldest_lost_write_ms: tally.oldest_lost_ns.map(|old| tally.at_ns.saturating_sub(old) / 1_000_000),
                    in_flight: tally.in_flight,
                    rebound: Some(tally.rebound),
                    catch_up: catch_up::of(fault, &tally.scope, sampled),
                };
            Ok(Recovery {
                figures,
                injected_ms: ms(fault.injected_ns),
                gap_us: Latency::of(&tally.gap_us)?,
                exposed: tally.exposed(),
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
    fn new(fault: &FaultRecord, at_ns: u64, timeline: &Timeline) -> Result<Self, MeasureError> {
        Ok(Self {
            at_ns,
            scope: timeline.scope_ns(fault).unwrap_or(at_ns..u64::MAX),
            hurts_one_node: fault.hurts_one_node(),
            victim: fault.victim().map(str::to_owned),
            first_error_ns: None,
            last_error_ns: None,
            first_success_ns: None,
            gap_us: empty()?,
            waits: None,
            alive: ByVictim::default(),
            lost: ByVictim::default(),
            rebound: Rebound::default(),
            healed_ns: fault.healed_ns,
            in_flight: InFlight::default(),
            lost_writes: 0,
            oldest_lost_ns: None,
        })
    }

    fn exposed(&self) -> u64 {
        self.alive.of_victim + if self.hurts_one_node { 0 } else { self.alive.of_others }
    }

    /// From the order to the heal, or to the end of the scope if the fault was not healed.
    fn during(&self, fault: &FaultRecord) -> Range<u64> {
        self.at_ns..fault.healed_ns.unwrap_or(self.scope.end)
    }

    fn add(&mut self, history: &SessionHistory, outcome: &SessionOutcome) {
        let of_the_load = || history.operations.iter().filter(|operation| !operation.is_read_after_load());
        for operation in of_the_load() {
            self.add_operation(operation, outcome.ended_well(operation));
        }
        // A user who has lost a session waits until an operation of one of its next sessions ends well.
        match self.waits.take() {
            Some(wait) if wait.user == history.session => self.follow(wait, of_the_load(), outcome),
            Some(wait) => self.end_wait(wait),
            None => {}
        }
        if !outcome.is_alive_at(self.at_ns) {
            return;
        }
        let bound_to = history.last_answered_by(self.at_ns);
        let is_of_victim = match &self.victim {
            Some(victim) => bound_to == Some(victim.as_str()),
            None => bound_to.is_some(),
        };
        self.alive.count(is_of_victim);
        if let Some(node) = bound_to {
            self.count_moves(history, node);
        }
        if outcome.loss.is_some_and(|loss| self.scope.contains(&loss.times.completed_ns)) {
            self.lost.count(is_of_victim);
        }
        let wait = Wait { user: history.session, since_ns: None, longest_ns: None };
        self.follow(wait, of_the_load(), outcome);
    }

    /// Counts whether another node answers a session from the order on, and from the heal on another one than until then.
    fn count_moves(&mut self, history: &SessionHistory, bound_to: &str) {
        let is_of_victim = self.victim.as_deref() == Some(bound_to);
        let healed_ns = self.healed_ns.unwrap_or(u64::MAX);
        let after = answered(history).filter(|(operation, _)| self.scope.contains(&operation.began_ns()));
        let (mut is_seen, mut moves, mut goes_back) = (false, false, false);
        let mut node_until_heal = bound_to;
        for (operation, node) in after {
            is_seen = true;
            if operation.began_ns() < healed_ns {
                moves |= node != bound_to;
                node_until_heal = node;
            } else {
                goes_back |= node != node_until_heal;
            }
        }
        let Rebound { seen, by_fault, by_heal } = &mut self.rebound;
        for (count, is_counted) in [(seen, is_seen), (by_fault, moves), (by_heal, goes_back)] {
            if is_counted {
                count.count(is_of_victim);
            }
        }
    }

    /// Follows a user's waits through a session. A wait goes from a scheduled operation until an operation ends well.
    fn follow<'o>(
        &mut self,
        mut wait: Wait,
        operations: impl Iterator<Item = &'o Operation>,
        outcome: &SessionOutcome,
    ) {
        let is_first = wait.longest_ns.is_none();
        for operation in operations.filter(|operation| self.scope.contains(&operation.times.completed_ns)) {
            let since = *wait.since_ns.get_or_insert(operation.times.scheduled_ns);
            let since = since.max(self.at_ns.min(operation.times.scheduled_ns));
            wait.longest_ns = wait.longest_ns.max(Some(operation.times.completed_ns.saturating_sub(since)));
            if outcome.ended_well(operation) {
                wait.since_ns = None;
                if !is_first {
                    break;
                }
            }
        }
        match wait.since_ns {
            Some(_) => self.waits = Some(wait),
            None => self.end_wait(wait),
        }
    }

    fn end_wait(&mut self, wait: Wait) {
        if let Some(longest_ns) = wait.longest_ns {
            record(&mut self.gap_us, (longest_ns / 1000).max(1));
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::history_of;
    use crate::history::Outcome;
    use crate::history::{Answer, ErrorKind};
    use std::sync::Arc;
    use std::time::Duration;

    const MS: u64 = 1_000_000;

    fn timeline(faults: &[(&str, u64, u64)]) -> Timeline {
        let fault = |(node, at_ms, healed_ms): &(&str, u64, u64)| FaultRecord {
            tier: Some(crate::topology::Tier::App),
            ordered_ns: Some(at_ms * MS),
            injected_ns: Some(at_ms * MS + 20 * MS),
            healed_ns: Some(healed_ms * MS),
            ..FaultRecord::planned("kill", node)
        };
        Timeline {
            faults: faults.iter().map(fault).collect(),
            warm_up: Duration::from_secs(0),
            load_end: Duration::from_secs(20),
            ..Timeline::default()
        }
    }

    /// A session created at 0, with one read per step: scheduled and completed in ms, whether ok, answering node.
    fn session(user: u32, steps: &[(u64, u64, bool, &str)]) -> SessionHistory {
        let operations = history_of(user, |builder| steps.iter().fold(builder.create(), |builder, _| builder.read()));
        let mut sessions = SessionHistory::all(operations);
        let mut session = sessions.remove(0);
        session.operations[0].times.completed_ns = MS;
        session.operations[0].times.scheduled_ns = 0;
        for (operation, (scheduled, completed, is_ok, node)) in session.operations[1..].iter_mut().zip(steps) {
            operation.times.scheduled_ns = scheduled * MS;
            operation.times.dispatched_ns = scheduled * MS;
            operation.times.sent_ns = Some(scheduled * MS);
            operation.times.completed_ns = completed * MS;
            operation.answer = Some(Arc::new(Answer { node: (*node).to_owned(), boot: "b".into() }));
            if !is_ok {
                operation.outcome = Outcome::Indeterminate(ErrorKind::Status5xx);
            }
        }
        session
    }

    fn tally<'a>(timeline: &'a Timeline, sessions: &[SessionHistory], losses: &Losses) -> RecoveryTally<'a> {
        let mut tally = RecoveryTally::new(timeline).unwrap();
        for session in sessions {
            tally.add(session, &SessionOutcome::of(session), losses);
        }
        tally
    }

    fn without_fault(timeline: &Timeline, sessions: &[SessionHistory], losses: &Losses) -> u64 {
        tally(timeline, sessions, losses).without_fault
    }

    /// Lost writes, each with the ms at which it was acknowledged and the node that acknowledged it.
    fn lost(writes: &[(u64, &str)]) -> Losses {
        let lost = |(ms, node): &(u64, &str)| LostWrite {
            acknowledged_ns: ms * MS,
            by: Some(Arc::new(Answer { node: (*node).to_owned(), boot: "b".into() })),
        };
        Losses { acknowledged: writes.len() as u64, are_known: true, lost: writes.iter().map(lost).collect() }
    }

    fn recoveries(timeline: &Timeline, sessions: &[SessionHistory], losses: &Losses) -> Vec<Recovery> {
        let tally = tally(timeline, sessions, losses);
        let sampled = Sampled { samples: &[], started_unix_ns: 0, timeline };
        tally.finish(&[], 1000 * MS, sampled).unwrap()
    }

    #[test]
    fn times_of_a_fault_count_from_its_order() {
        let timeline = timeline(&[("app-1", 5000, 8000)]);
        let sessions = [
            session(
                1,
                &[
                    (1000, 1010, true, "app-1"),
                    (4990, 5400, false, "app-1"),
                    (5500, 5600, false, "app-2"),
                    (6000, 6100, true, "app-2"),
                ],
            ),
            session(2, &[(1000, 1010, true, "app-2"), (4995, 5050, true, "app-2"), (5200, 5210, true, "app-2")]),
        ];
        let recovery = recoveries(&timeline, &sessions, &Losses::default()).remove(0);
        assert_eq!((recovery.injected_ms, recovery.figures.healed_ms), (Some(20), Some(3000)));
        assert_eq!(
            (recovery.figures.first_error_ms, recovery.figures.last_error_ms, recovery.figures.first_success_ms),
            (Some(400), Some(600), Some(210))
        );
        assert_eq!(recovery.figures.in_flight, InFlight { ok: 1, fail: 0, indeterminate: 1 });
        assert_eq!(
            (recovery.figures.alive, recovery.figures.lost),
            (ByVictim { of_victim: 1, of_others: 1 }, ByVictim::default())
        );
        // The first user waited from 4.99 s to 6.1 s, through two errors.
        assert!((1_100_000..1_120_000).contains(&recovery.gap_us.max), "{}", recovery.gap_us.max);
        assert!(!recovery.figures.overlaps);
    }

    #[test]
    fn sessions_that_another_node_answers_after_a_fault_or_after_its_heal_have_moved() {
        let timeline = timeline(&[("app-1", 5000, 8000)]);
        let at = |node_before, node_during, node_after| {
            [(1000, 1010, true, node_before), (6000, 6010, true, node_during), (9000, 9010, true, node_after)]
        };
        let sessions = [
            session(1, &at("app-1", "app-2", "app-1")),
            session(2, &at("app-1", "app-3", "app-3")),
            session(3, &at("app-2", "app-2", "app-2")),
            session(4, &at("app-2", "app-3", "app-3")),
            session(5, &[(1000, 1010, true, "app-2")]),
        ];
        let Rebound { seen, by_fault, by_heal } =
            recoveries(&timeline, &sessions, &Losses::default()).remove(0).figures.rebound.unwrap();
        assert_eq!(seen, ByVictim { of_victim: 2, of_others: 2 }, "nothing is known of the fifth");
        assert_eq!(by_fault, ByVictim { of_victim: 2, of_others: 1 });
        assert_eq!(by_heal, ByVictim { of_victim: 1, of_others: 0 }, "the first goes back");
    }

    #[test]
    fn the_scope_of_a_fault_ends_at_the_next_fault_after_its_heal() {
        let timeline = timeline(&[("app-1", 5000, 6000), ("app-2", 10_000, 11_000)]);
        let sessions = [session(
            1,
            &[(1000, 1010, true, "app-1"), (5100, 5200, false, "app-1"), (10_500, 10_600, false, "app-2")],
        )];
        // During the first fault; shortly before the second by its victim; then by another node; between the faults.
        let losses = lost(&[(5500, "app-2"), (9500, "app-2"), (9500, "app-1"), (8000, "app-2")]);
        let [first, second] = recoveries(&timeline, &sessions, &losses).try_into().unwrap();
        assert_eq!((first.figures.last_error_ms, second.figures.first_error_ms), (Some(200), Some(600)));
        assert_eq!((first.figures.acknowledged_writes_lost, first.figures.oldest_lost_write_ms), (1, Some(0)));
        assert_eq!((second.figures.acknowledged_writes_lost, second.figures.oldest_lost_write_ms), (1, Some(500)));
        assert_eq!(without_fault(&timeline, &sessions, &losses), 2);
        assert!(!first.figures.overlaps && !second.figures.overlaps);
    }

    #[test]
    fn a_write_that_is_lost_with_its_session_counts_for_the_fault_that_lost_the_session() {
        let timeline = timeline(&[("app-1", 5000, 6000), ("app-2", 10_000, 11_000)]);
        let mut lost = session(1, &[(1000, 1010, true, "app-1"), (10_500, 10_600, false, "app-2")]);
        lost.operations[2].outcome = Outcome::Fail(ErrorKind::UnknownSession);
        let losses = self::lost(&[(1010, "app-1")]);
        let [first, second] = recoveries(&timeline, &[lost], &losses).try_into().unwrap();
        assert_eq!((first.figures.acknowledged_writes_lost, first.figures.lost.of_victim), (0, 0));
        assert_eq!((second.figures.acknowledged_writes_lost, second.figures.oldest_lost_write_ms), (1, Some(8990)));
        assert_eq!(
            (second.figures.lost, second.figures.alive),
            (ByVictim { of_victim: 0, of_others: 1 }, second.figures.lost)
        );
    }

    #[test]
    fn a_user_who_has_lost_a_session_waits_until_a_log_in_is_answered() {
        let timeline = timeline(&[("app-1", 5000, 8000)]);
        let mut lost =
            session(1, &[(1000, 1010, true, "app-1"), (5500, 5600, false, "app-2"), (6000, 6100, false, "app-2")]);
        for index in [2, 3] {
            lost.operations[index].outcome = Outcome::Fail(ErrorKind::UnknownSession);
        }
        let again = |number: u32, at_ms: u64, is_ok: bool| {
            let mut again = session(1, &[]);
            again.number = number;
            let create = &mut again.operations[0];
            create.id.life = number;
            create.times.scheduled_ns = at_ms * MS;
            create.times.sent_ns = Some(at_ms * MS);
            create.times.completed_ns = (at_ms + 100) * MS;
            if !is_ok {
                create.outcome = Outcome::Fail(ErrorKind::Refused);
            }
            again
        };
        let sessions = [lost, again(2, 7000, false), again(3, 8000, true)];
        let recovery = recoveries(&timeline, &sessions, &Losses::default()).remove(0);
        assert!((2_590_000..2_610_000).contains(&recovery.gap_us.max), "{}", recovery.gap_us.max);
        assert_eq!(recovery.gap_us.count, 1);
    }

    #[test]
    fn a_rolling_restart_hits_every_session() {
        let mut timeline = timeline(&[("every app node", 5000, 6000)]);
        timeline.faults[0].kind = "rolling-restart".to_owned();
        let sessions = [session(1, &[(1000, 1010, true, "app-1")]), session(2, &[(1000, 1010, true, "app-2")])];
        assert_eq!(
            recoveries(&timeline, &sessions, &Losses::default())[0].figures.alive,
            ByVictim { of_victim: 2, of_others: 0 }
        );
    }

    #[test]
    fn faults_that_are_active_together_are_reported_as_overlapping() {
        let timeline = timeline(&[("app-1", 5000, 8000), ("app-2", 6000, 7000)]);
        let both = recoveries(&timeline, &[], &Losses::default());
        assert!(both.iter().all(|recovery| recovery.figures.overlaps));
    }
}
