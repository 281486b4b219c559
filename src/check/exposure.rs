//! Whether faults hit anything. A crash while no session was alive, or while no requests were sent, does not show
//! whether sessions survive.

use std::ops::Range;

use crate::history::{FaultRecord, Operation, SessionHistory, SessionOutcome, Timeline};

/// One fault that landed, and how much it could hit.
struct Exposure {
    /// Its index in the timeline.
    fault: usize,
    at_ns: u64,
    scope_ns: Range<u64>,
    /// The node whose sessions alone it could hurt; `None` if it could hurt all sessions.
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

    /// Counts one session.
    pub(super) fn add(&mut self, history: &SessionHistory, outcome: &SessionOutcome) {
        for Exposure { at_ns, scope_ns, victim, alive, sent, .. } in &mut self.0 {
            let is_hit = |operation: &&Operation| {
                operation.sent() && !operation.is_read_after_load() && scope_ns.contains(&operation.began_ns())
            };
            *sent += history.operations.iter().filter(is_hit).count() as u64;
            let is_exposed = outcome.is_alive_at(*at_ns)
                && victim.as_deref().is_none_or(|victim| history.last_answered_by(*at_ns) == Some(victim));
            *alive += u64::from(is_exposed);
        }
    }

    /// Reasons why the trial cannot pass: faults that hit nothing.
    pub(super) fn inconclusive(&self, timeline: &Timeline) -> Vec<String> {
        let reasons = self.0.iter().filter_map(|exposure| {
            let FaultRecord { kind, node, .. } = timeline.faults.get(exposure.fault)?;
            let why = match (exposure.alive, exposure.sent, &exposure.victim) {
                (0, _, Some(victim)) => format!("no session was alive that {victim} had answered last"),
                (0, _, None) => "no session was alive".to_owned(),
                (_, 0, _) => "no operation was sent from then on".to_owned(),
                _ => return None,
            };
            Some(format!("the {kind} of {node} hit nothing: {why}"))
        });
        reasons.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HistoryBuilder, history};
    use super::super::{Guarantee, Verdict, judge};
    use super::*;
    use crate::topology::Tier;

    /// Reasons why the history made by `build` cannot pass. `node` is killed at 1.8 s; before that, the session is
    /// created at 0.5 s and written to at 1.5 s.
    fn reasons(tier: Tier, node: &str, build: impl FnOnce(HistoryBuilder) -> HistoryBuilder) -> Vec<String> {
        let kill = FaultRecord {
            tier: Some(tier),
            ordered_ns: Some(1_800_000_000),
            injected_ns: Some(1_800_000_000),
            healed_ns: Some(1_900_000_000),
            ..FaultRecord::planned("kill", node)
        };
        let timeline = Timeline { faults: vec![kill], ..Timeline::default() };
        let judgement = judge(SessionHistory::all(history(build)), &timeline, &[Guarantee::Owned]);
        assert!(judgement.reasons.is_empty() || judgement.verdict == Verdict::Unknown, "{judgement:#?}");
        judgement.reasons
    }

    #[test]
    fn a_fault_of_a_node_whose_sessions_are_alive_and_used_hits_something() {
        assert!(reasons(Tier::App, "app-1", |builder| builder.create().write().read().final_read()).is_empty());
    }

    #[test]
    fn a_fault_of_a_node_without_sessions_hits_nothing() {
        let reasons = reasons(Tier::App, "app-2", |builder| builder.create().write().read().final_read());
        assert_eq!(reasons, ["the kill of app-2 hit nothing: no session was alive that app-2 had answered last"]);
    }

    #[test]
    fn a_fault_of_a_store_hits_every_live_session_and_none_after_the_log_out() {
        assert!(reasons(Tier::Store, "store", |builder| builder.create().write().read().final_read()).is_empty());
        let reasons = reasons(Tier::Store, "store", |builder| builder.create().log_out(true).unknown().final_read());
        assert_eq!(reasons, ["the kill of store hit nothing: no session was alive"]);
    }

    #[test]
    fn a_fault_after_which_no_request_is_sent_hits_nothing() {
        let reasons = reasons(Tier::App, "app-1", |builder| builder.create().write().final_read());
        assert_eq!(reasons, ["the kill of app-1 hit nothing: no operation was sent from then on"]);
    }
}
