//! Classifies operations as ok, fail or indeterminate. *Fail* means certainly not applied: either the request was never
//! sent, or the app itself refused it as the contract allows, in a reply with its `node` and `boot`. A complete reply
//! that is neither in the contract nor one that balancers send by themselves is *off contract*: its meaning is unknown,
//! and the trial is inconclusive.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::history::compact::Answers;
use crate::history::{
    Answer, ErrorKind, Identity, MAX_TAIL, OperationId, OperationKind, Order, Outcome, Payload, State, TAIL, Tail,
};
use crate::payload::{Checksum, bytes_of};
use crate::traffic::http::reply::Reply;

/// The body of every reply of the contract, for any status.
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
    #[serde(borrow, default)]
    payload: Option<PayloadBody<'a>>,
}

/// Length and CRC-32 of the session's payload, as the node holds it.
#[derive(Deserialize)]
struct PayloadBody<'a> {
    bytes: u64,
    #[serde(borrow)]
    crc32: Text<'a>,
}

/// The payload of sessions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    /// Bytes from the creation of the session on.
    pub payload_bytes: u32,
    /// Bytes that each write adds, replacing those of the previous write.
    pub write_bytes: u32,
}

/// Text borrowed from the body, or owned if it had to be unescaped. Serde does not borrow by itself inside an `Option`.
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

/// The newest [`TAIL`] operations of a tail of any length, in their order.
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

/// Identity and tail that a session showed last. Most replies show the same again and share them.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    identity: Option<Arc<Identity>>,
    tail: Option<Tail>,
    /// Which of the user's sessions the state that was judged last belongs to, and its version.
    judged: Option<(u32, u64)>,
    /// Expected payload after the creation and, in `written`, after the last write.
    created: Option<Checksum>,
    written: Option<(OperationId, Checksum)>,
}

impl Shown {
    /// Of all operations of a session those that a tail must have to reach back to the state that was judged before: `life` is
    /// the user's session. A read that waits for states to settle is not judged, so the next tail must reach back past it. A
    /// state that is older than the one before, or of another session, is placed before what is known: its tail has everything.
    pub(super) fn tail_of_all(&mut self, kind: OperationKind, life: u32, ids: &[OperationId]) -> Tail {
        let version = ids.len() as u64;
        let since = self.judged.filter(|(judged, before)| *judged == life && *before <= version);
        let new = usize::try_from(since.map_or(version, |(_, before)| version - before)).unwrap_or(MAX_TAIL);
        if kind != OperationKind::SettleRead {
            self.judged = Some((life, version));
        }
        let length = new.saturating_add(TAIL).min(MAX_TAIL);
        self.tail(ids.get(ids.len().saturating_sub(length)..).unwrap_or_default())
    }

    /// Whether the session that was shown last is of this creation, whoever owns it.
    fn is_of(&self, epoch: &str) -> bool {
        !epoch.is_empty() && self.identity.as_ref().is_some_and(|identity| identity.epoch == epoch)
    }

    pub(super) fn identity(&mut self, owner: &str, epoch: &str) -> Arc<Identity> {
        match &self.identity {
            Some(known) if known.owner == owner && known.epoch == epoch => Arc::clone(known),
            _ => {
                let new = Arc::new(Identity { owner: owner.to_owned(), epoch: epoch.to_owned() });
                (self.created, self.written) = (None, None);
                Arc::clone(self.identity.insert(new))
            }
        }
    }

    /// Compares the payload that the session shows with the expected one.
    fn payload(&mut self, shown: Checksum, last: Option<OperationId>, sizes: Sizes) -> Payload {
        let epoch = self.identity.as_ref().map_or("", |identity| identity.epoch.as_str());
        let created = *self
            .created
            .get_or_insert_with(|| Checksum::default().and(&bytes_of(epoch, sizes.payload_bytes as usize)));
        let expected = match (last, self.written) {
            (None, _) => created,
            (Some(op), Some((known, written))) if known == op => written,
            (Some(op), _) => {
                let written = created.and(&bytes_of(&op.to_string(), sizes.write_bytes as usize));
                self.written = Some((op, written));
                written
            }
        };
        if shown == expected { Payload::Whole } else { Payload::Wrong }
    }

    fn tail(&mut self, ids: &[OperationId]) -> Tail {
        match &self.tail {
            Some(known) if **known == *ids => Arc::clone(known),
            _ => Arc::clone(self.tail.insert(ids.into())),
        }
    }
}

impl Body<'_> {
    /// The state that the body shows. Returns `None` if it shows none, or one that the contract does not allow. An app
    /// that shows neither digest nor tail shows only a counter.
    fn state(&self, shown: &mut Shown, sizes: Sizes) -> Option<State> {
        let order = match (&self.digest, &self.tail) {
            (None, None) => None,
            (Some(Text(digest)), Some(tail)) => {
                Some(Order { digest: hexadecimal(digest)?, tail: shown.tail(tail.ids()) })
            }
            _ => return None,
        };
        let identity = shown.identity(&self.owner.as_ref()?.0, &self.epoch.0);
        // A counter alone does not show which operation was the last one.
        let is_checkable = order.is_some() || sizes.write_bytes == 0;
        let payload = match self.payload.as_ref().filter(|_| is_checkable) {
            Some(PayloadBody { bytes, crc32 }) => {
                let last =
                    order.as_ref().filter(|_| sizes.write_bytes > 0).and_then(|order| order.tail.last().copied());
                let crc32 = u32::from_str_radix(&crc32.0, 16).ok()?;
                shown.payload(Checksum { bytes: *bytes, crc32 }, last, sizes)
            }
            None => Payload::NotShown,
        };
        Some(State { identity, version: self.version?, order, payload })
    }

    /// Whether the body shows a session without an owner: a fresh one instead of the requested one.
    fn is_anonymous(&self) -> bool {
        let has_owner = self.owner.as_ref().is_some_and(|Text(owner)| !owner.is_empty());
        !has_owner && (self.owner.is_some() || self.version.is_some() || !self.epoch.0.is_empty())
    }
}

/// Parses exactly 16 hexadecimal digits.
fn hexadecimal(digits: &str) -> Option<u64> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(u64::from);
    let digits: &[u8; 16] = digits.as_bytes().try_into().ok()?;
    digits.iter().try_fold(0, |number, byte| Some(number << 4 | digit(*byte)?))
}

/// The outcome of an operation without a complete reply.
pub fn without_reply(error: ErrorKind, was_sent: bool) -> Outcome {
    if was_sent { Outcome::Indeterminate(error) } else { Outcome::Fail(error) }
}

/// The outcome of a plain request, which depends only on the status.
pub fn by_status(status: u16) -> Outcome {
    match status {
        200..300 | 304 => Outcome::Done,
        300..400 => Outcome::Fail(ErrorKind::Redirected),
        400..500 => Outcome::Fail(ErrorKind::Status4xx),
        500..600 => Outcome::Indeterminate(ErrorKind::Status5xx),
        _ => Outcome::Indeterminate(ErrorKind::StatusOther),
    }
}

/// The outcome of an operation with a complete reply, and the node that answered.
pub fn with_reply(
    kind: OperationKind,
    reply: &Reply<'_>,
    sizes: Sizes,
    shown: &mut Shown,
    answers: &mut Answers,
) -> (Outcome, Option<Arc<Answer>>) {
    let body: Option<Body> = serde_json::from_slice(&reply.body).ok();
    let answer = body.as_ref().map(|body| answers.share(&body.node.0, &body.boot.0));
    let outcome = match (reply.status, body) {
        // Any success status confirms the log-out; a later reply that still shows the session is a violation.
        (200..300, _) if kind == OperationKind::LogOut => Outcome::Done,
        (200, Some(body)) if body.is_anonymous() && kind.begins_the_session() => {
            Outcome::Indeterminate(ErrorKind::OffContract)
        }
        (200, Some(body)) if body.is_anonymous() && !may_be_anonymous(kind) && !shown.is_of(&body.epoch.0) => {
            Outcome::Fail(ErrorKind::UnknownSession)
        }
        (200, Some(body)) => {
            body.state(shown, sizes).map_or(Outcome::Indeterminate(ErrorKind::OffContract), Outcome::Ok)
        }
        (status, Some(body)) => signed_refusal(kind, status, body.error.as_ref().map(|Text(error)| error.as_ref())),
        // Without the app's name, the reply may come from a balancer that had forwarded the request.
        (400 | 408 | 413 | 414 | 429 | 431, None) => Outcome::Indeterminate(ErrorKind::Status4xx),
        (500..600, None) => Outcome::Indeterminate(ErrorKind::Status5xx),
        (_, None) => Outcome::Indeterminate(ErrorKind::OffContract),
    };
    (outcome, answer)
}

/// Whether the reply may show a session that nobody owns: a visitor's, or what another id leads to.
const fn may_be_anonymous(kind: OperationKind) -> bool {
    !kind.has_its_cookies()
}

/// The outcome of a reply with the app's name that is not a success.
fn signed_refusal(kind: OperationKind, status: u16, error: Option<&str>) -> Outcome {
    match (status, error) {
        (404, Some("unknown-session")) if !matches!(kind, OperationKind::Create | OperationKind::Visit) => {
            Outcome::Fail(ErrorKind::UnknownSession)
        }
        // The app did not understand the request, or the session is too large to keep.
        (400 | 413, Some(_)) => Outcome::Fail(ErrorKind::RefusedByApp),
        (500..600, _) => Outcome::Indeterminate(ErrorKind::Status5xx),
        _ => Outcome::Indeterminate(ErrorKind::OffContract),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, body: &str) -> Outcome {
        outcome_of(OperationKind::Write, status, body)
    }

    const OFF_CONTRACT: Outcome = Outcome::Indeterminate(ErrorKind::OffContract);

    fn reply(status: u16) -> Reply<'static> {
        Reply { status, head: &[], set_cookies: Vec::new(), body: Cow::Borrowed(b""), keep_alive: true }
    }

    fn state_of(owner: &str, more: &str) -> String {
        format!(
            r#"{{"node":"a","boot":"b","owner":"{owner}","epoch":"e","version":1,"digest":"000000000000000d","tail":["1.1.1"]{more}}}"#
        )
    }

    fn outcome_of(kind: OperationKind, status: u16, body: &str) -> Outcome {
        let reply = Reply { body: Cow::Borrowed(body.as_bytes()), ..reply(status) };
        with_reply(kind, &reply, Sizes::default(), &mut Shown::default(), &mut Answers::default()).0
    }

    #[test]
    fn a_complete_reply_with_a_state_is_ok() {
        let body = r#"{"node":"app-1","boot":"b","owner":"s1","epoch":"e","version":3,"digest":"000000000000000d","tail":["1.1.1"]}"#;
        assert!(matches!(outcome(200, body), Outcome::Ok(State { version: 3, order: Some(_), .. })));
        let counter = r#"{"node":"app-1","boot":"b","owner":"s1","version":3}"#;
        assert!(matches!(outcome(200, counter), Outcome::Ok(State { version: 3, order: None, .. })));
    }

    #[test]
    fn the_newest_operations_of_a_tail_are_kept_and_repeated_states_are_shared() {
        let ids: Vec<String> = (1..=10).map(|number| format!("\"1.1.{number}\"")).collect();
        let body = format!(
            r#"{{"node":"a","boot":"b","owner":"s1","epoch":"e\u0041","version":10,"digest":"00000000000000ff","tail":[{}]}}"#,
            ids.join(",")
        );
        let reply = Reply {
            status: 200,
            head: &[],
            set_cookies: Vec::new(),
            body: Cow::Borrowed(body.as_bytes()),
            keep_alive: true,
        };
        let (mut shown, mut answers) = (Shown::default(), Answers::default());
        let mut state = || match with_reply(OperationKind::Read, &reply, Sizes::default(), &mut shown, &mut answers).0 {
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
    fn another_owner_or_another_epoch_is_another_identity() {
        let mut shown = Shown::default();
        let first = shown.identity("s1", "e1");
        assert!(Arc::ptr_eq(&first, &shown.identity("s1", "e1")));
        for (owner, epoch) in [("s1", "e2"), ("s2", "e2")] {
            let other = shown.identity(owner, epoch);
            assert_eq!((other.owner.as_str(), other.epoch.as_str()), (owner, epoch));
        }
    }

    #[test]
    fn a_log_out_is_done_only_when_its_reply_says_so() {
        assert_eq!(outcome_of(OperationKind::LogOut, 204, ""), Outcome::Done);
        assert_eq!(outcome_of(OperationKind::Read, 204, ""), OFF_CONTRACT);
        assert_eq!(outcome_of(OperationKind::LogOut, 404, "<html>"), OFF_CONTRACT);
    }

    #[test]
    fn a_log_out_with_a_success_status_is_done_even_if_its_reply_shows_the_session() {
        assert_eq!(outcome_of(OperationKind::LogOut, 200, "{}"), Outcome::Done);
        assert_eq!(outcome_of(OperationKind::LogOut, 200, &state_of("s1", "")), Outcome::Done);
        assert_eq!(outcome_of(OperationKind::LogOut, 302, ""), OFF_CONTRACT);
    }

    #[test]
    fn a_reply_of_the_app_that_the_contract_does_not_have_is_off_contract_and_never_refused() {
        let signed = |error: &str| format!(r#"{{"node":"a","boot":"b","error":"{error}"}}"#);
        for status in [201, 302, 401, 403, 404, 405, 409, 410, 422] {
            assert_eq!(outcome(status, &signed("go away")), OFF_CONTRACT, "{status}");
        }
        assert_eq!(outcome(410, &signed("unknown-session")), OFF_CONTRACT);
        assert_eq!(outcome(200, &signed("unknown-session")), OFF_CONTRACT);
        for status in [400, 413] {
            assert_eq!(outcome(status, &signed("too much")), Outcome::Fail(ErrorKind::RefusedByApp), "{status}");
        }
        assert_eq!(outcome_of(OperationKind::Create, 404, &signed("unknown-session")), OFF_CONTRACT);
        assert_eq!(outcome(503, &signed("store away")), Outcome::Indeterminate(ErrorKind::Status5xx));
    }

    #[test]
    fn an_anonymous_session_in_place_of_the_users_own_is_an_unknown_session() {
        for owner in [r#""owner":"","#, r#""owner":null,"#, ""] {
            let body = format!(r#"{{"node":"a","boot":"b",{owner}"epoch":"e","version":1}}"#);
            assert_eq!(outcome(200, &body), Outcome::Fail(ErrorKind::UnknownSession), "{body}");
            assert_eq!(outcome_of(OperationKind::Create, 200, &body), OFF_CONTRACT, "{body}");
        }
    }

    #[test]
    fn the_shown_payload_is_compared_with_the_expected_one() {
        let sizes = Sizes { payload_bytes: 20, write_bytes: 7 };
        let created = Checksum::default().and(&bytes_of("e", 20));
        let written = created.and(&bytes_of("1.1.1", 7));
        let (mut shown, mut answers) = (Shown::default(), Answers::default());
        let mut seen = |tail: &str, Checksum { bytes, crc32 }: Checksum| {
            let payload = format!(r#","payload":{{"bytes":{bytes},"crc32":"{crc32:08x}"}}"#);
            let body = state_of("s1", &payload).replace(r#"["1.1.1"]"#, tail);
            let reply = Reply { body: Cow::Borrowed(body.as_bytes()), ..reply(200) };
            match with_reply(OperationKind::Read, &reply, sizes, &mut shown, &mut answers).0 {
                Outcome::Ok(state) => state.payload,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(seen("[]", created), Payload::Whole);
        assert_eq!(seen(r#"["1.1.1"]"#, written), Payload::Whole);
        assert_eq!(seen(r#"["1.1.1"]"#, written), Payload::Whole);
        assert_eq!(seen(r#"["1.1.1"]"#, created), Payload::Wrong, "the write's bytes are missing");
        assert_eq!(seen(r#"["1.1.2"]"#, written), Payload::Wrong, "those of an older write");
        assert_eq!(seen("[]", Checksum { bytes: 19, ..created }), Payload::Wrong, "too short");
        assert_eq!(seen("[]", Checksum { crc32: created.crc32 ^ 1, ..created }), Payload::Wrong, "damaged");
        assert!(matches!(outcome(200, &state_of("s1", "")), Outcome::Ok(State { payload: Payload::NotShown, .. })));
    }

    #[test]
    fn only_the_app_itself_can_say_that_a_session_is_unknown() {
        assert_eq!(
            outcome(404, r#"{"node":"app-1","boot":"b","error":"unknown-session"}"#),
            Outcome::Fail(ErrorKind::UnknownSession)
        );
        for status in [200, 302, 401, 403, 404, 410] {
            assert_eq!(outcome(status, "<html>not here</html>"), OFF_CONTRACT, "{status}");
        }
        for status in [400, 408, 413, 429, 431] {
            assert_eq!(outcome(status, "<html></html>"), Outcome::Indeterminate(ErrorKind::Status4xx), "{status}");
        }
    }

    #[test]
    fn an_error_of_the_balancer_is_never_a_certain_failure() {
        for status in [502, 503, 504] {
            assert_eq!(outcome(status, "<html></html>"), Outcome::Indeterminate(ErrorKind::Status5xx), "{status}");
        }
    }

    #[test]
    fn a_success_without_a_state_is_off_contract_and_not_ok() {
        for body in [
            "",
            "{}",
            r#"{"node":"app-1","boot":"b"}"#,
            r#"{"node":"app-1","boot":"b","owner":"s1","version":-1}"#,
            r#"{"node":"app-1","boot":"b","owner":"s1","epoch":"e"}"#,
            r#"{"node":"app-1","boot":"b","owner":"s1","epoch":"e","version":1,"payload":{"bytes":1,"crc32":"x"}}"#,
            r#"{"node":"app-1","boot":"b","owner":"s1","epoch":"e","version":1,"digest":"+00000000000000d","tail":[]}"#,
            r#"{"node":"app-1","boot":"b","owner":"s1","epoch":"e","version":1,"digest":"000000000000000d"}"#,
            r#"{"node":"app-1","boot":"b","owner":"s1","epoch":"e","version":1,"digest":"000000000000000d","tail":["x"]}"#,
        ] {
            assert_eq!(outcome(200, body), OFF_CONTRACT, "{body}");
        }
    }

    #[test]
    fn an_unsent_operation_certainly_failed_and_a_sent_one_may_have_been_applied() {
        assert_eq!(without_reply(ErrorKind::Timeout, false), Outcome::Fail(ErrorKind::Timeout));
        assert_eq!(without_reply(ErrorKind::Timeout, true), Outcome::Indeterminate(ErrorKind::Timeout));
    }

    #[test]
    fn a_plain_request_is_ok_when_its_status_says_so() {
        assert_eq!([200, 204, 304].map(by_status), [Outcome::Done, Outcome::Done, Outcome::Done]);
        assert_eq!([301, 307].map(by_status), [302, 308].map(|_| Outcome::Fail(ErrorKind::Redirected)));
        assert_eq!(by_status(404), Outcome::Fail(ErrorKind::Status4xx));
        assert_eq!(by_status(503), Outcome::Indeterminate(ErrorKind::Status5xx));
        assert_eq!(by_status(101), Outcome::Indeterminate(ErrorKind::StatusOther));
    }

    #[test]
    fn a_tail_reaches_back_past_reads_that_are_not_judged() {
        let ids: Vec<OperationId> = (1..=40).map(|number| OperationId { session: 1, life: 1, number }).collect();
        let mut shown = Shown::default();
        let mut length = |kind, version: usize| shown.tail_of_all(kind, 1, &ids[..version]).len();
        assert_eq!(length(OperationKind::Read, 20), 20);
        assert_eq!(length(OperationKind::SettleRead, 40), 20 + TAIL);
        assert_eq!(length(OperationKind::FinalRead, 40), 20 + TAIL);
        assert_eq!(length(OperationKind::NodeRead, 40), TAIL);
    }

    #[test]
    fn the_tail_of_a_reply_that_comes_late_has_everything() {
        let ids: Vec<OperationId> = (1..=40).map(|number| OperationId { session: 1, life: 1, number }).collect();
        let mut shown = Shown::default();
        let mut length = |life, version: usize| shown.tail_of_all(OperationKind::Read, life, &ids[..version]).len();
        // A state of a higher version is placed after it, so it cannot lean on that.
        assert_eq!([length(1, 20), length(1, 12), length(1, 21)], [20, 12, 9 + TAIL]);
        // The last reply of a session may come after the first of the next one.
        assert_eq!([length(2, 0), length(1, 30), length(2, 31)], [0, 30, 31]);
    }
}
