//! `no-lost-update`: an acknowledged operation is missing from the final state of its session, or was
//! overwritten by another branch. Sessions that were lost altogether are the matter of `session-survives`.

use std::collections::HashSet;

use super::Finding;
use super::chain;
use super::story::{Story, node};
use crate::history::{History, Life, Operation, OperationKind, State};

pub(super) fn examine(lives: &[Life], history: &History) -> Finding {
    let mut finding = Finding::default();
    let (mut unread, mut unexplained) = (0u64, 0u64);
    for life in lives {
        let acknowledged = acknowledged_writes(life);
        if acknowledged.is_empty() || life.loss().is_some() {
            continue;
        }
        let Some(last) = life.final_state() else {
            unread += 1;
            continue;
        };
        finding.examined_many(acknowledged.len());
        match lost_writes(life, last, &acknowledged) {
            Some(lost) => lost.iter().for_each(|write| finding.violated(|| tell(write, last, history))),
            None => unexplained += 1,
        }
    }
    finding.decide(doubt(unread, unexplained))
}

fn doubt(unread: u64, unexplained: u64) -> Option<String> {
    match (unread, unexplained) {
        (0, 0) => None,
        (unread, 0) => Some(format!("{unread} sessions gave no final read")),
        (_, unexplained) => {
            Some(format!("the final state of {unexplained} sessions cannot be explained from what was seen"))
        }
    }
}

/// Writes of this life that were acknowledged.
pub(super) fn acknowledged_writes<'a>(life: &Life<'a>) -> Vec<&'a Operation> {
    life.states().map(|(operation, _)| operation).filter(|operation| operation.kind == OperationKind::Write).collect()
}

/// The acknowledged writes that the final state does not hold; none where that cannot be said.
fn lost_writes<'a>(life: &Life<'a>, last: &State, acknowledged: &[&'a Operation]) -> Option<Vec<&'a Operation>> {
    let seen: Vec<&State> = life.states().map(|(_, state)| state).collect();
    let held: HashSet<&str> = chain::operations_of(&seen, last)?.into_iter().collect();
    Some(acknowledged.iter().filter(|write| !held.contains(write.id.to_string().as_str())).copied().collect())
}

fn tell(write: &Operation, last: &State, history: &History) -> Story {
    let acknowledged = write.state().map_or(0, |state| state.version);
    let text = format!(
        "the final state, version {}, lacks operation {}, which {} acknowledged as version {acknowledged}",
        last.version,
        write.id,
        node(write)
    );
    Story::new(write, history, &text)
}

/// How many acknowledged writes are gone, with their sessions or from them.
#[must_use]
pub fn acknowledged_writes_lost(lives: &[Life]) -> u64 {
    let lost_of = |life: &Life| {
        let acknowledged = acknowledged_writes(life);
        if life.loss().is_some() {
            return acknowledged.len();
        }
        let last = life.final_state();
        last.and_then(|last| lost_writes(life, last, &acknowledged)).map_or(0, |lost| lost.len())
    };
    lives.iter().map(|life| lost_of(life) as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};

    #[test]
    fn an_acknowledged_write_that_another_branch_overwrote_is_lost() {
        let history = history(|story| story.create().write().write().write_on(1).final_read());
        let finding = finding(&history, Guarantee::NoLostUpdate);
        assert_eq!((finding.verdict, finding.violations, finding.examined), (Verdict::Violated, 1, 3));
        assert!(finding.stories[0].text.contains("lacks operation 1.1.2"), "{}", finding.stories[0].text);
    }

    #[test]
    fn a_write_without_a_reply_may_be_there_or_not() {
        for applied in [true, false] {
            let history = history(|story| story.create().write().lost_reply_write(applied).write().final_read());
            assert_eq!(finding(&history, Guarantee::NoLostUpdate).verdict, Verdict::Pass, "{applied}");
        }
    }

    #[test]
    fn a_final_state_that_went_back_has_lost_what_came_after() {
        let history = history(|story| story.create().write().write().write().stale_final_read(1));
        let finding = finding(&history, Guarantee::NoLostUpdate);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 2));
    }

    #[test]
    fn without_its_final_read_a_session_proves_nothing() {
        let history = history(|story| story.create().write().read());
        let finding = finding(&history, Guarantee::NoLostUpdate);
        assert_eq!(finding.verdict, Verdict::Unknown);
        assert_eq!(finding.reason.as_deref(), Some("1 sessions gave no final read"));
    }

    #[test]
    fn a_lost_session_is_not_blamed_twice() {
        let history = history(|story| story.create().write().unknown().unknown());
        assert_eq!(finding(&history, Guarantee::NoLostUpdate).violations, 0);
    }
}
