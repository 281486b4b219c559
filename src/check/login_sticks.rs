//! `login-sticks`: a user who logged in is a visitor again, without a log-out, because a request of the visitor's session was in
//! flight at the log-in. Either it saved what it had loaded, and the session has no user any more. Or its late reply set the
//! old id in the browser's cookies once more, as it may also do when the id changes later.
//!
//! For the second, the agent keeps both: the cookies of the session, and those that a browser has, in which the last `Set-Cookie` wins. Where
//! they are different it reads once with the browser's. A session that its own cookies do not show any more counts under
//! `session-survives` alone.

use super::Examination;
use super::subject::Subject;
use super::violation::{Violation, node, seconds};
use crate::history::{Operation, OperationKind};

pub(super) fn examine(subject: &Subject, examination: &mut Examination) {
    let Some((creation, _)) = subject.outcome.creation else { return };
    let log_in = Some(creation).filter(|first| first.kind == OperationKind::LogIn);
    if let (Some(log_in), Some(operation)) = (log_in, subject.outcome.log_in_lost) {
        examination.examined(subject, operation.times.completed_ns);
        return examination.violated(subject, operation, || overwritten(subject, log_in, operation));
    }
    let renewals = subject.outcome.id_changes.iter().copied().filter(|change| change.is_ok());
    let changes: Vec<&Operation> = log_in.into_iter().chain(renewals).collect();
    let ended_ns = subject.outcome.log_out.map_or(u64::MAX, |log_out| log_out.sent_ns);
    for (place, change) in changes.iter().enumerate() {
        let until_ns = changes.get(place + 1).map_or(ended_ns, |next| next.began_ns().min(ended_ns));
        examine_browser(subject, examination, change, until_ns);
    }
}

/// Examines the browser after a change of the id, until the next one or the log-out.
fn examine_browser(subject: &Subject, examination: &mut Examination, change: &Operation, until_ns: u64) {
    let operations = || subject.history.operations.iter();
    let is_late = |operation: &&Operation| {
        operation.kind.is_held()
            && operation.kind.is_of_a_visitor() == (change.kind == OperationKind::LogIn)
            && operation.status.is_some()
            && operation.began_ns() < change.began_ns()
            && operation.times.completed_ns > change.began_ns()
    };
    let Some(late) = operations().filter(is_late).max_by_key(|operation| operation.times.completed_ns) else { return };
    let is_asked = |operation: &&Operation| {
        operation.began_ns() >= change.times.completed_ns.max(late.times.completed_ns)
            && operation.times.completed_ns <= until_ns
    };
    // The session must be there for its own cookies, or else nothing can be said of the browser's. Only the user's own requests
    // tell: they come after the read with the browser's cookies, where there is one to do.
    let own = subject.replies.iter().map(|reply| reply.operation);
    let mut own = own.filter(|operation| !operation.is_read_after_load()).filter(is_asked);
    let Some(shown) = own.next_back() else { return };
    let read = operations().filter(is_asked).find(|operation| operation.kind == OperationKind::BrowserRead);
    let Some(read) = read else {
        // The browser has the cookies of the session.
        return examination.examined(subject, shown.times.completed_ns);
    };
    let owner = subject.history.owner();
    let is_logged_in = read.state().is_some_and(|state| state.identity.owner == owner);
    if read.times.completed_ns > shown.began_ns() || !(read.is_ok() || read.session_was_unknown()) {
        return;
    }
    examination.examined(subject, read.times.completed_ns);
    if !is_logged_in {
        examination.violated(subject, read, || {
            let at = seconds(change.times.completed_ns);
            let did = if change.kind == OperationKind::LogIn { "its user logged in" } else { "its id changed" };
            let text = format!(
                "{did} at {at}; the reply to the {} {} came later and led the browser back, {} showed no log-in",
                late.kind.word(),
                late.id,
                node(read)
            );
            Violation::of(subject, read, &[late, change, read], &text)
        });
    }
}

fn overwritten(subject: &Subject, log_in: &Operation, operation: &Operation) -> Violation {
    let is_in_flight = |other: &&Operation| {
        other.kind.is_of_a_visitor()
            && other.began_ns() < log_in.times.completed_ns
            && other.times.completed_ns > log_in.began_ns()
    };
    let in_flight = subject.history.operations.iter().find(is_in_flight);
    let with =
        in_flight.map_or(String::new(), |other| format!(" with the {} {} in flight", other.kind.word(), other.id));
    let at = seconds(log_in.times.completed_ns);
    let text = format!("its user logged in at {at}{with}; {} showed it without its user", node(operation));
    let seen: Vec<&Operation> = in_flight.into_iter().chain([log_in, operation]).collect();
    Violation::of(subject, operation, &seen, &text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HistoryBuilder, finding, history};
    use super::super::{Guarantee, Verdict, judge};
    use crate::history::{SessionHistory, Timeline};

    fn after_a_late_reply(builder: HistoryBuilder) -> HistoryBuilder {
        builder.visit().visitor_write().log_in_meanwhile()
    }

    #[test]
    fn a_browser_that_a_late_reply_leads_back_is_a_violation_and_of_nothing_else() {
        for owner in [Some(""), None] {
            let history = history(|builder| after_a_late_reply(builder).browser_read(owner).write().final_read());
            let found = finding(&history, Guarantee::LoginSticks);
            assert_eq!((found.verdict, found.violations), (Verdict::Violated, 1));
            assert_eq!(finding(&history, Guarantee::SessionSurvives).verdict, Verdict::Pass);
        }
        let history = history(|builder| after_a_late_reply(builder).browser_read(None).write().final_read());
        insta::assert_snapshot!(finding(&history, Guarantee::LoginSticks).examples[0].text, @"session 1: its user logged in at 1.20 s; the reply to the visitor-write 1.1.1 came later and led the browser back, app-1 showed no log-in at 3.50 s");
    }

    #[test]
    fn a_browser_that_is_logged_in_passes_with_its_own_cookies_and_with_others() {
        let same = history(|builder| after_a_late_reply(builder).write().final_read());
        assert_eq!(finding(&same, Guarantee::LoginSticks).verdict, Verdict::Pass);
        let other = history(|builder| after_a_late_reply(builder).browser_read(Some("s1")).write().final_read());
        assert_eq!(finding(&other, Guarantee::LoginSticks).verdict, Verdict::Pass);
    }

    #[test]
    fn a_session_that_a_late_write_takes_from_its_user_is_a_violation_and_of_nothing_else() {
        let history = history(|builder| after_a_late_reply(builder).write().without_its_user());
        let found = finding(&history, Guarantee::LoginSticks);
        assert_eq!((found.verdict, found.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(found.examples[0].text, @"session 1: its user logged in at 1.20 s with the visitor-write 1.1.1 in flight; app-1 showed it without its user at 4.50 s");
        assert_eq!(finding(&history, Guarantee::SessionSurvives).verdict, Verdict::Pass);
        let alone = judge(SessionHistory::all(history), &Timeline::default(), &[Guarantee::SessionSurvives]);
        assert_eq!(alone.guarantees[&Guarantee::SessionSurvives].verdict, Verdict::Violated, "it counts somewhere");
    }

    #[test]
    fn a_session_that_is_lost_says_nothing_about_the_browser() {
        let lost = history(|builder| after_a_late_reply(builder).browser_read(None).unknown().unknown());
        assert_eq!(finding(&lost, Guarantee::LoginSticks).verdict, Verdict::Unknown);
        assert_eq!(finding(&lost, Guarantee::SessionSurvives).verdict, Verdict::Violated);
    }

    #[test]
    fn a_browser_that_is_led_back_to_the_id_before_a_later_change_is_a_violation() {
        let history_of = |owner| {
            history(|builder| builder.create().held_write().new_id_meanwhile().browser_read(owner).write().final_read())
        };
        let led_back = finding(&history_of(None), Guarantee::LoginSticks);
        assert_eq!((led_back.verdict, led_back.violations), (Verdict::Violated, 1));
        insta::assert_snapshot!(led_back.examples[0].text, @"session 1: its id changed at 1.20 s; the reply to the held-write 1.1.1 came later and led the browser back, app-1 showed no log-in at 3.50 s");
        assert_eq!(finding(&history_of(Some("s1")), Guarantee::LoginSticks).verdict, Verdict::Pass);
    }

    #[test]
    fn a_log_in_without_a_request_in_flight_leaves_the_verdict_unknown() {
        let history = history(|builder| builder.visit().log_in().write().final_read());
        assert_eq!(finding(&history, Guarantee::LoginSticks).verdict, Verdict::Unknown);
    }
}
