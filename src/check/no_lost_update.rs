//! `no-lost-update`: an acknowledged operation is missing from the final state of its session, or was
//! overwritten by another branch. Sessions that were lost altogether are the matter of `session-survives`.

use super::story::{Story, node};
use super::subject::{Evidence, Subject};
use super::{Doubt, Examination};
use crate::history::Operation;

pub(super) fn examine(subject: &Subject, examination: &mut Examination) {
    if subject.evidence == Evidence::Counter {
        return;
    }
    if subject.fate.loss.is_some() || subject.acknowledged_writes().next().is_none() {
        return;
    }
    let Some(from) = subject.settled_from else {
        let is_shown = subject.last.is_some() || subject.fate.log_out.is_some();
        let doubt = if is_shown { Doubt::FinalNotPlaced } else { Doubt::NoFinalRead };
        return examination.doubt(doubt);
    };
    for write in subject.acknowledged_writes().filter(|write| write.times.completed_ns <= from) {
        examination.examined(1);
        if subject.is_gone(write) {
            examination.violated(subject, write, || tell(subject, write));
        }
    }
}

/// When those writes were acknowledged that are gone, with their session or from it.
pub(super) fn lost_at_ns(subject: &Subject) -> Vec<u64> {
    let is_gone = |write: &&Operation| subject.fate.loss.is_some() || subject.is_gone(write);
    subject.acknowledged_writes().filter(is_gone).map(|write| write.times.completed_ns).collect()
}

fn tell(subject: &Subject, write: &Operation) -> Story {
    let acknowledged = write.state().map_or(0, |state| state.version);
    let length = subject.main.len().saturating_sub(1);
    let last = subject.last.map_or("the last state before the log-out", |_| "the final state");
    let text = format!(
        "{last}, version {length}, lacks operation {}, which {} acknowledged as version {acknowledged}",
        write.id,
        node(write)
    );
    let seen: Vec<&Operation> = [write].into_iter().chain(subject.last.map(|last| last.operation)).collect();
    Story::of(subject, write, &seen, &text)
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
    fn a_write_without_a_reply_may_take_effect_late() {
        let history = history(|story| {
            let story = story.create().lost_reply_write(false).write();
            story.final_read_of(&["1.1.2", "1.1.1"])
        });
        assert_eq!(finding(&history, Guarantee::NoLostUpdate).verdict, Verdict::Pass);
        assert_eq!(finding(&history, Guarantee::NoPhantom).verdict, Verdict::Pass);
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
        assert_eq!(finding.reason.as_deref(), Some("1 session gave no final read"));
    }

    #[test]
    fn a_final_state_whose_order_cannot_be_told_proves_nothing() {
        let history = history(|story| story.create().write().final_read_with_digest(7));
        let finding = finding(&history, Guarantee::NoLostUpdate);
        assert_eq!(finding.verdict, Verdict::Unknown);
        assert_eq!(
            finding.reason.as_deref(),
            Some("the final state of 1 session cannot be explained from what was seen")
        );
    }

    #[test]
    fn a_logged_out_session_has_lost_what_a_later_state_overwrote() {
        let lost = history(|story| story.create().write().write_on(0).write().log_out(true));
        assert_eq!(finding(&lost, Guarantee::NoLostUpdate).violations, 1);
        let kept = history(|story| story.create().write().write().log_out(true));
        assert_eq!(finding(&kept, Guarantee::NoLostUpdate).verdict, Verdict::Pass);
    }

    #[test]
    fn a_lost_session_is_not_blamed_twice() {
        let history = history(|story| story.create().write().unknown().unknown());
        assert_eq!(finding(&history, Guarantee::NoLostUpdate).violations, 0);
    }
}
