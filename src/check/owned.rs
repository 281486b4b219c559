//! `owned`: a reply shows another session's owner, or an operation of another session: a leak.

use super::Finding;
use super::story::{Story, node};
use crate::history::{History, Life, OperationId, State};

pub(super) fn examine(lives: &[Life], history: &History) -> Finding {
    let mut finding = Finding::default();
    for life in lives {
        let owner = life.owner();
        for operation in &life.operations {
            let Some(state) = operation.state() else { continue };
            finding.examined();
            if let Some(foreign) = foreign_part(&owner, life.session, state) {
                finding.violated(|| {
                    Story::new(operation, history, &format!("{} answered with {foreign}", node(operation)))
                });
            }
        }
    }
    finding.decide(None)
}

fn foreign_part(owner: &str, session: u32, state: &State) -> Option<String> {
    if state.owner != owner {
        return Some(format!("the session of {}", state.owner));
    }
    let is_foreign = |op: &&String| op.parse::<OperationId>().is_ok_and(|id| id.session != session);
    state.tail.iter().find(is_foreign).map(|op| format!("operation {op} of another session"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};

    #[test]
    fn a_reply_with_another_owner_is_a_leak() {
        let history = history(|story| story.create().write().foreign_owner());
        let finding = finding(&history, Guarantee::Owned);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        assert!(finding.stories[0].text.contains("answered with the session of s9"), "{}", finding.stories[0].text);
    }

    #[test]
    fn a_reply_with_another_sessions_operation_is_a_leak() {
        let history = history(|story| story.create().write_of("9.1.1").final_read());
        assert_eq!(finding(&history, Guarantee::Owned).verdict, Verdict::Violated);
    }
}
