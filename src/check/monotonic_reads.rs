//! `monotonic-reads`: a reply is older than what a read of the same session had seen before it was asked for.

use super::Finding;
use super::freshness::{self, Rule};
use crate::history::{History, Life, OperationKind};

const RULE: Rule = Rule {
    makes_known: |operation| matches!(operation.kind, OperationKind::Read | OperationKind::FinalRead),
    least: |_, known| known,
    verb: "showed",
};

pub(super) fn examine(lives: &[Life], history: &History) -> Finding {
    freshness::examine(lives, history, &RULE)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finding, history};
    use super::super::{Guarantee, Verdict};

    #[test]
    fn a_read_that_goes_back_is_a_violation() {
        let history = history(|story| story.create().write().write().read().stale_read(1).final_read());
        let finding = finding(&history, Guarantee::MonotonicReads);
        assert_eq!((finding.verdict, finding.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(finding.stories[0].text, @"session 1: app-1 showed version 2 at 3.50 s; app-1 answered version 1 at 4.50 s");
    }

    #[test]
    fn reads_that_stay_or_go_forward_pass() {
        let history = history(|story| story.create().write().read().read().write().read().final_read());
        assert_eq!(finding(&history, Guarantee::MonotonicReads).verdict, Verdict::Pass);
    }

    #[test]
    fn what_was_acknowledged_but_never_read_is_not_this_guarantees_matter() {
        let history = history(|story| story.create().read().write().write().stale_read(1).final_read());
        assert_eq!(finding(&history, Guarantee::MonotonicReads).verdict, Verdict::Pass);
    }
}
