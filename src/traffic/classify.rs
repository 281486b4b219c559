//! How an operation ended: ok, fail or indeterminate. The one rule: *fail* means certainly not applied,
//! so it takes either a request that never left, or a refusal that the app itself signed with its name.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use super::reply::Reply;
use crate::history::compact::Answers;
use crate::history::{Answer, ErrorKind, Identity, OperationId, OperationKind, Order, Outcome, State, TAIL, Tail};

/// Every reply of the contract, whatever its status.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    node: Text<'a>,
    #[serde(borrow)]
    boot: Text<'a>,
    #[serde(borrow, default)]
    error: Option<Text<'a>>,
    #[serde(borrow, default)]
    owner: Option<Text<'a>>,
    #[serde(borrow, default)]
    epoch: Text<'a>,
    #[serde(default)]
    version: Option<u64>,
    #[serde(borrow, default)]
    digest: Option<Text<'a>>,
    #[serde(default)]
    tail: Option<LastOperations>,
}

/// Text in its place, unless it had to be unescaped. Serde's own borrowing does not reach into an `Option`.
#[derive(Default)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowed;

        impl<'de> Visitor<'de> for Borrowed {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Borrowed)
    }
}

/// The newest operations of a tail, however long that is, in their order.
struct LastOperations {
    ids: [OperationId; TAIL],
    count: usize,
}

impl LastOperations {
    fn ids(&self) -> &[OperationId] {
        self.ids.get(..self.count).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for LastOperations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ids;

        impl<'de> Visitor<'de> for Ids {
            type Value = LastOperations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of operations")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<LastOperations, A::Error> {
                let none = OperationId { session: 0, life: 0, number: 0 };
                let mut last = LastOperations { ids: [none; TAIL], count: 0 };
                while let Some(Text(text)) = list.next_element()? {
                    let id = text.parse().map_err(|()| de::Error::custom("not an operation"))?;
                    if last.count == TAIL {
                        last.ids.rotate_left(1);
                        last.count -= 1;
                    }
                    if let Some(place) = last.ids.get_mut(last.count) {
                        *place = id;
                    }
                    last.count += 1;
                }
                Ok(last)
            }
        }

        deserializer.deserialize_seq(Ids)
    }
}

/// What a session showed last. Most replies show the same again, and share it.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    identity: Option<Arc<Identity>>,
    tail: Option<Tail>,
}

impl Shown {
    fn identity(&mut self, owner: &str, epoch: &str) -> Arc<Identity> {
        match &self.identity {
            Some(known) if known.owner == owner && known.epoch == epoch => Arc::clone(known),
            _ => {
                let new = Arc::new(Identity { owner: owner.to_owned(), epoch: epoch.to_owned() });
                Arc::clone(self.identity.insert(new))
            }
        }
    }

    fn tail(&mut self, ids: &[OperationId]) -> Tail {
        match &self.tail {
            Some(known) if **known == *ids => Arc::clone(known),
            _ => Arc::clone(self.tail.insert(ids.into())),
        }
    }
}

impl Body<'_> {
    /// The state that it shows; none where there is none, or one that the contract does not allow. An app that
    /// shows neither digest nor tail shows a mere counter.
    fn state(&self, shown: &mut Shown) -> Option<State> {
        let order = match (&self.digest, &self.tail) {
            (None, None) => None,
            (Some(Text(digest)), Some(tail)) => {
                Some(Order { digest: hexadecimal(digest)?, tail: shown.tail(tail.ids()) })
            }
            _ => return None,
        };
        let identity = shown.identity(&self.owner.as_ref()?.0, &self.epoch.0);
        Some(State { identity, version: self.version?, order })
    }
}

/// 16 digits, and nothing else.
fn hexadecimal(digits: &str) -> Option<u64> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(u64::from);
    let digits: &[u8; 16] = digits.as_bytes().try_into().ok()?;
    digits.iter().try_fold(0, |number, byte| Some(number << 4 | digit(*byte)?))
}

/// How an operation without a complete reply ended.
pub fn without_reply(error: ErrorKind, was_sent: bool) -> Outcome {
    if was_sent { Outcome::Indeterminate(error) } else { Outcome::Fail(error) }
}

/// How a plain request ended: nothing but the status says so.
pub fn by_status(status: u16) -> Outcome {
    match status {
        200..400 => Outcome::Done,
        400..500 => Outcome::Fail(ErrorKind::Status4xx),
        500..600 => Outcome::Indeterminate(ErrorKind::Status5xx),
        _ => Outcome::Indeterminate(ErrorKind::StatusOther),
    }
}

/// How an operation with a complete reply ended, and who answered.
pub fn with_reply(
    kind: OperationKind,
    reply: &Reply<'_>,
    shown: &mut Shown,
    answers: &mut Answers,
) -> (Outcome, Option<Arc<Answer>>) {
    let body: Option<Body> = serde_json::from_slice(&reply.body).ok();
    let answer = body.as_ref().map(|body| answers.share(&body.node.0, &body.boot.0));
    let error = body.as_ref().and_then(|body| body.error.as_ref());
    let does_not_know = error.is_some_and(|Text(error)| error == "unknown-session");
    let outcome = match (reply.status, kind, body) {
        (204, OperationKind::LogOut, _) => Outcome::Done,
        (200, _, Some(body)) if kind != OperationKind::LogOut => {
            body.state(shown).map_or(Outcome::Indeterminate(ErrorKind::Malformed), Outcome::Ok)
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
    use super::*;

    fn outcome(status: u16, body: &str) -> Outcome {
        outcome_of(OperationKind::Write, status, body)
    }

    fn outcome_of(kind: OperationKind, status: u16, body: &str) -> Outcome {
        let reply = Reply { status, set_cookies: Vec::new(), body: Cow::Borrowed(body.as_bytes()), keep_alive: true };
        with_reply(kind, &reply, &mut Shown::default(), &mut Answers::default()).0
    }

    #[test]
    fn a_complete_reply_with_a_state_is_ok() {
        let body = r#"{"node":"app-1","boot":"b","owner":"s1","epoch":"e","version":3,"digest":"000000000000000d","tail":["1.1.1"]}"#;
        assert!(matches!(outcome(200, body), Outcome::Ok(State { version: 3, order: Some(_), .. })));
        let counter = r#"{"node":"app-1","boot":"b","owner":"s1","version":3}"#;
        assert!(matches!(outcome(200, counter), Outcome::Ok(State { version: 3, order: None, .. })));
    }

    #[test]
    fn of_a_tail_the_newest_operations_are_taken_and_what_was_shown_before_is_shared() {
        let ids: Vec<String> = (1..=10).map(|number| format!("\"1.1.{number}\"")).collect();
        let body = format!(
            r#"{{"node":"a","boot":"b","owner":"s1","epoch":"e\u0041","version":10,"digest":"00000000000000ff","tail":[{}]}}"#,
            ids.join(",")
        );
        let reply =
            Reply { status: 200, set_cookies: Vec::new(), body: Cow::Borrowed(body.as_bytes()), keep_alive: true };
        let (mut shown, mut answers) = (Shown::default(), Answers::default());
        let mut state = || match with_reply(OperationKind::Read, &reply, &mut shown, &mut answers).0 {
            Outcome::Ok(state) => state,
            other => panic!("{other:?}"),
        };
        let (first, second) = (state(), state());
        let Order { digest, tail } = first.order.as_ref().unwrap();
        assert_eq!((*digest, first.identity.epoch.as_str()), (255, "eA"));
        assert_eq!(tail.iter().map(|id| id.number).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 9, 10]);
        assert!(Arc::ptr_eq(tail, &second.order.as_ref().unwrap().tail));
        assert!(Arc::ptr_eq(&first.identity, &second.identity));
    }

    #[test]
    fn a_log_out_is_done_only_when_its_reply_says_so() {
        assert_eq!(outcome_of(OperationKind::LogOut, 204, ""), Outcome::Done);
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
        assert_eq!(without_reply(ErrorKind::Timeout, false), Outcome::Fail(ErrorKind::Timeout));
        assert_eq!(without_reply(ErrorKind::Timeout, true), Outcome::Indeterminate(ErrorKind::Timeout));
    }

    #[test]
    fn a_plain_request_is_ok_when_its_status_says_so() {
        assert_eq!([200, 204, 302].map(by_status), [Outcome::Done, Outcome::Done, Outcome::Done]);
        assert_eq!(by_status(404), Outcome::Fail(ErrorKind::Status4xx));
        assert_eq!(by_status(503), Outcome::Indeterminate(ErrorKind::Status5xx));
        assert_eq!(by_status(101), Outcome::Indeterminate(ErrorKind::StatusOther));
    }
}
