//! What app nodes and store say to each other.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::reference::app::session::SessionId;

/// A question, or a record of the append-only file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Answered with [`Reply::Done`].
    Ping,
    /// Answered with [`Reply::Found`].
    Get(SessionId),
    /// Answered with [`Reply::Done`] once it is kept.
    Put(SessionId, Bytes),
    /// Answered with [`Reply::Removed`].
    Remove(SessionId),
}

/// An answer.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It is done.
    Done,
    /// What is kept under this name, if anything.
    Found(Option<Bytes>),
    /// Whether something was kept under this name.
    Removed(bool),
    /// It could not be kept, and why.
    Failed(String),
}
