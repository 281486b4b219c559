//! What a call to a strategy gives: a session, or why there is none; and which roles a node's sessions have.

use serde::Serialize;

use super::session::Session;

/// Why a call gave no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is none of this name.
    Unknown,
    /// Whether there is one cannot be told now; what was asked may have been done.
    Unavailable(String),
    /// It cannot be kept this way.
    TooLarge(String),
    /// There is none, in words that the contract does not have: a defect.
    OffContract(String),
}

/// A session and the cookie that leads to it.
pub struct Found {
    /// The session after the call.
    pub session: Session,
    /// The cookie's value, if the client has to be told.
    pub cookie: Option<String>,
}

/// How many sessions a node holds, by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Roles {
    /// Its own.
    pub primary: usize,
    /// Copies of others' sessions.
    pub backup: usize,
    /// Known by their place only.
    pub proxy: usize,
}
