//! `session-survives`: a session that was created and not logged out or expired is unknown to the app,
//! or comes back as another one. Counted once per session, and whether or not it is known again later: to
//! its user an app that does not know the session has logged them out.

use super::Finding;
use super::story::{Story, node, seconds};
use crate::history::{History, Life, Operation, OperationKind};

pub(super) fn examine(lives: &[Life], history: &History) -> Finding {
    let mut finding = Finding::default();
    for life in lives.iter().filter(|life| life.creation().is_some()) {
        let later = life.operations.iter().filter(|operation| operation.kind != OperationKind::Create);
        later.filter(|operation| operation.is_ok() || operation.session_was_unknown()).for_each(|_| finding.examined());
        if let Some(sign) = life.first_sign_of_loss() {
            finding.violated(|| tell(life, sign, history));
        }
    }
    finding.decide(None)
}

fn tell(life: &Life, sign: &Operation, history: &History) -> Story {
    let before = life.states().filter(|(operation, _)| operation.times.completed_ns <= sign.began_ns()).last();
    let was = before.map_or(String::new(), |(operation, state)| {
        format!(
            "it was at version {} on {} at {}; ",
            state.version,
            node(operation),
            seconds(operation.times.completed_ns)
        )
    });
    let became = match (sign.session_was_unknown(), life.loss()) {
        (false, _) => "answered with a new one in its place",
        (true, Some(_)) => "did not know it",
        (true, None) => "did not know it for a while",
    };
    Story::new(sign, history, &format!("{was}{} {became}", node(sign)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};
    use super::*;
    use crate::history::{FaultKind, FaultRecord};

    #[test]
    fn a_session_that_becomes_unknown_is_one_violation_with_its_story() {
        let mut history = history(|story| story.on("app-2").create().write().on("app-1").unknown().unknown());
        let mut kill = FaultRecord::planned(FaultKind::Kill, "app-2");
        kill.injected_ns = Some(2_500_000_000);
        history.faults.push(kill);
        let finding = finding(&history, Guarantee::SessionSurvives);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(finding.stories[0].text, @"session 1: it was at version 1 on app-2 at 1.50 s; app-1 did not know it at 2.50 s, 0.00 s after the kill of app-2");
    }

    #[test]
    fn a_session_that_is_unknown_once_is_a_violation_although_it_is_not_lost() {
        let history = history(|story| story.create().write().unknown().read().final_read());
        let finding = finding(&history, Guarantee::SessionSurvives);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        assert!(finding.stories[0].text.contains("did not know it for a while"), "{}", finding.stories[0].text);
        assert!(Life::all(&history)[0].loss().is_none());
    }

    #[test]
    fn a_session_that_comes_back_as_a_new_one_did_not_survive() {
        let history = history(|story| story.create().write().reborn());
        assert_eq!(finding(&history, Guarantee::SessionSurvives).verdict, Verdict::Violated);
    }

    #[test]
    fn a_session_whose_creation_was_never_acknowledged_cannot_be_lost() {
        let history = history(|story| story.create_without_reply().unknown());
        let finding = finding(&history, Guarantee::SessionSurvives);
        assert_eq!((finding.verdict, finding.examined), (Verdict::Unknown, 0));
    }

    #[test]
    fn errors_of_the_network_are_no_loss() {
        let history = history(|story| story.create().write().lost_reply_read().read().final_read());
        assert_eq!(finding(&history, Guarantee::SessionSurvives).verdict, Verdict::Pass);
    }
}
