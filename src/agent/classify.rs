//! How an operation ended: ok, fail or indeterminate. The one rule: *fail* means certainly not applied,
//! so it takes either a request that never left, or a refusal that the app itself signed with its name.

use serde::Deserialize;

use super::connection::Broken;
use super::reply::Reply;
use crate::history::{Answer, ErrorKind, Outcome, State};

/// Every reply of the contract, whatever its status.
#[derive(Deserialize)]
struct Body {
    node: String,
    boot: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(flatten)]
    state: Option<State>,
}

/// How an operation without a complete reply ended.
pub fn without_reply(broken: &Broken) -> Outcome {
    if broken.sent.is_none() { Outcome::Fail(broken.error) } else { Outcome::Indeterminate(broken.error) }
}

/// How an operation with a complete reply ended, and who answered.
pub fn with_reply(reply: &Reply) -> (Outcome, Option<Answer>) {
    let body: Option<Body> = serde_json::from_slice(&reply.body).ok();
    let (answer, error, state) = match body {
        Some(body) => (Some(Answer { node: body.node, boot: body.boot }), body.error, body.state),
        None => (None, None, None),
    };
    let outcome = match (reply.status, &answer, state) {
        (200, Some(_), Some(state)) => Outcome::Ok(state),
        (200, _, _) => Outcome::Indeterminate(ErrorKind::Malformed),
        (404, Some(_), _) if error.as_deref() == Some("unknown-session") => Outcome::Fail(ErrorKind::UnknownSession),
        (400..500, Some(_), _) => Outcome::Fail(ErrorKind::RefusedByApp),
        // Without the app's name it may come from a balancer that had passed the request on.
        (400..500, None, _) => Outcome::Indeterminate(ErrorKind::Status4xx),
        (500..600, _, _) => Outcome::Indeterminate(ErrorKind::Status5xx),
        _ => Outcome::Indeterminate(ErrorKind::StatusOther),
    };
    (outcome, answer)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn outcome(status: u16, body: &str) -> Outcome {
        with_reply(&Reply { status, set_cookies: Vec::new(), body: body.into(), keep_alive: true }).0
    }

    #[test]
    fn a_complete_reply_with_a_state_is_ok() {
        let body = r#"{"node":"app-1","boot":"b","owner":"s1","epoch":"e","version":3,"digest":"d","tail":["1.1.1"]}"#;
        assert!(matches!(outcome(200, body), Outcome::Ok(State { version: 3, .. })));
    }

    #[test]
    fn only_the_app_itself_can_say_that_a_session_is_unknown() {
        assert_eq!(
            outcome(404, r#"{"node":"app-1","boot":"b","error":"unknown-session"}"#),
            Outcome::Fail(ErrorKind::UnknownSession)
        );
        assert_eq!(outcome(404, "<html>not here</html>"), Outcome::Indeterminate(ErrorKind::Status4xx));
    }

    #[test]
    fn an_error_of_the_balancer_is_never_a_certain_failure() {
        for status in [502, 503, 504] {
            assert_eq!(outcome(status, "<html></html>"), Outcome::Indeterminate(ErrorKind::Status5xx), "{status}");
        }
    }

    #[test]
    fn a_success_without_a_state_is_malformed_and_not_ok() {
        for body in
            ["", "{}", r#"{"node":"app-1","boot":"b"}"#, r#"{"node":"app-1","boot":"b","owner":"s1","version":-1}"#]
        {
            assert_eq!(outcome(200, body), Outcome::Indeterminate(ErrorKind::Malformed), "{body}");
        }
    }

    #[test]
    fn what_was_never_sent_certainly_failed_and_what_was_sent_may_have_been_applied() {
        let broken = |sent| Broken { error: ErrorKind::Timeout, sent, first_byte: None };
        assert_eq!(without_reply(&broken(None)), Outcome::Fail(ErrorKind::Timeout));
        assert_eq!(without_reply(&broken(Some(Instant::now()))), Outcome::Indeterminate(ErrorKind::Timeout));
    }
}
