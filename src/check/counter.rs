//! The weaker check, for apps that show only the number of operations in a session: acknowledged ≤ counter ≤
//! acknowledged + possibly applied. It cannot distinguish a phantom from an operation applied twice, and counts both as
//! the latter; it cannot detect a second history.

use super::subject::{JudgedBy, Reply, Subject};
use super::violation::{Violation, node};
use super::{Examination, Guarantee, InconclusiveReason};
use crate::history::{Operation, OperationKind};

pub(super) fn examine(guarantee: Guarantee, subject: &Subject, examination: &mut Examination) {
    if subject.evidence == JudgedBy::Order {
        return;
    }
    let counts_a_visitors_writes =
        subject.history.operations.iter().any(|operation| operation.kind == OperationKind::VisitorWrite);
    match guarantee {
        // The counter goes on from what the visitor wrote, and a late write may be in it or not.
        Guarantee::ReadYourWrites | Guarantee::NoLostUpdate | Guarantee::AppliedOnce if counts_a_visitors_writes => {
            examination.inconclusive(InconclusiveReason::CounterOnly);
        }
        Guarantee::ReadYourWrites => read_your_writes(subject, examination),
        Guarantee::MonotonicReads => monotonic_reads(subject, examination),
        Guarantee::NoLostUpdate => no_lost_update(subject, examination),
        Guarantee::AppliedOnce => applied_once(subject, examination),
        Guarantee::NoPhantom | Guarantee::OneHistory => examination.inconclusive(InconclusiveReason::CounterOnly),
        Guarantee::SessionSurvives
        | Guarantee::Owned
        | Guarantee::LogoutIsFinal
        | Guarantee::LoginSticks
        | Guarantee::IdRotates
        | Guarantee::NoAdoptedId
        | Guarantee::ExpiresInTime => {}
    }
}

/// Guarantees that a counter cannot judge.
pub(super) const UNSUPPORTED_BY_COUNTER: [Guarantee; 2] = [Guarantee::NoPhantom, Guarantee::OneHistory];

fn through<'s, 'a>(subject: &'s Subject<'a>) -> impl Iterator<Item = &'s Reply<'a>> {
    subject.replies.iter().filter(|reply| reply.operation.is_through_the_balancer())
}

/// When writes were acknowledged, in nanoseconds, sorted.
fn acknowledged(subject: &Subject) -> Vec<u64> {
    let mut instants: Vec<u64> = subject.acknowledged_writes().map(|write| write.times.completed_ns).collect();
    instants.sort_unstable();
    instants
}

/// How many acknowledged writes are missing from the final counter.
fn lost(subject: &Subject, acknowledged: usize) -> u64 {
    subject.last.map_or(0, |last| (acknowledged as u64).saturating_sub(last.state.version))
}

/// A reply counts fewer writes than were acknowledged before its request was sent, not counting lost updates.
fn read_your_writes(subject: &Subject, examination: &mut Examination) {
    let acknowledged = acknowledged(subject);
    let lost = lost(subject, acknowledged.len());
    for reply in through(subject) {
        let known = acknowledged.partition_point(|instant| *instant <= reply.operation.began_ns()) as u64;
        if known == 0 {
            continue;
        }
        examination.examined(subject, reply.operation.times.completed_ns);
        let least = known.saturating_sub(lost);
        if reply.state.version < least {
            let text =
                format!("{known} writes were acknowledged; {} counted {}", node(reply.operation), reply.state.version);
            examination.violated(subject, reply.operation, || Violation::new(subject, &[reply.operation], &text));
        }
    }
}

/// A reply counts fewer writes than a read had shown before its request was sent, not counting lost updates.
fn monotonic_reads(subject: &Subject, examination: &mut Examination) {
    let lost = lost(subject, acknowledged(subject).len());
    let is_read = |reply: &&Reply| reply.operation.kind.is_judged_read();
    let mut seen: Vec<(u64, u64)> = through(subject)
        .filter(is_read)
        .map(|reply| (reply.operation.times.completed_ns, reply.state.version))
        .collect();
    seen.sort_unstable();
    let mut highest = 0;
    for (_, version) in &mut seen {
        highest = highest.max(*version);
        *version = highest;
    }
    for reply in through(subject) {
        let before = seen.partition_point(|(instant, _)| *instant <= reply.operation.began_ns());
        let Some((_, known)) = before.checked_sub(1).and_then(|index| seen.get(index)) else { continue };
        examination.examined(subject, reply.operation.times.completed_ns);
        if reply.state.version < known.saturating_sub(lost) {
            let text = format!("a read had counted {known}; {} counted {}", node(reply.operation), reply.state.version);
            examination.violated(subject, reply.operation, || Violation::new(subject, &[reply.operation], &text));
        }
    }
}

/// The final counter is lower than the number of acknowledged writes.
fn no_lost_update(subject: &Subject, examination: &mut Examination) {
    let acknowledged = acknowledged(subject).len();
    if subject.outcome.loss.is_some() || subject.outcome.log_out.is_some() || acknowledged == 0 {
        return;
    }
    let Some(last) = subject.last else { return examination.inconclusive(InconclusiveReason::NoFinalRead) };
    for _ in 0..acknowledged {
        examination.examined(subject, last.operation.times.completed_ns);
    }
    for _ in 0..lost(subject, acknowledged) {
        examination.violated(subject, last.operation, || {
            let text =
                format!("{acknowledged} writes were acknowledged, and the final state counts {}", last.state.version);
            Violation::new(subject, &[last.operation], &text)
        });
    }
}

/// A reply counts more writes than could have been applied before it was complete.
fn applied_once(subject: &Subject, examination: &mut Examination) {
    let sent = subject.history.operations.iter().filter(|write| write.kind.is_write() && !write.failed());
    let mut sent: Vec<u64> = sent.map(Operation::began_ns).collect();
    sent.sort_unstable();
    for reply in &subject.replies {
        let most = sent.partition_point(|instant| *instant < reply.operation.times.completed_ns) as u64;
        examination.examined(subject, reply.operation.times.completed_ns);
        if reply.state.version > most {
            let text = format!("{most} writes were sent; {} counted {}", node(reply.operation), reply.state.version);
            examination.violated(subject, reply.operation, || Violation::new(subject, &[reply.operation], &text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HistoryBuilder, finding, history};
    use super::super::{Guarantee, Verdict, judge};
    use crate::history::{Operation, SessionHistory, Timeline};

    /// A history of an app that shows only a counter.
    fn counted(build: impl FnOnce(HistoryBuilder) -> HistoryBuilder) -> Vec<Operation> {
        history(|builder| build(builder.counter_only()))
    }

    #[test]
    fn a_healthy_counter_passes_what_a_counter_can_show_and_the_judgement_says_so() {
        let history = counted(|builder| builder.create().write().read().lost_reply_write(true).write().final_read());
        let judgement = judge(SessionHistory::all(history), &Timeline::default(), &Guarantee::ALL[..8]);
        assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
        assert!(judgement.by_counter_only);
        assert!(!judgement.guarantees.contains_key(&Guarantee::OneHistory));
    }

    #[test]
    fn fewer_than_acknowledged_is_a_lost_update() {
        let history = counted(|builder| builder.create().write().write().stale_final_read(1));
        assert_eq!(finding(&history, Guarantee::NoLostUpdate).violations, 1);
        assert_eq!(finding(&history, Guarantee::ReadYourWrites).verdict, Verdict::Pass);
    }

    #[test]
    fn more_than_was_sent_is_an_operation_applied_twice() {
        let history = counted(|builder| builder.create().write().read_of(&["1.1.1", "1.1.1"]).final_read());
        assert_eq!(finding(&history, Guarantee::AppliedOnce).violations, 1);
    }

    #[test]
    fn a_read_that_counts_less_than_before_is_stale_or_goes_back() {
        let stale = counted(|builder| builder.create().write().write().stale_read(1).final_read());
        assert_eq!(finding(&stale, Guarantee::ReadYourWrites).violations, 1);
        let back = counted(|builder| builder.create().lost_reply_write(true).read().stale_read(0).final_read());
        assert_eq!(finding(&back, Guarantee::MonotonicReads).violations, 1);
    }
}
