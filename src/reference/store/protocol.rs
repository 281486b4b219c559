//! The protocol between app nodes and store.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::reference::app::session::SessionId;

/// A request, and the record type of the append-only file.
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
    /// The request is done.
    Done,
    /// The session with this id, if there is one.
    Found(Option<Bytes>),
    /// Whether there was a session with this id.
    Removed(bool),
    /// The change could not be saved, and why.
    Failed(String),
}
