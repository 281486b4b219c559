//! `monotonic-reads`: a reply lacks an operation that a read of the same session had shown before its request was sent.
//! Acknowledged updates that are lost do not count.

use super::Examination;
use super::freshness::{self, Rule};
use super::subject::Subject;
use crate::history::Operation;

const RULE: Rule = Rule {
    makes_known: |knowledge, subject, reply, step| {
        if is_read(reply.operation) {
            knowledge.step(subject, step, reply.operation.times.completed_ns);
        }
    },
    is_known_by: is_read,
    knows_by_reply: false,
    verb: "showed",
};

const fn is_read(operation: &Operation) -> bool {
    operation.kind.is_judged_read()
}

pub(super) fn examine(subject: &Subject, examination: &mut Examination) {
    freshness::examine(subject, examination, &RULE);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};

    #[test]
    fn a_read_that_goes_back_is_a_violation() {
        let history = history(|builder| builder.create().write().write().read().stale_read(1).final_read());
        let finding = finding(&history, Guarantee::MonotonicReads);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: app-1 showed version 2 at 3.50 s; app-1 answered version 1 at 4.50 s");
    }

    #[test]
    fn reads_that_stay_or_go_forward_pass() {
        let history = history(|builder| builder.create().write().read().read().write().read().final_read());
        assert_eq!(finding(&history, Guarantee::MonotonicReads).verdict, Verdict::Pass);
    }

    #[test]
    fn a_write_that_was_acknowledged_but_never_read_does_not_count() {
        let history = history(|builder| builder.create().read().write().write().stale_read(1).final_read());
        assert_eq!(finding(&history, Guarantee::MonotonicReads).verdict, Verdict::Pass);
    }

    #[test]
    fn a_write_without_a_reply_that_was_seen_must_not_vanish() {
        let history = history(|builder| builder.create().write().lost_reply_write(true).read().stale_final_read(1));
        assert_eq!(finding(&history, Guarantee::MonotonicReads).violations, 1);
        assert_eq!(finding(&history, Guarantee::NoLostUpdate).verdict, Verdict::Pass, "it was not acknowledged");
    }

    #[test]
    fn a_lost_update_is_not_a_read_that_goes_back() {
        let history = history(|builder| builder.create().write().write().read().stale_final_read(1));
        assert_eq!(finding(&history, Guarantee::MonotonicReads).verdict, Verdict::Pass);
        assert_eq!(finding(&history, Guarantee::NoLostUpdate).violations, 1);
    }
}
