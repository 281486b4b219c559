//! An app node's client of the store: one connection, reopened when it breaks.

use std::cell::RefCell;
use std::net::SocketAddrV4;
use std::rc::Rc;

use thiserror::Error;

use super::protocol::{Reply, Request};
use crate::reference::app::session::{Session, SessionId};
use crate::reference::counters::STORE;
use crate::reference::link::{Gone, Link, decode, encode};

/// A request to the store failed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It cannot be reached.
    #[error("it cannot be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    /// The connection broke; the request may have been applied.
    #[error("{0}")]
    Gone(#[from] Gone),
    /// The store reports why.
    #[error("{0}")]
    Failed(String),
    /// The answer is not one of the protocol.
    #[error("its answer is none of the protocol's")]
    Misunderstood,
}

/// A client of the store.
pub struct StoreClient {
    address: SocketAddrV4,
    link: RefCell<Option<Rc<Link>>>,
}

impl StoreClient {
    /// A client that connects at its first request.
    pub const fn new(address: SocketAddrV4) -> Self {
        Self { address, link: RefCell::new(None) }
    }

    /// Whether the store answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.ask(&Request::Ping).await.map(drop)
    }

    /// Fetches a session.
    pub async fn fetch(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let Reply::Found(found) = self.ask(&Request::Get(id)).await? else { return Err(StoreError::Misunderstood) };
        found.map(|bytes| decode(&bytes)).transpose().map_err(|_| StoreError::Misunderstood)
    }

    /// Saves a session.
    pub async fn save(&self, id: SessionId, session: &Session) -> Result<(), StoreError> {
        match self.ask(&Request::Put(id, encode(session))).await? {
            Reply::Done => Ok(()),
            _ => Err(StoreError::Misunderstood),
        }
    }

    /// Removes a session. Returns whether it existed.
    pub async fn remove(&self, id: SessionId) -> Result<bool, StoreError> {
        match self.ask(&Request::Remove(id)).await? {
            Reply::Removed(was_there) => Ok(was_there),
            _ => Err(StoreError::Misunderstood),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Reply, StoreError> {
        let link = self.link().await?;
        let answer = link.ask(&encode(request)).await.inspect_err(|_| {
            let is_current = self.link.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, &link));
            if is_current {
                self.link.borrow_mut().take();
            }
        })?;
        match decode(&answer).map_err(|_| StoreError::Misunderstood)? {
            Reply::Failed(reason) => Err(StoreError::Failed(reason)),
            reply => Ok(reply),
        }
    }

    /// The current connection if it is open, as far as this end knows; otherwise a new one.
    async fn link(&self) -> std::io::Result<Rc<Link>> {
        let known = self.link.borrow().clone().filter(|link| link.is_open());
        if let Some(link) = known {
            return Ok(link);
        }
        let link = Rc::new(Link::connect(self.address, &STORE).await?);
        *self.link.borrow_mut() = Some(Rc::clone(&link));
        Ok(link)
    }
}
