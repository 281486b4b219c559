//! Whether faults hit anything: a crash while nobody was logged in, or while nobody asked for anything, says nothing about
//! what sessions survive.

use std::ops::Range;

use crate::history::{FaultRecord, Operation, SessionHistory, SessionOutcome, Timeline};

/// One fault that landed, and what it found.
struct Exposure {
    /// Its place in the timeline.
    fault: usize,
    at_ns: u64,
    scope_ns: Range<u64>,
    /// The node whose sessions alone it could hurt; none: everybody's.
    victim: Option<String>,
    alive: u64,
    sent: u64,
}

/// All faults that landed.
pub(super) struct Exposures(Vec<Exposure>);

impl Exposures {
    pub(super) fn of(timeline: &Timeline) -> Self {
        let exposure = |(fault, record): (usize, &FaultRecord)| {
            Some(Exposure {
                fault,
                at_ns: record.effective_from_ns()?,
                scope_ns: timeline.scope_ns(record)?,
                victim: record.hurts_one_node().then(|| record.node.clone()),
                alive: 0,
                sent: 0,
            })
        };
        Self(timeline.faults.iter().enumerate().filter_map(exposure).collect())
    }

    /// Takes a life into account.
    pub(super) fn add(&mut self, life: &SessionHistory, fate: &SessionOutcome) {
        for Exposure { at_ns, scope_ns, victim, alive, sent, .. } in &mut self.0 {
            let is_hit = |operation: &&Operation| {
                operation.sent() && !operation.is_a_look() && scope_ns.contains(&operation.began_ns())
            };
            *sent += life.operations.iter().filter(is_hit).count() as u64;
            let is_exposed = fate.is_alive_at(*at_ns)
                && victim.as_deref().is_none_or(|victim| life.last_answered_by(*at_ns) == Some(victim));
            *alive += u64::from(is_exposed);
        }
    }

    /// What keeps a trial from passing.
    pub(super) fn inconclusive(&self, timeline: &Timeline) -> Vec<String> {
        let told = self.0.iter().filter_map(|exposure| {
            let FaultRecord { kind, node, .. } = timeline.faults.get(exposure.fault)?;
            let why = match (exposure.alive, exposure.sent, &exposure.victim) {
                (0, _, Some(victim)) => format!("no session was alive that {victim} had answered last"),
                (0, _, None) => "no session was alive".to_owned(),
                (_, 0, _) => "no operation was sent from then on".to_owned(),
                _ => return None,
            };
            Some(format!("the {kind} of {node} hit nothing: {why}"))
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HistoryBuilder, history};
    use super::super::{Guarantee, Verdict, judge};
    use super::*;
    use crate::topology::Tier;

    /// What keeps the history from passing that `tell` tells, where app-1 was killed after 1.8 s: after a session was
    /// created at 0.5 s and written to at 1.5 s.
    fn told(tier: Tier, node: &str, tell: impl FnOnce(HistoryBuilder) -> HistoryBuilder) -> Vec<String> {
        let kill = FaultRecord {
            tier: Some(tier),
            ordered_ns: Some(1_800_000_000),
            injected_ns: Some(1_800_000_000),
            healed_ns: Some(1_900_000_000),
            ..FaultRecord::planned("kill", node)
        };
        let timeline = Timeline { faults: vec![kill], ..Timeline::default() };
        let judgement = judge(SessionHistory::all(history(tell)), &timeline, &[Guarantee::Owned]);
        assert!(judgement.reasons.is_empty() || judgement.verdict == Verdict::Unknown, "{judgement:#?}");
        judgement.reasons
    }

    #[test]
    fn a_fault_of_a_node_whose_sessions_are_alive_and_used_hits_something() {
        assert!(told(Tier::App, "app-1", |story| story.create().write().read().final_read()).is_empty());
    }

    #[test]
    fn a_fault_of_a_node_that_nobody_is_bound_to_hits_nothing() {
        let told = told(Tier::App, "app-2", |story| story.create().write().read().final_read());
        assert_eq!(told, ["the kill of app-2 hit nothing: no session was alive that app-2 had answered last"]);
    }

    #[test]
    fn a_fault_of_a_store_hits_everybody_who_is_there_and_nobody_after_the_log_out() {
        assert!(told(Tier::Store, "store", |story| story.create().write().read().final_read()).is_empty());
        let told = told(Tier::Store, "store", |story| story.create().log_out(true).unknown().final_read());
        assert_eq!(told, ["the kill of store hit nothing: no session was alive"]);
    }

    #[test]
    fn a_fault_after_which_nobody_asks_for_anything_hits_nothing() {
        let told = told(Tier::App, "app-1", |story| story.create().write().final_read());
        assert_eq!(told, ["the kill of app-1 hit nothing: no operation was sent from then on"]);
    }
}
