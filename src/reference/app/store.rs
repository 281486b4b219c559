//! `store`: a store outside the app nodes holds the sessions; the nodes hold nothing.
//!
//! How it works: each request fetches its session from the store; a write saves the whole session before the reply. A
//! node does one write of a session at a time, but two nodes can write the same session concurrently, and then the
//! later save overwrites the earlier one. A save does not ask whether the session still exists: one that another node
//! ended meanwhile is there again.
//!
//! Claims: no app node is special, so any can fail and load is even. The store must not fail: without durability, all
//! sessions are lost with it. Every request pays a round trip to the store.
//!
//! Real products: the apps here that use Redis, Memcached or PostgreSQL do the same with those. Many frameworks also
//! save a session that was only read, to extend its lifetime.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use tokio::sync::Mutex;

use super::outcome::{Found, Refused};
use super::session::{Session, SessionId, Update, hold};
use crate::reference::config::AppConfig;
use crate::reference::store::StoreClient;

/// Sessions that are all in the store.
pub struct Stored {
    store: StoreClient,
    in_hand: RefCell<HashMap<SessionId, Weak<Mutex<()>>>>,
}

impl Stored {
    /// Connects to the store.
    ///
    /// # Errors
    /// When the configuration names none, or it does not answer.
    pub async fn start(config: &AppConfig) -> Result<Self, String> {
        let address = config.store.ok_or("this strategy needs `store`")?;
        let store = StoreClient::new(address);
        store.ping().await.map_err(|error| format!("the store at {address}: {error}"))?;
        Ok(Self { store, in_hand: RefCell::default() })
    }

    /// Saves a new session.
    pub async fn create(&self, session: Session) -> Result<Found, Refused> {
        let id = SessionId::fresh();
        self.store.save(id, &session).await.map_err(unavailable)?;
        Ok(Found { session, cookie: Some(id.to_string()) })
    }

    /// Fetches a session, applies an operation, and saves it.
    pub async fn append(&self, cookie: &str, update: &Update) -> Result<Found, Refused> {
        let id = SessionId::in_cookie(cookie).ok_or(Refused::Unknown)?;
        let turn = self.turn(id);
        let _held = turn.lock().await;
        let mut session = self.fetch(id).await?;
        hold(update.hold_ms).await;
        session.state.append(update);
        self.store.save(id, &session).await.map_err(unavailable)?;
        Ok(Found { session, cookie: None })
    }

    /// Fetches a session.
    pub async fn read(&self, cookie: &str) -> Result<Session, Refused> {
        self.fetch(SessionId::in_cookie(cookie).ok_or(Refused::Unknown)?).await
    }

    /// Removes a session.
    pub async fn end(&self, cookie: &str) -> Result<(), Refused> {
        let id = SessionId::in_cookie(cookie).ok_or(Refused::Unknown)?;
        let was_there = self.store.remove(id).await.map_err(unavailable)?;
        if was_there { Ok(()) } else { Err(Refused::Unknown) }
    }

    async fn fetch(&self, id: SessionId) -> Result<Session, Refused> {
        self.store.fetch(id).await.map_err(unavailable)?.ok_or(Refused::Unknown)
    }

    /// The lock of a session; it is dropped once nobody holds it.
    fn turn(&self, id: SessionId) -> Rc<Mutex<()>> {
        let mut in_hand = self.in_hand.borrow_mut();
        if let Some(turn) = in_hand.get(&id).and_then(Weak::upgrade) {
            return turn;
        }
        in_hand.retain(|_, turn| turn.strong_count() > 0);
        let turn = Rc::default();
        in_hand.insert(id, Rc::downgrade(&turn));
        turn
    }
}

fn unavailable(error: impl std::fmt::Display) -> Refused {
    Refused::Unavailable(format!("the store: {error}"))
}
