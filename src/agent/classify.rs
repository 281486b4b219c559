//! How an operation ended: ok, fail or indeterminate. The one rule: *fail* means certainly not applied,
//! so it takes either a request that never left, or a refusal that the app itself signed with its name.

use std::sync::Arc;

use serde::Deserialize;

use super::connection::Broken;
use super::reply::Reply;
use crate::history::compact::Answers;
use crate::history::{Answer, ErrorKind, Identity, OperationKind, Order, Outcome, State, TAIL};

/// Every reply of the contract, whatever its status.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    node: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    boot: std::borrow::Cow<'a, str>,
    #[serde(default)]
    error: Option<std::borrow::Cow<'a, str>>,
    owner: Option<String>,
    #[serde(default)]
    epoch: String,
    version: Option<u64>,
    digest: Option<std::borrow::Cow<'a, str>>,
    tail: Option<Vec<std::borrow::Cow<'a, str>>>,
}

impl Body<'_> {
    /// The state that it shows; none where there is none, or one that the contract does not allow. An app that
    /// shows neither digest nor tail shows a mere counter.
    fn state(self) -> Option<State> {
        let identity = Arc::new(Identity { owner: self.owner?, epoch: self.epoch });
        let order = match (self.digest, self.tail) {
            (None, None) => None,
            (Some(digest), Some(tail)) => {
                let is_hexadecimal = digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
                let digest = u64::from_str_radix(&digest, 16).ok().filter(|_| is_hexadecimal)?;
                let newest = tail.get(tail.len().saturating_sub(TAIL)..)?;
                let tail = newest.iter().map(|op| op.parse()).collect::<Result<Vec<_>, ()>>().ok()?;
                Some(Order { digest, tail: tail.into() })
            }
            _ => return None,
        };
        Some(State { identity, version: self.version?, order })
    }
}

/// How an operation without a complete reply ended.
pub fn without_reply(broken: &Broken) -> Outcome {
    if broken.sent.is_none() { Outcome::Fail(broken.error) } else { Outcome::Indeterminate(broken.error) }
}

/// How an operation with a complete reply ended, and who answered.
pub fn with_reply(kind: OperationKind, reply: &Reply, answers: &mut Answers) -> (Outcome, Option<Arc<Answer>>) {
    let body: Option<Body> = serde_json::from_slice(&reply.body).ok();
    let answer = body.as_ref().map(|body| answers.share(&body.node, &body.boot));
    let does_not_know = body.as_ref().is_some_and(|body| body.error.as_deref() == Some("unknown-session"));
    let outcome = match (reply.status, kind, body) {
        (204, OperationKind::LogOut, _) => Outcome::LoggedOut,
        (200, _, Some(body)) if kind != OperationKind::LogOut => {
            body.state().map_or(Outcome::Indeterminate(ErrorKind::Malformed), Outcome::Ok)
        }
        (200, ..) => Outcome::Indeterminate(ErrorKind::Malformed),
        (404, _, Some(_)) if does_not_know => Outcome::Fail(ErrorKind::UnknownSession),
        (400..500, _, Some(_)) => Outcome::Fail(ErrorKind::RefusedByApp),
        // Without the app's name it may come from a balancer that had passed the request on.
        (400..500, _, None) => Outcome::Indeterminate(ErrorKind::Status4xx),
        (500..600, ..) => Outcome::Indeterminate(ErrorKind::Status5xx),
        _ => Outcome::Indeterminate(ErrorKind::StatusOther),
    };
    (outcome, answer)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn outcome(status: u16, body: &str) -> Outcome {
        outcome_of(OperationKind::Write, status, body)
    }

    fn outcome_of(kind: OperationKind, status: u16, body: &str) -> Outcome {
        let reply = Reply { status, set_cookies: Vec::new(), body: body.into(), keep_alive: true };
        with_reply(kind, &reply, &mut Answers::default()).0
    }

    #[test]
    fn a_complete_reply_with_a_state_is_ok() {
        let body = r#"{"node":"app-1","boot":"b","owner":"s1","epoch":"e","version":3,"digest":"000000000000000d","tail":["1.1.1"]}"#;
        assert!(matches!(outcome(200, body), Outcome::Ok(State { version: 3, order: Some(_), .. })));
        let counter = r#"{"node":"app-1","boot":"b","owner":"s1","version":3}"#;
        assert!(matches!(outcome(200, counter), Outcome::Ok(State { version: 3, order: None, .. })));
    }

    #[test]
    fn a_log_out_is_done_only_when_its_reply_says_so() {
        assert_eq!(outcome_of(OperationKind::LogOut, 204, ""), Outcome::LoggedOut);
        assert_eq!(outcome_of(OperationKind::Read, 204, ""), Outcome::Indeterminate(ErrorKind::StatusOther));
        assert_eq!(outcome_of(OperationKind::LogOut, 200, "{}"), Outcome::Indeterminate(ErrorKind::Malformed));
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
        for body in [
            "",
            "{}",
            r#"{"node":"app-1","boot":"b"}"#,
            r#"{"node":"app-1","boot":"b","owner":"s1","version":-1}"#,
            r#"{"node":"app-1","boot":"b","owner":"s1","epoch":"e","version":1,"digest":"+00000000000000d","tail":[]}"#,
            r#"{"node":"app-1","boot":"b","owner":"s1","epoch":"e","version":1,"digest":"000000000000000d"}"#,
            r#"{"node":"app-1","boot":"b","owner":"s1","epoch":"e","version":1,"digest":"000000000000000d","tail":["x"]}"#,
        ] {
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
