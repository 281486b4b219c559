//! An app node's way to the store: one connection, made anew when it breaks.

use std::cell::RefCell;
use std::net::SocketAddrV4;
use std::rc::Rc;

use thiserror::Error;

use super::protocol::{Reply, Request};
use crate::reference::app::session::{Session, SessionId};
use crate::reference::counters::STORE;
use crate::reference::link::{Gone, Link, decode, encode};

/// The store did not do what it was asked for.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It cannot be reached.
    #[error("it cannot be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    /// It broke off: what was asked may have been done.
    #[error("{0}")]
    Gone(#[from] Gone),
    /// It says why not.
    #[error("{0}")]
    Failed(String),
    /// It said something else.
    #[error("its answer is none of the protocol's")]
    Misunderstood,
}

/// The store, from an app node.
pub struct StoreClient {
    address: SocketAddrV4,
    link: RefCell<Option<Rc<Link>>>,
}

impl StoreClient {
    /// A client that connects at its first question.
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

    /// Removes a session. Says whether there was one.
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

    /// A connection that is open as far as one can see.
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
