//! One operation: who asked for what, when, and how it ended.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Identifies an operation in a trial, and by itself says whose it is: `session.life.number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId {
    /// The virtual user.
    pub session: u32,
    /// How many sessions this user had tried to create before, plus one: which of its sessions it is.
    pub life: u32,
    /// Counts the operations within the life; the creation is 0.
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

/// Takes a number and the full stop after it, if there is one. Replies hold many, on the agent's hot path.
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

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperationKind {
    /// Make a session.
    Create,
    /// Read its state.
    Read,
    /// Append this operation's id to its state.
    Write,
    /// End the session.
    LogOut,
    /// Read its state after everything has been healed and has settled.
    FinalRead,
    /// The same from one node, past the balancer.
    NodeRead,
    /// Read through the balancer before the final read, to see whether states still change. It decides nothing.
    SettleRead,
}

impl OperationKind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Create, Self::Read, Self::Write, Self::LogOut, Self::FinalRead, Self::NodeRead, Self::SettleRead];

    /// As it stands in histories.
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
        }
    }
}

/// Why an operation did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// The connection was refused: nothing was sent.
    Refused,
    /// No connection in time: nothing was sent.
    ConnectTimeout,
    /// The connection broke before a byte of the request was taken, or the server says that it has not processed it (HTTP/2).
    NotSent,
    /// The connection broke before a byte of the reply.
    ResetBeforeReply,
    /// The connection was closed inside the reply.
    CutOff,
    /// The reply is not what HTTP or the contract allow.
    Malformed,
    /// No complete reply in time.
    Timeout,
    /// The app says that it does not know the session.
    UnknownSession,
    /// The app refused the request.
    RefusedByApp,
    /// A 4xx that does not come from the app.
    Status4xx,
    /// A 5xx.
    Status5xx,
    /// Another status that the contract does not have.
    StatusOther,
    /// It was still under way when the trial ended.
    Unfinished,
    /// The connection was reset inside the reply.
    ResetInReply,
    /// The generator had no socket, port or file descriptor left: nothing was sent.
    NoSocket,
    /// The TLS handshake failed, or the certificate was not accepted: nothing was sent.
    Handshake,
    /// A complete reply that the session contract does not have: its meaning is unknown.
    OffContract,
    /// A 3xx where none is expected: the server points elsewhere, and nobody goes there.
    Redirected,
    /// The generator's own address, or the way to the nodes, was gone: nothing was sent.
    NoNetwork,
    /// The head of the reply is larger than the generator reads.
    TooLarge,
}

impl ErrorKind {
    /// All of them.
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

    /// As it stands in histories.
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

/// Which session a reply shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Who the session belongs to.
    pub owner: String,
    /// Which creation this is; empty where the app does not show it.
    pub epoch: String,
}

impl Identity {
    /// Whether both are the same session. Replies that were read together share what they show.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self == other
    }
}

/// How many of its last operations a state shows (docker/CONTRACT.md).
pub const TAIL: usize = 8;

/// The last operations of a state, the newest last; shared, because many states have the same.
pub type Tail = Arc<[OperationId]>;

/// Which operations a state holds, and in which order, as far as a reply shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// A digest chained over all of them.
    pub digest: u64,
    /// The last ones.
    pub tail: Tail,
}

/// What a session holds, as a reply shows it (docker/CONTRACT.md).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Which session it is.
    pub identity: Arc<Identity>,
    /// How many operations are applied.
    pub version: u64,
    /// Which ones; none where the app shows only how many.
    pub order: Option<Order>,
    /// Whether what it holds beside them is there.
    pub payload: Payload,
}

/// What a session holds beside its state, held against what was put there: by its length and checksum, while the load
/// goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Payload {
    /// The app does not show it.
    #[default]
    NotShown,
    /// It is what was put there.
    Whole,
    /// It is not.
    Wrong,
}

impl Payload {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NotShown, Self::Whole, Self::Wrong];
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A complete reply that says so, and shows the session.
    Ok(State),
    /// A complete reply that says so, and shows no session: it was ended.
    Done,
    /// Certainly not applied.
    Fail(ErrorKind),
    /// It may have been applied, then, later or never.
    Indeterminate(ErrorKind),
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The node's name.
    pub node: String,
    /// Drawn by the node at each start.
    pub boot: String,
}

/// The instants of an operation, in nanoseconds from the start of the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When it was to start.
    pub scheduled_ns: u64,
    /// When the generator handed it to its session: later than scheduled only by the generator's fault.
    pub dispatched_ns: u64,
    /// How long it took to connect, where a connection had to be made; it was made, or given up, before the send.
    pub connect_ns: Option<u64>,
    /// When its request was handed to the socket, after the session's operations before it were done.
    pub sent_ns: Option<u64>,
    /// When the first byte of the reply was there.
    pub first_byte_ns: Option<u64>,
    /// When the last byte of the reply was there, or the operation was given up.
    pub completed_ns: u64,
}

/// What an operation moved, in bytes of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Of the request, as far as the kernel took it.
    pub sent_bytes: u32,
    /// Of the reply, as far as it came.
    pub received_bytes: u32,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Which one.
    pub id: OperationId,
    /// What was asked for.
    pub kind: OperationKind,
    /// When.
    pub times: Times,
    /// How much.
    pub moved: Moved,
    /// How it ended.
    pub outcome: Outcome,
    /// The status of the reply, if a complete head came.
    pub status: Option<u16>,
    /// Who answered, if the reply says so.
    pub answer: Option<Arc<Answer>>,
    /// Whether its request was sent once more, as browsers do, because a connection that had been used before was closed
    /// under it without a reply. It began with the first time.
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

    /// Whether it ended with a complete reply that says so.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok(_) | Outcome::Done)
    }

    /// Whether it certainly was not applied.
    #[must_use]
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Fail(_))
    }

    /// Whether it left the agent.
    #[must_use]
    pub fn sent(&self) -> bool {
        self.times.sent_ns.is_some()
    }

    /// Whether it only looked at a session in the end: no user asked for it.
    #[must_use]
    pub const fn is_a_look(&self) -> bool {
        matches!(self.kind, OperationKind::FinalRead | OperationKind::NodeRead | OperationKind::SettleRead)
    }

    /// Whether it went to the balancer, as everything that a user asks for does.
    #[must_use]
    pub fn is_through_the_balancer(&self) -> bool {
        self.kind != OperationKind::NodeRead
    }

    /// Whether the app said that it does not know the session.
    #[must_use]
    pub fn session_was_unknown(&self) -> bool {
        self.outcome == Outcome::Fail(ErrorKind::UnknownSession)
    }

    /// Where it stands in a history: with its life, in the order in which operations began.
    #[must_use]
    pub fn place(&self) -> (u32, u32, u64, u32) {
        (self.id.session, self.id.life, self.began_ns(), self.id.number)
    }

    /// When it began to matter to the system: when it was sent, or given up unsent.
    #[must_use]
    pub fn began_ns(&self) -> u64 {
        self.times.sent_ns.unwrap_or(self.times.completed_ns)
    }

    /// From the scheduled instant to the last byte, in microseconds: waits count.
    #[must_use]
    pub fn response_us(&self) -> u64 {
        self.times.completed_ns.saturating_sub(self.times.scheduled_ns) / 1000
    }

    /// From the send to the last byte, in microseconds; none where nothing was sent.
    #[must_use]
    pub fn service_us(&self) -> Option<u64> {
        Some(self.times.completed_ns.saturating_sub(self.times.sent_ns?) / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
