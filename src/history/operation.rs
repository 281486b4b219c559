//! One operation: its user, its request, its times, and how it ended.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Identifies an operation in a trial and includes its session: `session.life.number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId {
    /// The virtual user.
    pub session: u32,
    /// Which of the user's sessions: one more than the sessions that it had tried to create before.
    pub life: u32,
    /// Counts the operations of the session; the first is 0.
    pub number: u32,
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.session, self.life, self.number)
    }
}

impl FromStr for OperationId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut rest = text.as_bytes();
        let id = Self { session: number(&mut rest)?, life: number(&mut rest)?, number: number(&mut rest)? };
        if rest.is_empty() && !text.ends_with('.') { Ok(id) } else { Err(()) }
    }
}

/// Parses a number and the dot after it, if there is one. On the agent's hot path, because replies hold many ids.
fn number(rest: &mut &[u8]) -> Result<u32, ()> {
    let length = rest.iter().position(|byte| *byte == b'.').unwrap_or(rest.len());
    let (digits, after) = rest.split_at(length);
    *rest = after.get(1..).unwrap_or_default();
    if digits.is_empty() {
        return Err(());
    }
    digits.iter().try_fold(0u32, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10).ok_or(())?;
        number.checked_mul(10).and_then(|number| number.checked_add(u32::from(digit))).ok_or(())
    })
}

/// The kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperationKind {
    /// Creates a session.
    Create,
    /// Reads its state.
    Read,
    /// Appends this operation's id to its state.
    Write,
    /// Ends the session.
    LogOut,
    /// Reads its state after all faults have healed and states have settled.
    FinalRead,
    /// The same from one node, past the balancer.
    NodeRead,
    /// Reads through the balancer before the final read, to see whether states still change. It decides nothing.
    SettleRead,
    /// Makes the session that a visitor has before it logs in: nobody owns it.
    Visit,
    /// Reads a visitor's session; it is still in flight when the visitor logs in.
    VisitorRead,
    /// Appends this operation's id to a visitor's session; it is still in flight when the visitor logs in.
    VisitorWrite,
    /// Makes the visitor's session the user's own, under another id.
    LogIn,
    /// Reads the session; it is still in flight when the user logs out.
    HeldRead,
    /// Appends this operation's id to the state; it is still in flight when the user logs out.
    HeldWrite,
    /// Reads with the cookies that a browser has by now, where a late reply has changed them.
    BrowserRead,
    /// Reads with the id from before the log-in, or from before the last change of the id.
    OldIdRead,
    /// Reads with the id that the user had made up before its session was created.
    MadeUpRead,
    /// Reads the session after its user has paused.
    IdleRead,
    /// Gives the session another id once more, as apps do when somebody confirms a password.
    NewId,
}

impl OperationKind {
    /// All kinds.
    pub const ALL: [Self; 18] = [
        Self::Create,
        Self::Read,
        Self::Write,
        Self::LogOut,
        Self::FinalRead,
        Self::NodeRead,
        Self::SettleRead,
        Self::Visit,
        Self::VisitorRead,
        Self::VisitorWrite,
        Self::LogIn,
        Self::HeldRead,
        Self::HeldWrite,
        Self::BrowserRead,
        Self::OldIdRead,
        Self::MadeUpRead,
        Self::IdleRead,
        Self::NewId,
    ];

    /// The word for it in histories.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::LogOut => "log-out",
            Self::FinalRead => "final-read",
            Self::NodeRead => "node-read",
            Self::SettleRead => "settle-read",
            Self::Visit => "visit",
            Self::VisitorRead => "visitor-read",
            Self::VisitorWrite => "visitor-write",
            Self::LogIn => "log-in",
            Self::HeldRead => "held-read",
            Self::HeldWrite => "held-write",
            Self::BrowserRead => "browser-read",
            Self::OldIdRead => "old-id-read",
            Self::MadeUpRead => "made-up-read",
            Self::IdleRead => "idle-read",
            Self::NewId => "new-id",
        }
    }

    /// Whether the session is its user's from this operation on.
    #[must_use]
    pub const fn begins_the_session(self) -> bool {
        matches!(self, Self::Create | Self::LogIn)
    }

    /// Whether it appends its id to the user's session.
    #[must_use]
    pub const fn is_write(self) -> bool {
        matches!(self, Self::Write | Self::HeldWrite)
    }

    /// Whether it reads the user's session through the balancer, and is judged by what it shows.
    #[must_use]
    pub const fn is_judged_read(self) -> bool {
        matches!(self, Self::Read | Self::HeldRead | Self::IdleRead | Self::FinalRead)
    }

    /// Whether it is a visitor's, before the log-in.
    #[must_use]
    pub const fn is_of_a_visitor(self) -> bool {
        matches!(self, Self::Visit | Self::VisitorRead | Self::VisitorWrite)
    }

    /// Whether it has the cookies of the user's session. The others show what else leads to a session, and only the
    /// guarantees about that judge them.
    #[must_use]
    pub const fn has_its_cookies(self) -> bool {
        !self.is_of_a_visitor() && !matches!(self, Self::BrowserRead | Self::OldIdRead | Self::MadeUpRead)
    }

    /// Whether the app was asked to hold the session for a while, so that its time is no latency.
    #[must_use]
    pub const fn is_held(self) -> bool {
        matches!(self, Self::VisitorRead | Self::VisitorWrite | Self::HeldRead | Self::HeldWrite)
    }
}

/// Why an operation did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// The connection was refused: nothing was sent.
    Refused,
    /// No connection was made in time: nothing was sent.
    ConnectTimeout,
    /// The connection broke before a byte of the request was sent, or the server says that it has not processed it
    /// (HTTP/2).
    NotSent,
    /// The connection broke before the first byte of the reply.
    ResetBeforeReply,
    /// The connection was closed within the reply.
    CutOff,
    /// The reply violates HTTP or the contract.
    Malformed,
    /// No complete reply came in time.
    Timeout,
    /// The app says that it does not know the session.
    UnknownSession,
    /// The app refused the request.
    RefusedByApp,
    /// A 4xx status that does not come from the app.
    Status4xx,
    /// A 5xx status.
    Status5xx,
    /// Another status that the contract does not define.
    StatusOther,
    /// It was still in flight when the trial ended.
    Unfinished,
    /// The connection was reset within the reply.
    ResetInReply,
    /// The generator had no socket, port or file descriptor left: nothing was sent.
    NoSocket,
    /// The TLS handshake failed, or the certificate was not accepted: nothing was sent.
    Handshake,
    /// A complete reply that the session contract does not define: its meaning is unknown.
    OffContract,
    /// An unexpected 3xx status; the redirect is not followed.
    Redirected,
    /// The generator's own address, or its route to the nodes, was gone: nothing was sent.
    NoNetwork,
    /// The head of the reply is larger than the generator reads.
    TooLarge,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [Self; 20] = [
        Self::Refused,
        Self::ConnectTimeout,
        Self::NotSent,
        Self::ResetBeforeReply,
        Self::CutOff,
        Self::Malformed,
        Self::Timeout,
        Self::UnknownSession,
        Self::RefusedByApp,
        Self::Status4xx,
        Self::Status5xx,
        Self::StatusOther,
        Self::Unfinished,
        Self::ResetInReply,
        Self::NoSocket,
        Self::Handshake,
        Self::OffContract,
        Self::Redirected,
        Self::NoNetwork,
        Self::TooLarge,
    ];

    /// The word for it in histories.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect-timeout",
            Self::NotSent => "not-sent",
            Self::ResetBeforeReply => "reset-before-reply",
            Self::CutOff => "cut-off",
            Self::Malformed => "malformed",
            Self::Timeout => "timeout",
            Self::UnknownSession => "unknown-session",
            Self::RefusedByApp => "refused-by-app",
            Self::Status4xx => "status-4xx",
            Self::Status5xx => "status-5xx",
            Self::StatusOther => "status-other",
            Self::Unfinished => "unfinished",
            Self::ResetInReply => "reset-in-reply",
            Self::NoSocket => "no-socket",
            Self::Handshake => "handshake",
            Self::OffContract => "off-contract",
            Self::Redirected => "redirected",
            Self::NoNetwork => "no-network",
            Self::TooLarge => "too-large",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Refused => "connection refused",
            Self::ConnectTimeout => "no connection in time",
            Self::NotSent => "connection broke before the request was sent",
            Self::ResetBeforeReply => "connection broke before the reply",
            Self::CutOff => "connection closed inside the reply",
            Self::Malformed => "malformed reply",
            Self::Timeout => "no reply in time",
            Self::UnknownSession => "unknown session",
            Self::RefusedByApp => "refused by the app",
            Self::Status4xx => "status 4xx",
            Self::Status5xx => "status 5xx",
            Self::StatusOther => "unexpected status",
            Self::Unfinished => "unfinished when the trial ended",
            Self::ResetInReply => "connection reset inside the reply",
            Self::NoSocket => "the generator had no socket left",
            Self::Handshake => "TLS handshake failed",
            Self::OffContract => "a reply that the contract does not have",
            Self::Redirected => "a redirect, which nobody followed",
            Self::NoNetwork => "the generator's network was gone",
            Self::TooLarge => "a head of a reply that is larger than the generator reads",
        })
    }
}

/// The session that a reply shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The user that the session belongs to.
    pub owner: String,
    /// Which creation this is; empty if the app does not show it.
    pub epoch: String,
}

impl Identity {
    /// Whether both are the same session. Compares addresses first, because replies that were read together share one.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self == other
    }
}

/// How many of its last operations a state shows (docker/CONTRACT.md).
pub const TAIL: usize = 8;
/// The most operations that a tail in a history has: an app behind a session mapping may list all of them, and then the tail
/// reaches back to the state that was shown before.
pub const MAX_TAIL: usize = 255;

/// The last operations of a state, the newest last; shared, because many states have the same.
pub type Tail = Arc<[OperationId]>;

/// The operations of a state and their order, as far as a reply shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// A digest chained over all operations.
    pub digest: u64,
    /// The last operations.
    pub tail: Tail,
}

/// The state of a session, as a reply shows it (docker/CONTRACT.md).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The identity of the session.
    pub identity: Arc<Identity>,
    /// How many operations have been applied.
    pub version: u64,
    /// The operations; `None` if the app shows only their number.
    pub order: Option<Order>,
    /// The result of checking the payload.
    pub payload: Payload,
}

/// A session's bytes besides its state, compared by length and checksum with the bytes that were written, during the
/// load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Payload {
    /// The app does not show it.
    #[default]
    NotShown,
    /// It is as written.
    Whole,
    /// It is not as written.
    Wrong,
}

impl Payload {
    /// All results.
    pub const ALL: [Self; 3] = [Self::NotShown, Self::Whole, Self::Wrong];
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A complete reply reports success and shows the session.
    Ok(State),
    /// A complete reply reports success and shows no session, because it was ended.
    Done,
    /// It was certainly not applied.
    Fail(ErrorKind),
    /// It may have been applied at once, later or never.
    Indeterminate(ErrorKind),
}

/// The node that answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The node's name.
    pub node: String,
    /// A random id that the node draws at each start.
    pub boot: String,
}

/// The instants of an operation, in nanoseconds from the start of the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When it was scheduled to start.
    pub scheduled_ns: u64,
    /// When the generator handed it to its session; later than scheduled only if the generator was late.
    pub dispatched_ns: u64,
    /// How long connecting took, if a connection had to be made; it succeeded or failed before the send.
    pub connect_ns: Option<u64>,
    /// When its request was written to the socket, after the session's earlier operations were done.
    pub sent_ns: Option<u64>,
    /// When the first byte of the reply came.
    pub first_byte_ns: Option<u64>,
    /// When the last byte of the reply came, or the operation was abandoned.
    pub completed_ns: u64,
}

/// The HTTP bytes of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bytes of the request that the kernel accepted.
    pub sent_bytes: u32,
    /// Bytes of the reply that came.
    pub received_bytes: u32,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// The kind of request.
    pub kind: OperationKind,
    /// Its instants.
    pub times: Times,
    /// Its bytes.
    pub moved: Moved,
    /// How it ended.
    pub outcome: Outcome,
    /// The status of the reply, if its head was complete.
    pub status: Option<u16>,
    /// The node that answered, if the reply names it.
    pub answer: Option<Arc<Answer>>,
    /// Whether its request was sent again, as browsers do, because a reused connection was closed without a reply. Its
    /// start is the first send.
    pub is_resent: bool,
}

impl Operation {
    /// The state that a complete reply showed.
    #[must_use]
    pub fn state(&self) -> Option<&State> {
        match &self.outcome {
            Outcome::Ok(state) => Some(state),
            Outcome::Done | Outcome::Fail(_) | Outcome::Indeterminate(_) => None,
        }
    }

    /// Whether a complete reply reported success.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok(_) | Outcome::Done)
    }

    /// Whether it was certainly not applied.
    #[must_use]
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Fail(_))
    }

    /// Whether its request was sent.
    #[must_use]
    pub fn sent(&self) -> bool {
        self.times.sent_ns.is_some()
    }

    /// Whether it only reads a session after the load; no user requested it.
    #[must_use]
    pub const fn is_read_after_load(&self) -> bool {
        matches!(self.kind, OperationKind::FinalRead | OperationKind::NodeRead | OperationKind::SettleRead)
    }

    /// Whether it went through the balancer, as every request of a user does.
    #[must_use]
    pub fn is_through_the_balancer(&self) -> bool {
        self.kind != OperationKind::NodeRead
    }

    /// Whether the app answered that it does not know the session.
    #[must_use]
    pub fn session_was_unknown(&self) -> bool {
        self.outcome == Outcome::Fail(ErrorKind::UnknownSession)
    }

    /// Its sort key in a history: user, session, start and number.
    #[must_use]
    pub fn place(&self) -> (u32, u32, u64, u32) {
        (self.id.session, self.id.life, self.began_ns(), self.id.number)
    }

    /// When it could first take effect: when it was sent, or if it was not, when it was abandoned.
    #[must_use]
    pub fn began_ns(&self) -> u64 {
        self.times.sent_ns.unwrap_or(self.times.completed_ns)
    }

    /// From the scheduled instant to the last byte, in microseconds; includes waits.
    #[must_use]
    pub fn response_us(&self) -> u64 {
        self.times.completed_ns.saturating_sub(self.times.scheduled_ns) / 1000
    }

    /// From the send to the last byte, in microseconds; `None` if nothing was sent.
    #[must_use]
    pub fn service_us(&self) -> Option<u64> {
        Some(self.times.completed_ns.saturating_sub(self.times.sent_ns?) / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_words_and_a_name_of_its_own() {
        let texts: std::collections::BTreeSet<String> =
            ErrorKind::ALL.iter().flat_map(|error| [error.to_string(), format!("`{}`", error.word())]).collect();
        assert_eq!(texts.len(), 2 * ErrorKind::ALL.len());
        assert_eq!(ErrorKind::Refused.to_string(), "connection refused");
    }

    #[test]
    fn an_operation_id_is_read_as_it_is_written_and_nothing_else_is() {
        let id = OperationId { session: 17, life: 2, number: 30 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "1", "1.2", "1.2.", "1.2.3.", "1.2.3.4", "1.2.x", "1..3", "-1.2.3", "+1.2.3", "1.2.4294967296"]
        {
            assert_eq!(bad.parse::<OperationId>(), Err(()), "{bad}");
        }
    }
}
