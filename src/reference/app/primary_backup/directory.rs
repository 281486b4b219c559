//! A node's directory of the cluster's sessions: the ones that it holds, their roles, and the places of all others. It
//! answers other nodes' messages at once and never waits.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::reference::app::members::{Peer, Replica};
use crate::reference::app::outcome::Roles;
use crate::reference::app::session::{Session, SessionId, State, Update};
use crate::reference::link::{Gone, Misunderstood, decode, encode};

/// How many places a page holds.
const PAGE: usize = 4096;
/// By how much the term rises when a node takes a session for a request.
pub const TAKING: u64 = 2;
/// By how much the term rises when a node replaces one that is gone.
pub const SUCCESSION: u64 = 1;

/// The place of a session, as of a term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub term: u64,
    pub primary: String,
    pub backup: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub enum Message {
    /// Makes the receiver the backup of this session.
    Copy(SessionId, Place, Session),
    /// The new state of a session, for its backup.
    Change(SessionId, u64, State),
    /// The place of a session.
    Where(SessionId, Place),
    /// Asks for a session: the sender becomes its primary.
    Take(SessionId),
    /// A log-out.
    Remove(SessionId),
    /// Asks for the places of the sessions after this one.
    Places(Option<SessionId>),
}

#[derive(Serialize, Deserialize)]
pub enum Answer {
    Done,
    /// The message is outdated, or the asked node does not hold this session.
    NotMine,
    /// The requested session, with its new place.
    Given(Place, Session),
    /// The asked node only knows the place of the session.
    Elsewhere(Place),
    Unknown,
    Places(Vec<(SessionId, Place)>),
    /// The asked node does not know all places yet.
    Incomplete,
}

struct Entry {
    place: Place,
    /// `None` on a node that holds only a proxy.
    session: Option<Session>,
}

/// A node's directory of the cluster's sessions.
pub struct Directory {
    pub me: String,
    entries: RefCell<BTreeMap<SessionId, Entry>>,
    is_complete: Cell<bool>,
}

impl Directory {
    /// An empty directory.
    pub const fn new(me: String) -> Self {
        Self { me, entries: RefCell::new(BTreeMap::new()), is_complete: Cell::new(false) }
    }

    /// Sessions held here whose other copy was on `gone`.
    pub fn orphans(&self, gone: &str) -> Vec<SessionId> {
        let is_orphan = |entry: &Entry| {
            let Place { primary, backup, .. } = &entry.place;
            let lost_primary = primary == gone && backup.as_ref() == Some(&self.me);
            let lost_backup = *primary == self.me && backup.as_deref() == Some(gone);
            entry.session.is_some() && (lost_primary || lost_backup)
        };
        self.entries.borrow().iter().filter(|(_, entry)| is_orphan(entry)).map(|(id, _)| *id).collect()
    }

    /// A session held here, with the term of its place.
    pub fn held(&self, id: SessionId) -> Option<(u64, Session)> {
        self.entries.borrow().get(&id).and_then(|entry| Some((entry.place.term, entry.session.clone()?)))
    }

    /// Sessions by role.
    pub fn roles(&self) -> Roles {
        let entries = self.entries.borrow();
        let primary = entries.values().filter(|entry| entry.place.primary == self.me).count();
        let proxy = entries.values().filter(|entry| entry.session.is_none()).count();
        Roles { primary, backup: entries.len() - primary - proxy, proxy }
    }

    /// Records that a request has used a session that is held here.
    pub fn touch(&self, id: SessionId) {
        if let Some(session) = self.entries.borrow_mut().get_mut(&id).and_then(|entry| entry.session.as_mut()) {
            session.touch();
        }
    }

    /// Removes a session. Returns whether it was known.
    pub fn remove(&self, id: SessionId) -> bool {
        self.entries.borrow_mut().remove(&id).is_some()
    }

    /// Whether a newer place than `place` is known. Of two places with the same term, the one wins whose primary's name
    /// sorts first.
    fn is_outdated(&self, id: SessionId, place: &Place) -> bool {
        let entries = self.entries.borrow();
        let Some(Entry { place: known, .. }) = entries.get(&id) else { return false };
        (known.term, Reverse(&known.primary)) > (place.term, Reverse(&place.primary))
    }

    pub fn place(&self, id: SessionId) -> Option<Place> {
        self.entries.borrow().get(&id).map(|entry| entry.place.clone())
    }

    pub fn set(&self, id: SessionId, place: Place, session: Option<Session>) {
        self.entries.borrow_mut().insert(id, Entry { place, session });
    }

    /// Stores a session and its place, unless the place is outdated. If this node already holds the session, the newer
    /// state is kept. Returns whether it was stored.
    pub fn hold(&self, id: SessionId, place: &Place, mut session: Session) -> bool {
        if self.is_outdated(id, place) {
            return false;
        }
        let mut entries = self.entries.borrow_mut();
        if let Some(held) = entries.get(&id).and_then(|entry| entry.session.as_ref()) {
            session.keep_newer(held.epoch, held.state.clone());
        }
        entries.insert(id, Entry { place: place.clone(), session: Some(session) });
        true
    }

    fn change(&self, id: SessionId, epoch: u64, state: State) -> Answer {
        match self.entries.borrow_mut().get_mut(&id).and_then(|entry| entry.session.as_mut()) {
            Some(session) if session.epoch == epoch => {
                session.keep_newer(epoch, state);
                Answer::Done
            }
            _ => Answer::NotMine,
        }
    }

    /// Gives a session to `to` as its primary, and keeps this node as its backup.
    fn give(&self, id: SessionId, to: &str) -> Answer {
        let mut entries = self.entries.borrow_mut();
        let Some(entry) = entries.get_mut(&id) else { return Answer::Unknown };
        let Some(session) = &entry.session else { return Answer::Elsewhere(entry.place.clone()) };
        let term = entry.place.term + TAKING;
        entry.place = Place { term, primary: to.to_owned(), backup: Some(self.me.clone()) };
        Answer::Given(entry.place.clone(), session.clone())
    }

    fn places_after(&self, after: Option<SessionId>) -> Answer {
        if !self.is_complete.get() {
            return Answer::Incomplete;
        }
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.entries.borrow();
        let page = entries.range((from, Bound::Unbounded)).take(PAGE);
        Answer::Places(page.map(|(id, entry)| (*id, entry.place.clone())).collect())
    }

    /// Applies an operation, if this node is the primary.
    pub fn append_here(&self, id: SessionId, update: &Update) -> Option<Session> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&id).filter(|entry| entry.place.primary == self.me)?;
        let session = entry.session.as_mut()?;
        session.state.append(update);
        Some(session.clone())
    }

    pub fn read_here(&self, id: SessionId) -> Option<Session> {
        let entries = self.entries.borrow();
        entries.get(&id).filter(|entry| entry.place.primary == self.me)?.session.clone()
    }
}

impl Replica for Directory {
    fn receive(&self, from: &str, message: &[u8]) -> Result<Bytes, Misunderstood> {
        let answer = match decode(message)? {
            Message::Copy(id, place, _) | Message::Where(id, place) if self.is_outdated(id, &place) => Answer::NotMine,
            Message::Copy(id, place, session) => {
                self.set(id, place, Some(session));
                Answer::Done
            }
            Message::Where(id, place) => {
                self.set(id, place, None);
                Answer::Done
            }
            Message::Change(id, epoch, state) => self.change(id, epoch, state),
            Message::Take(id) => self.give(id, from),
            Message::Remove(id) => {
                self.remove(id);
                Answer::Done
            }
            Message::Places(after) => self.places_after(after),
        };
        Ok(encode(&answer))
    }

    async fn fetch(&self, peer: &Peer) -> Result<bool, Gone> {
        let mut after = None;
        loop {
            let answer = peer.ask(&encode(&Message::Places(after))).await?;
            let Ok(Answer::Places(page)) = decode(&answer) else { return Ok(false) };
            let Some((last, _)) = page.last() else { return Ok(true) };
            after = Some(*last);
            for (id, place) in page {
                // A place that arrived directly meanwhile is at least as new.
                self.entries.borrow_mut().entry(id).or_insert(Entry { place, session: None });
            }
        }
    }

    fn complete(&self) {
        self.is_complete.set(true);
    }

    fn forget(&self) {
        self.is_complete.set(false);
        self.entries.borrow_mut().clear();
    }
}
