//! One operation: who asked for what, when, and how it ended.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
        let mut parts = text.split('.').map(|part| part.parse().map_err(|_| ()));
        let mut next = || parts.next().ok_or(())?;
        let id = Self { session: next()?, life: next()?, number: next()? };
        if parts.next().is_some() { Err(()) } else { Ok(id) }
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// Make a session.
    Create,
    /// Read its state.
    Read,
    /// Append this operation's id to its state.
    Write,
    /// Read its state after everything has been healed and has settled.
    FinalRead,
}

/// Why an operation did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The connection was refused: nothing was sent.
    Refused,
    /// No connection in time: nothing was sent.
    ConnectTimeout,
    /// The connection broke before a byte of the request was taken.
    NotSent,
    /// The connection broke before a byte of the reply.
    ResetBeforeReply,
    /// The connection broke inside the reply.
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
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Refused => "connection refused",
            Self::ConnectTimeout => "no connection in time",
            Self::NotSent => "connection broke before the request was sent",
            Self::ResetBeforeReply => "connection broke before the reply",
            Self::CutOff => "connection broke inside the reply",
            Self::Malformed => "malformed reply",
            Self::Timeout => "no reply in time",
            Self::UnknownSession => "unknown session",
            Self::RefusedByApp => "refused by the app",
            Self::Status4xx => "status 4xx",
            Self::Status5xx => "status 5xx",
            Self::StatusOther => "unexpected status",
        })
    }
}

/// What a session holds, as a reply shows it (docker/CONTRACT.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Who the session belongs to.
    pub owner: String,
    /// Which creation this is.
    pub epoch: String,
    /// How many operations are applied.
    pub version: u64,
    /// A digest chained over their order, 16 hexadecimal digits.
    pub digest: String,
    /// The ids of the last operations, the newest last.
    pub tail: Vec<String>,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A complete reply that says so.
    Ok(State),
    /// Certainly not applied.
    Fail(ErrorKind),
    /// It may have been applied, then, later or never.
    Indeterminate(ErrorKind),
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The node's name.
    pub node: String,
    /// Drawn by the node at each start.
    pub boot: String,
}

/// The instants of an operation, in nanoseconds from the start of the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// When it was to start.
    pub scheduled_ns: u64,
    /// When the generator handed it to its session: later than scheduled only by the generator's fault.
    pub dispatched_ns: u64,
    /// When its request was handed to the socket, after the session's operations before it were done.
    pub sent_ns: Option<u64>,
    /// When the first byte of the reply was there.
    pub first_byte_ns: Option<u64>,
    /// When the last byte of the reply was there, or the operation was given up.
    pub completed_ns: u64,
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
    /// How it ended.
    pub outcome: Outcome,
    /// The status of the reply, if a complete head came.
    pub status: Option<u16>,
    /// Who answered, if the reply says so.
    pub answer: Option<Answer>,
}

impl Operation {
    /// The state that a complete reply showed.
    #[must_use]
    pub fn state(&self) -> Option<&State> {
        match &self.outcome {
            Outcome::Ok(state) => Some(state),
            Outcome::Fail(_) | Outcome::Indeterminate(_) => None,
        }
    }

    /// Whether it ended with a complete reply that says so.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok(_))
    }

    /// Whether the app said that it does not know the session.
    #[must_use]
    pub fn session_was_unknown(&self) -> bool {
        self.outcome == Outcome::Fail(ErrorKind::UnknownSession)
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
        for bad in ["", "1", "1.2", "1.2.3.4", "1.2.x", "1..3", "-1.2.3"] {
            assert_eq!(bad.parse::<OperationId>(), Err(()), "{bad}");
        }
    }
}
