//! `read-your-writes`: a reply lacks a write to the same session that was acknowledged before its request was sent and
//! is not lost. A write's own reply counts too, because it shows the state that the write was applied to.

use super::Examination;
use super::freshness::{self, Rule};
use super::subject::{Subject, is_acknowledged};

const RULE: Rule = Rule {
    makes_known: |knowledge, subject, reply, _| {
        if is_acknowledged(reply.operation) {
            knowledge.operation(subject, reply.operation.id, reply.operation.times.completed_ns);
        }
    },
    is_known_by: is_acknowledged,
    knows_by_reply: true,
    verb: "acknowledged",
};

pub(super) fn examine(subject: &Subject, examination: &mut Examination) {
    freshness::examine(subject, examination, &RULE);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};

    #[test]
    fn a_read_older_than_an_acknowledged_write_is_stale() {
        let history = history(|builder| builder.create().write().write().stale_read(1).final_read());
        let finding = finding(&history, Guarantee::ReadYourWrites);
        assert_eq!((finding.verdict, finding.violations, finding.examined), (Verdict::Violated, 1, 3));
        insta::assert_snapshot!(finding.examples[0].text, @"session 1: app-1 acknowledged version 2 at 2.50 s; app-1 answered version 1 at 3.50 s");
    }

    #[test]
    fn a_write_made_on_an_old_state_is_stale_too_unless_it_overwrote_the_newer_one_for_good() {
        let regained = |builder: super::super::testing::HistoryBuilder| builder.create().write().write().write_on(1);
        let lost = history(|builder| regained(builder).final_read());
        assert_eq!(finding(&lost, Guarantee::ReadYourWrites).verdict, Verdict::Pass);
        assert_eq!(finding(&lost, Guarantee::NoLostUpdate).violations, 1);
        let kept = history(|builder| regained(builder).final_read_of(&["1.1.1", "1.1.2", "1.1.3"]));
        assert_eq!(finding(&kept, Guarantee::ReadYourWrites).verdict, Verdict::Violated);
    }

    #[test]
    fn a_reply_asked_for_before_the_acknowledgement_may_be_older() {
        let history = history(|builder| builder.create().write().overlapping_stale_read(0).final_read());
        assert_eq!(finding(&history, Guarantee::ReadYourWrites).verdict, Verdict::Pass);
    }

    #[test]
    fn a_reply_of_a_longer_branch_that_lacks_an_acknowledged_write_is_stale() {
        let history = history(|builder| {
            let builder = builder.create().write().lost_reply_write(false).lost_reply_write(false);
            builder.read_of(&["1.1.2", "1.1.3"]).final_read_of(&["1.1.1", "1.1.2", "1.1.3"])
        });
        assert_eq!(finding(&history, Guarantee::ReadYourWrites).violations, 1);
    }

    #[test]
    fn a_write_without_a_reply_need_not_be_seen() {
        let history = history(|builder| builder.create().write().lost_reply_write(false).read().final_read());
        assert_eq!(finding(&history, Guarantee::ReadYourWrites).verdict, Verdict::Pass);
    }

    #[test]
    fn a_node_may_be_behind_when_it_is_asked_past_the_balancer() {
        let history =
            history(|builder| builder.create().write().write().final_read().on("app-2").node_read_of(&["1.1.1"]));
        assert_eq!(finding(&history, Guarantee::ReadYourWrites).verdict, Verdict::Pass);
    }
}
