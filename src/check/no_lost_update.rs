//! `no-lost-update`: the final state of a session lacks an acknowledged operation, another branch overwrote one, or the
//! payload is wrong. Sessions that were lost as a whole count under `session-survives`.

use super::subject::{JudgedBy, Reply, Subject};
use super::violation::{Violation, node, ordinal};
use super::{Examination, Guarantee, InconclusiveReason, LostWrite};
use crate::history::{Operation, Payload};

pub(super) fn examine(subject: &Subject, examination: &mut Examination) {
    for reply in subject.replies.iter().filter(|reply| reply.state.payload == Payload::Wrong) {
        examination.violated(subject, reply.operation, || describe_payload(subject, reply));
    }
    if subject.evidence == JudgedBy::Counter || subject.acknowledged_writes().next().is_none() {
        return;
    }
    if let Some(loss) = subject.outcome.loss {
        if !subject.rules.judges(Guarantee::SessionSurvives) {
            lost_with_the_session(subject, loss, examination);
        }
        return;
    }
    let Some(from) = subject.settled_from else {
        let is_shown = subject.last.is_some() || subject.outcome.log_out.is_some();
        let reason = if is_shown { InconclusiveReason::FinalNotPlaced } else { InconclusiveReason::NoFinalRead };
        return examination.inconclusive(reason);
    };
    let due = subject.acknowledged_writes().filter(|write| subject.is_due(write));
    for write in due.filter(|write| write.times.completed_ns <= from) {
        // A loss would show in the final read, if there is one.
        let shown_ns = subject.last.map_or(write.times.completed_ns, |last| last.operation.times.completed_ns);
        examination.examined(subject, shown_ns);
        if subject.is_gone(write) {
            examination.violated(subject, write, || describe(subject, write));
        }
    }
}

/// No other guarantee reports these writes.
fn lost_with_the_session(subject: &Subject, loss: &Operation, examination: &mut Examination) {
    for write in subject.acknowledged_writes() {
        examination.examined(subject, loss.times.completed_ns);
        examination.violated(subject, write, || {
            let text = format!("operation {}, which {} acknowledged, was lost with its session", write.id, node(write));
            Violation::of(subject, write, &[write, loss], &text)
        });
    }
}

fn describe_payload(subject: &Subject, reply: &Reply) -> Violation {
    let text = format!("{} answered version {} with a wrong payload", node(reply.operation), reply.state.version);
    Violation::new(subject, &[reply.operation], &text)
}

/// Acknowledged writes that are lost, alone or with their session.
pub(super) fn lost_writes(subject: &Subject) -> Vec<LostWrite> {
    let is_gone = |write: &&Operation| subject.outcome.loss.is_some() || subject.is_gone(write);
    let lost = |write: &Operation| LostWrite { acknowledged_ns: write.times.completed_ns, by: write.answer.clone() };
    subject.acknowledged_writes().filter(is_gone).map(lost).collect()
}

fn describe(subject: &Subject, write: &Operation) -> Violation {
    // A reply that shows no state has no version.
    let acknowledged = write.state().map_or(String::new(), |state| format!(" as version {}", state.version));
    if let (Some(place), Some(last)) = (subject.position(write.id), subject.last) {
        let text = format!(
            "no node holds operation {} in the end, which {} acknowledged{acknowledged} and {} showed as the {}",
            write.id,
            node(write),
            node(last.operation),
            ordinal(u32::try_from(place).unwrap_or(u32::MAX)),
        );
        return Violation::of(subject, write, &[write, last.operation], &text);
    }
    let length = subject.main.len().saturating_sub(1);
    let last = subject.last.map_or("the last state before the log-out", |_| "the final state");
    let text = format!(
        "{last}, version {length}, lacks operation {}, which {} acknowledged{acknowledged}",
        write.id,
        node(write)
    );
    let seen: Vec<&Operation> = [write].into_iter().chain(subject.last.map(|last| last.operation)).collect();
    Violation::of(subject, write, &seen, &text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};

    #[test]
    fn an_acknowledged_write_that_another_branch_overwrote_is_lost() {
        let history = history(|builder| builder.create().write().write().write_on(1).final_read());
        let finding = finding(&history, Guarantee::NoLostUpdate);
        assert_eq!((finding.verdict, finding.violations, finding.examined), (Verdict::Violated, 1, 3));
        assert!(finding.examples[0].text.contains("lacks operation 1.1.2"), "{}", finding.examples[0].text);
    }

    #[test]
    fn a_write_without_a_reply_may_be_there_or_not() {
        for applied in [true, false] {
            let history = history(|builder| builder.create().write().lost_reply_write(applied).write().final_read());
            assert_eq!(finding(&history, Guarantee::NoLostUpdate).verdict, Verdict::Pass, "{applied}");
        }
    }

    #[test]
    fn a_write_without_a_reply_may_take_effect_late() {
        let history = history(|builder| {
            let builder = builder.create().lost_reply_write(false).write();
            builder.final_read_of(&["1.1.2", "1.1.1"])
        });
        assert_eq!(finding(&history, Guarantee::NoLostUpdate).verdict, Verdict::Pass);
        assert_eq!(finding(&history, Guarantee::NoPhantom).verdict, Verdict::Pass);
    }

    #[test]
    fn a_final_state_that_went_back_has_lost_what_came_after() {
        let history = history(|builder| builder.create().write().write().write().stale_final_read(1));
        let finding = finding(&history, Guarantee::NoLostUpdate);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 2));
    }

    #[test]
    fn without_its_final_read_a_session_is_unknown() {
        let history = history(|builder| builder.create().write().read());
        let finding = finding(&history, Guarantee::NoLostUpdate);
        assert_eq!(finding.verdict, Verdict::Unknown);
        assert_eq!(finding.reason.as_deref(), Some("1 session gave no final read"));
    }

    #[test]
    fn a_final_state_of_unknown_order_is_unknown() {
        let history = history(|builder| builder.create().write().final_read_with_digest(7));
        let finding = finding(&history, Guarantee::NoLostUpdate);
        assert_eq!(finding.verdict, Verdict::Unknown);
        assert_eq!(
            finding.reason.as_deref(),
            Some("the final state of 1 session cannot be explained from what was seen")
        );
    }

    #[test]
    fn a_logged_out_session_has_lost_what_a_later_state_overwrote() {
        let lost = history(|builder| builder.create().write().write_on(0).write().log_out(true));
        assert_eq!(finding(&lost, Guarantee::NoLostUpdate).violations, 1);
        let kept = history(|builder| builder.create().write().write().log_out(true));
        assert_eq!(finding(&kept, Guarantee::NoLostUpdate).verdict, Verdict::Pass);
    }

    #[test]
    fn an_acknowledged_write_that_no_node_holds_in_the_end_is_lost_although_the_final_read_showed_it() {
        let history =
            history(|builder| builder.create().write().write().final_read().on("app-1").node_read_of(&["1.1.1"]));
        let finding = finding(&history, Guarantee::NoLostUpdate);
        assert_eq!(finding.violations, 1);
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: no node holds operation 1.1.2 in the end, which app-1 acknowledged as version 2 and app-1 showed as the 2nd at 2.50 s");
    }

    #[test]
    fn a_stale_final_read_while_a_node_holds_the_write_is_stale_and_not_lost() {
        let history = history(|builder| {
            let builder = builder.create().write().write().stale_final_read(1);
            builder.on("app-2").node_read_of(&["1.1.1", "1.1.2"])
        });
        assert_eq!(finding(&history, Guarantee::NoLostUpdate).violations, 0);
        assert_eq!(finding(&history, Guarantee::ReadYourWrites).violations, 1);
    }

    #[test]
    fn a_wrong_payload_is_a_lost_update() {
        let history = history(|builder| builder.create().write().read_without_its_payload().final_read());
        let finding = finding(&history, Guarantee::NoLostUpdate);
        assert_eq!(finding.violations, 1);
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: app-1 answered version 1 with a wrong payload at 2.50 s");
    }

    #[test]
    fn a_write_after_the_log_out_counts_under_logout_is_final_alone() {
        let history = history(|builder| builder.create().write().log_out(true).write().final_read_of(&["1.1.1"]));
        assert_eq!(finding(&history, Guarantee::NoLostUpdate).violations, 0);
        assert!(finding(&history, Guarantee::LogoutIsFinal).violations > 0);
    }

    #[test]
    fn a_lost_session_is_not_counted_twice() {
        let history = history(|builder| builder.create().write().unknown().unknown());
        assert_eq!(finding(&history, Guarantee::NoLostUpdate).violations, 0);
    }
}
