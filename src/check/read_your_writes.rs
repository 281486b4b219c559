//! `read-your-writes`: a reply is older than what had been acknowledged to the same session before it was
//! asked for. A write's own reply counts too: it shows the state on which the write was made.

use super::Finding;
use super::freshness::{self, Rule};
use crate::history::{History, Life, OperationKind};

const RULE: Rule = Rule {
    makes_known: |operation| matches!(operation.kind, OperationKind::Write),
    // A write that was made on the acknowledged state has moved past it.
    least: |operation, known| if matches!(operation.kind, OperationKind::Write) { known + 1 } else { known },
    verb: "acknowledged",
};

pub(super) fn examine(lives: &[Life], history: &History) -> Finding {
    freshness::examine(lives, history, &RULE)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};

    #[test]
    fn a_read_older_than_an_acknowledged_write_is_stale() {
        let history = history(|story| story.create().write().write().stale_read(1).final_read());
        let finding = finding(&history, Guarantee::ReadYourWrites);
        assert_eq!((finding.verdict, finding.violations, finding.examined), (Verdict::Violated, 1, 3));
        insta::assert_snapshot!(finding.stories[0].text, @"session 1: app-1 acknowledged version 2 at 2.50 s; app-1 answered version 1 at 3.50 s");
    }

    #[test]
    fn a_write_made_on_an_old_state_is_stale_too() {
        let history = history(|story| story.create().write().write().write_on(1).final_read());
        assert_eq!(finding(&history, Guarantee::ReadYourWrites).verdict, Verdict::Violated);
    }

    #[test]
    fn a_reply_asked_for_before_the_acknowledgement_may_be_older() {
        let history = history(|story| story.create().write().overlapping_stale_read(0).final_read());
        assert_eq!(finding(&history, Guarantee::ReadYourWrites).verdict, Verdict::Pass);
    }

    #[test]
    fn a_write_without_a_reply_need_not_be_seen() {
        let history = history(|story| story.create().write().lost_reply_write(false).read().final_read());
        assert_eq!(finding(&history, Guarantee::ReadYourWrites).verdict, Verdict::Pass);
    }
}
