//! The content of a session, and the effect of an operation on it.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::payload::{Checksum, bytes_of};

/// The digest of a session without operations: the offset basis of FNV-1a, 64 bits.
const EMPTY_DIGEST: u64 = 0xcbf2_9ce4_8422_2325;
/// The prime of FNV-1a, 64 bits.
const PRIME: u64 = 0x0100_0000_01b3;
/// How many operation ids a tail holds, by the contract.
const TAIL: usize = 8;
/// How many it holds in this process.
static MAX_TAIL: AtomicUsize = AtomicUsize::new(TAIL);
/// After how many milliseconds without a request sessions end in this process; 0: never.
static EXPIRES_AFTER_MS: AtomicU64 = AtomicU64::new(0);

/// From now on this process keeps the ids of all operations: a cart lists all of its items.
pub fn list_all_operations() {
    MAX_TAIL.store(usize::MAX, Ordering::Relaxed);
}

/// From now on sessions of this process end after so many milliseconds without a request; 0: never.
pub fn expire_after(ms: u64) {
    EXPIRES_AFTER_MS.store(ms, Ordering::Relaxed);
}

/// Whether sessions of this process end by themselves.
pub fn expire() -> bool {
    EXPIRES_AFTER_MS.load(Ordering::Relaxed) > 0
}

/// Between loading a session and saving it: what an application does there may take as long.
pub async fn hold(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// A session's id: random, so that nobody can guess it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(u128);

impl SessionId {
    /// A new random id.
    pub fn fresh() -> Self {
        Self(rand::random())
    }

    /// The id in a cookie; `None` if the cookie has no valid id.
    pub fn in_cookie(cookie: &str) -> Option<Self> {
        cookie.parse().ok()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for SessionId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_one = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_one { u128::from_str_radix(text, 16).map(Self).map_err(drop) } else { Err(()) }
    }
}

/// The request of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Update {
    /// Its id.
    pub op: String,
    /// How many bytes of [`State::changing`] it sets; 0 leaves them unchanged.
    #[serde(default)]
    pub bytes: usize,
    /// How long the node waits between loading and saving the session, in milliseconds.
    #[serde(default)]
    pub hold_ms: u64,
}

#[cfg(test)]
impl From<&str> for Update {
    fn from(op: &str) -> Self {
        Self { op: op.to_owned(), bytes: 0, hold_ms: 0 }
    }
}

/// The part of a session that operations change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// How many operations are applied.
    pub version: u64,
    /// A hash chained over the operations in their order.
    pub digest: u64,
    /// The ids of the last 8 operations, the newest last.
    pub tail: VecDeque<String>,
    /// The bytes that the last operation with `bytes` above 0 has set.
    pub changing: Bytes,
}

impl State {
    /// Applies an operation.
    pub fn append(&mut self, update: &Update) {
        let Update { op, bytes, .. } = update;
        let digest = self.digest.to_be_bytes();
        let chained = digest.iter().chain(op.as_bytes());
        self.digest = chained.fold(EMPTY_DIGEST, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
        self.version += 1;
        if self.tail.len() >= MAX_TAIL.load(Ordering::Relaxed) {
            self.tail.pop_front();
        }
        self.tail.push_back(op.clone());
        if *bytes > 0 {
            self.changing = bytes_of(op, *bytes).into();
        }
    }

    /// Whether this state replaces `other`: it has more operations. Of two concurrent states with equally many
    /// operations, every node keeps the same one, by digest; the last operation of the other is lost.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.version, self.digest) > (other.version, other.digest)
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The user that it belongs to.
    pub owner: String,
    /// Drawn at its creation: another epoch is another session.
    pub epoch: u64,
    /// The part that operations change.
    pub state: State,
    /// The bytes that no operation changes.
    pub payload: Bytes,
    /// When a request used it last, in milliseconds of Unix time.
    pub used_ms: u64,
}

impl Session {
    /// A session without operations.
    pub fn create(owner: String, payload_bytes: usize) -> Self {
        let epoch: u64 = rand::random();
        Self {
            owner,
            epoch,
            state: State {
                version: 0,
                digest: EMPTY_DIGEST,
                tail: VecDeque::with_capacity(TAIL),
                changing: Bytes::new(),
            },
            payload: bytes_of(&epoch_text(epoch), payload_bytes).into(),
            used_ms: now_ms(),
        }
    }

    /// Records that a request has used it.
    pub fn touch(&mut self) {
        self.used_ms = now_ms();
    }

    /// How long ago a request has used it, in milliseconds.
    pub fn idle_ms(&self) -> u64 {
        now_ms().saturating_sub(self.used_ms)
    }

    /// Whether it has ended, because no request has used it for long.
    pub fn has_expired(&self) -> bool {
        let after_ms = EXPIRES_AFTER_MS.load(Ordering::Relaxed);
        after_ms > 0 && self.idle_ms() >= after_ms
    }

    /// The length and the checksum of the payload and of [`State::changing`].
    pub fn checksum(&self) -> Checksum {
        Checksum::default().and(&self.payload).and(&self.state.changing)
    }

    /// Takes a state from another node if the epoch is the same and the state is newer.
    pub fn keep_newer(&mut self, epoch: u64, state: State) {
        if epoch == self.epoch && state.is_newer_than(&self.state) {
            self.state = state;
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// An epoch as replies show it: 16 hexadecimal digits.
pub fn epoch_text(epoch: u64) -> String {
    format!("{epoch:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_one_that_the_contract_shows() {
        let mut session = Session::create("s1".into(), 10);
        assert_eq!(format!("{:016x}", session.state.digest), "cbf29ce484222325");
        session.state.append(&"1.1.1".into());
        assert_eq!(format!("{:016x}", session.state.digest), "f51dc30fdb10e2b5");
        assert_eq!(session.state.version, 1);
    }

    #[test]
    fn an_operation_changes_only_as_many_bytes_as_it_asks_for() {
        let mut session = Session::create("s1".into(), 10);
        session.state.append(&Update { op: "1.1.1".into(), bytes: 100, hold_ms: 0 });
        let first = session.state.changing.clone();
        session.state.append(&"1.1.2".into());
        assert_eq!((first.len(), &session.state.changing), (100, &first));
        session.state.append(&Update { op: "1.1.3".into(), bytes: 100, hold_ms: 0 });
        assert_ne!(session.state.changing, first);
    }

    #[test]
    fn the_tail_shows_the_last_eight_operations() {
        let mut session = Session::create("s1".into(), 0);
        (1..=10).for_each(|number| session.state.append(&number.to_string().as_str().into()));
        assert_eq!(session.state.tail, ["3", "4", "5", "6", "7", "8", "9", "10"]);
    }

    #[test]
    fn of_two_concurrent_states_every_node_keeps_the_same_one() {
        let base = Session::create("s1".into(), 0);
        let with = |op: &str| {
            let mut state = base.state.clone();
            state.append(&op.into());
            state
        };
        let (one, two) = (with("a"), with("b"));
        let kept = |first: &State, second: &State| {
            let mut session = base.clone();
            session.keep_newer(base.epoch, first.clone());
            session.keep_newer(base.epoch, second.clone());
            session.state
        };
        assert_eq!(kept(&one, &two), kept(&two, &one));
        assert_ne!(one, two);
    }

    #[test]
    fn a_session_id_round_trips_and_other_texts_are_rejected() {
        let id = SessionId::fresh();
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "1", "+0000000000000000000000000000001f", "zz000000000000000000000000000000"] {
            assert_eq!(text.parse::<SessionId>(), Err(()));
        }
    }
}
