//! The result of a call to a strategy: a session, or why there is none. Also the number of a node's sessions by role.

use serde::Serialize;

use super::session::Session;

/// Why a call returned no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no session with this id.
    Unknown,
    /// The node cannot tell now whether there is one; the request may have been applied.
    Unavailable(String),
    /// It is too large for this strategy.
    TooLarge(String),
    /// There is none, with an answer that is off contract: a defect.
    OffContract(String),
}

/// A session and the cookie that names it.
pub struct Found {
    /// The session after the call.
    pub session: Session,
    /// The cookie's value, if the reply has to set it.
    pub cookie: Option<String>,
}

/// How many sessions a node holds, by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Roles {
    /// Sessions of which it is the primary.
    pub primary: usize,
    /// Copies of others' sessions.
    pub backup: usize,
    /// Sessions of which it knows only the place.
    pub proxy: usize,
}
