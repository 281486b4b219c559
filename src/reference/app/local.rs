//! `none` and `sticky-*`: a session lives on the node that made it, and nowhere else.
//!
//! How it works: a table in memory. What differs between *no sharing* and *sticky* is only whether the
//! balancer leads a client back to this node.
//!
//! What is claimed: without stickiness a session is unknown from the second request on. With it the nodes
//! need no traffic among themselves; load can gather on one node; and when a node dies, the sessions on
//! it are gone, and only those.
//!
//! Real products: Tomcat's `StandardManager` does the same, and also writes sessions to a file at a graceful
//! stop and ends them after half an hour without a request. Here they stay until log-out.

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

    /// Ends a session.
    pub fn end(&self, cookie: &str) -> Result<(), Refused> {
        SessionId::in_cookie(cookie)
            .and_then(|id| self.sessions.borrow_mut().remove(&id))
            .map(drop)
            .ok_or(Refused::Unknown)
    }

    /// All of them are this node's own.
    pub fn roles(&self) -> Roles {
        Roles { primary: self.sessions.borrow().len(), ..Roles::default() }
    }
}
