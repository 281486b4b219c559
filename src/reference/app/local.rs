//! `none` and `sticky-*`: only the node that created a session holds it.
//!
//! How it works: a table in memory. *No sharing* and *sticky* differ only in the balancer: a sticky one sends a client
//! back to this node.
//!
//! Claims: without stickiness, a session is unknown from the second request on. With stickiness, the nodes need no
//! traffic among themselves, and load can concentrate on one node. When a node dies, its sessions are lost, and no
//! others.
//!
//! Real products: Tomcat's `StandardManager` does the same, and also writes sessions to a file at a graceful stop and
//! expires them after half an hour without a request. Here they stay until log-out, unless they are told to expire.

use std::cell::RefCell;
use std::collections::HashMap;

use super::outcome::{Found, Refused, Roles};
use super::session::{Session, SessionId, Update};

/// The sessions of one node.
#[derive(Default)]
pub struct Local {
    sessions: RefCell<HashMap<SessionId, Session>>,
}

impl Local {
    /// Keeps a new session.
    pub fn create(&self, session: Session) -> Found {
        let id = SessionId::fresh();
        self.sessions.borrow_mut().insert(id, session.clone());
        Found { session, cookie: Some(id.to_string()) }
    }

    /// Applies an operation.
    pub fn append(&self, cookie: &str, update: &Update) -> Result<Found, Refused> {
        let mut sessions = self.sessions.borrow_mut();
        let session = SessionId::in_cookie(cookie).and_then(|id| sessions.get_mut(&id)).ok_or(Refused::Unknown)?;
        session.state.append(update);
        Ok(Found { session: session.clone(), cookie: None })
    }

    /// Reads a session.
    pub fn read(&self, cookie: &str) -> Result<Session, Refused> {
        SessionId::in_cookie(cookie).and_then(|id| self.sessions.borrow().get(&id).cloned()).ok_or(Refused::Unknown)
    }

    /// Records that a request has used a session.
    pub fn touch(&self, cookie: &str) {
        let mut sessions = self.sessions.borrow_mut();
        if let Some(session) = SessionId::in_cookie(cookie).and_then(|id| sessions.get_mut(&id)) {
            session.touch();
        }
    }

    /// Ends a session.
    pub fn end(&self, cookie: &str) -> Result<(), Refused> {
        SessionId::in_cookie(cookie)
            .and_then(|id| self.sessions.borrow_mut().remove(&id))
            .map(drop)
            .ok_or(Refused::Unknown)
    }

    /// All sessions are primaries.
    pub fn roles(&self) -> Roles {
        Roles { primary: self.sessions.borrow().len(), ..Roles::default() }
    }
}
