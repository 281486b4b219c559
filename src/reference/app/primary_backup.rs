//! `primary-backup`: a session lives on one node, its primary, and on one backup. All other nodes hold a
//! proxy: not the session, but where it is.
//!
//! How it works: the node that makes a session is its primary, chooses a backup by turns, sends it the
//! session, and tells the others where it is. A change goes to the backup alone, before the reply. When a
//! request reaches another node, that node *takes* the session from its primary, or from the backup where the
//! primary is gone, becomes its primary, and leaves a backup where it took it from. When a primary dies, the
//! backup takes its place and chooses a new backup; when a backup dies, the primary chooses a new one.
//!
//! Each change of places raises the session's *term*, and a message of an older term is not heeded: that
//! is what keeps two nodes from both holding themselves for the primary. A taking raises it by two and a
//! succession by one, so that a request that is being served wins over a backup that only heard of a death.
//!
//! What is claimed: bytes per write do not grow with the cluster, and no single crash loses a session; but
//! every session still takes twice the memory, and every node holds a proxy of every session. With a
//! balancer that does not stick, almost every request moves a whole session, and tells all nodes.
//!
//! Real products: Tomcat's `BackupManager` has the same roles. It has no terms; it moves a session to the
//! node that was asked and leaves the backup where it was; and while a member's death is not yet known, its
//! answer for a session can be "unknown" although a copy is there. Here a node that cannot reach any holder
//! answers 503, never "unknown".

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_local;

use super::local::id_in;
use super::members::{Members, Peer, Replica};
use super::session::{Session, SessionId, State};
use super::strategy::{Found, Refused, Roles};
use crate::reference::config::AppConfig;
use crate::reference::link::{Gone, Misunderstood, decode, encode};

/// How many proxies a page holds.
const PAGE: usize = 4096;
/// How often a request follows a session that moves on while it is being asked for.
const MOST_MOVES: usize = 4;
/// How much a taking raises the term, and a succession.
const TAKING: u64 = 2;
const SUCCESSION: u64 = 1;

/// Where a session is, as of a term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    term: u64,
    primary: String,
    backup: Option<String>,
}

#[derive(Serialize, Deserialize)]
enum Message {
    /// "You are the backup of this session of mine."
    Copy(SessionId, Place, Session),
    /// "This has changed": for its backup.
    Change(SessionId, u64, State),
    /// "It is there."
    Where(SessionId, Place),
    /// "Give it to me."
    Take(SessionId),
    /// A log-out.
    Remove(SessionId),
    /// The places of the sessions after this one, please.
    Places(Option<SessionId>),
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Done,
    /// The asked node is not the session's backup, or no longer.
    NotMine,
    /// What was asked to be given, with its place from now on.
    Given(Place, Session),
    /// The asked node only knows where it is.
    Elsewhere(Place),
    Unknown,
    Places(Vec<(SessionId, Place)>),
    /// The asked node lacks some itself.
    Incomplete,
}

struct Entry {
    place: Place,
    /// Held by primary and backup.
    session: Option<Session>,
}

/// What a node knows of the cluster's sessions.
struct Directory {
    me: String,
    entries: RefCell<BTreeMap<SessionId, Entry>>,
    is_complete: Cell<bool>,
}

impl Directory {
    /// The newest place wins; of two made at once, the one of the node that comes first.
    fn is_outdated(&self, id: SessionId, place: &Place) -> bool {
        let entries = self.entries.borrow();
        let Some(Entry { place: known, .. }) = entries.get(&id) else { return false };
        (known.term, std::cmp::Reverse(&known.primary)) > (place.term, std::cmp::Reverse(&place.primary))
    }

    fn place(&self, id: SessionId) -> Option<Place> {
        self.entries.borrow().get(&id).map(|entry| entry.place.clone())
    }

    fn set(&self, id: SessionId, place: Place, session: Option<Session>) {
        self.entries.borrow_mut().insert(id, Entry { place, session });
    }

    /// Holds a session at a place, unless it is known to have moved on. Of the session as given and as it is
    /// held already, the newer one is kept.
    fn hold(&self, id: SessionId, place: &Place, mut session: Session) -> bool {
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

    /// Hands a session over to `to`, and stays behind as its backup.
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
    fn append_here(&self, id: SessionId, op: &str) -> Option<Session> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&id).filter(|entry| entry.place.primary == self.me)?;
        let session = entry.session.as_mut()?;
        session.state.append(op);
        Some(session.clone())
    }

    fn read_here(&self, id: SessionId) -> Option<Session> {
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
                self.entries.borrow_mut().remove(&id);
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
                // What came directly meanwhile is at least as new.
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

/// The sessions of a cluster, as one of its nodes serves them.
pub struct PrimaryBackup {
    directory: Rc<Directory>,
    members: Rc<Members<Directory>>,
    turn: Cell<usize>,
}

impl PrimaryBackup {
    /// Joins the cluster.
    ///
    /// # Errors
    /// When the port is taken, or the configuration names none.
    pub async fn start(config: &AppConfig) -> Result<Rc<Self>, String> {
        let directory =
            Directory { me: config.name.clone(), entries: RefCell::default(), is_complete: Cell::default() };
        let directory = Rc::new(directory);
        let (members, mut goings) = Members::join(config, Rc::clone(&directory)).await?;
        let this = Rc::new(Self { directory, members, turn: Cell::default() });
        let successor = Rc::clone(&this);
        spawn_local(async move {
            while let Some(gone) = goings.recv().await {
                successor.succeed(&gone).await;
            }
        });
        Ok(this)
    }

    fn me(&self) -> String {
        self.directory.me.clone()
    }

    /// The nodes that can be a backup, the one whose turn it is first.
    fn candidates(&self) -> Vec<String> {
        let mut names = self.members.names();
        if !names.is_empty() {
            let turn = self.turn.replace(self.turn.get().wrapping_add(1));
            let first = turn % names.len();
            names.rotate_left(first);
        }
        names
    }

    async fn ask(&self, node: &str, message: &Message) -> Result<Answer, Gone> {
        let answer = self.members.ask(node, &encode(message)).await?;
        decode(&answer).map_err(|_| Gone::Closed)
    }

    /// Gives a session of this node a backup, and tells the others where it is.
    async fn settle(&self, id: SessionId, term: u64, session: &Session) {
        let mut place = Place { term, primary: self.me(), backup: None };
        for candidate in self.candidates() {
            place.backup = Some(candidate.clone());
            if !self.directory.hold(id, &place, session.clone()) {
                return;
            }
            let current = self.directory.read_here(id).unwrap_or_else(|| session.clone());
            let copy = Message::Copy(id, place.clone(), current);
            if matches!(self.ask(&candidate, &copy).await, Ok(Answer::Done)) {
                break;
            }
            place.backup = None;
        }
        if self.directory.hold(id, &place, session.clone()) {
            self.tell_others(id, &place).await;
        }
    }

    async fn tell_others(&self, id: SessionId, place: &Place) {
        let others = self.members.names().into_iter().filter(|name| place.backup.as_ref() != Some(name));
        self.members.ask_all(others, &encode(&Message::Where(id, place.clone()))).await;
    }

    /// Makes this node the primary of a session.
    async fn take(&self, id: SessionId) -> Result<(), Refused> {
        let mut place = self.directory.place(id).ok_or(Refused::Unknown)?;
        let mut unreachable = Vec::new();
        for _ in 0..MOST_MOVES {
            if self.directory.read_here(id).is_some() {
                return Ok(());
            }
            let mut moved = None;
            for holder in [Some(place.primary.clone()), place.backup.clone()].into_iter().flatten() {
                if holder == self.me() {
                    if self.promote(id, TAKING).await {
                        return Ok(());
                    }
                    // It was the primary before it was started again, and holds nothing any more.
                    continue;
                }
                match self.ask(&holder, &Message::Take(id)).await {
                    Ok(Answer::Given(place, session)) => {
                        if self.directory.hold(id, &place, session) {
                            self.tell_others(id, &place).await;
                        }
                        return Ok(());
                    }
                    Ok(Answer::Elsewhere(newer)) if newer.term > place.term => {
                        moved = Some(newer);
                        break;
                    }
                    Ok(_) => {}
                    Err(_) => unreachable.push(holder),
                }
            }
            // Word of a move may have come in meanwhile.
            match moved.or_else(|| self.directory.place(id).filter(|known| known.term > place.term)) {
                Some(newer) => place = newer,
                None if unreachable.is_empty() => return Err(Refused::Unknown),
                None => return Err(Refused::Unavailable(format!("{} cannot be reached", unreachable.join(" and ")))),
            }
        }
        Err(Refused::Unavailable("the session keeps moving".to_owned()))
    }

    /// Makes this node, which holds the session, its primary, with a new backup. Says whether it holds it.
    async fn promote(&self, id: SessionId, by: u64) -> bool {
        let held = {
            let entries = self.directory.entries.borrow();
            entries.get(&id).and_then(|entry| Some((entry.place.term + by, entry.session.clone()?)))
        };
        let Some((term, session)) = held else { return false };
        self.settle(id, term, &session).await;
        true
    }

    /// Fills the places that a node has left.
    async fn succeed(&self, gone: &str) {
        let me = self.me();
        let orphans: Vec<SessionId> = {
            let entries = self.directory.entries.borrow();
            let is_orphan = |entry: &Entry| {
                let place = &entry.place;
                let lost_primary = place.primary == gone && place.backup.as_ref() == Some(&me);
                let lost_backup = place.primary == me && place.backup.as_deref() == Some(gone);
                entry.session.is_some() && (lost_primary || lost_backup)
            };
            entries.iter().filter(|(_, entry)| is_orphan(entry)).map(|(id, _)| *id).collect()
        };
        for id in orphans {
            // Somebody may have taken it meanwhile.
            let place = self.directory.place(id);
            let is_still = place.is_some_and(|place| {
                place.primary == gone || place.primary == me && place.backup.as_deref() == Some(gone)
            });
            if is_still {
                self.promote(id, SUCCESSION).await;
            }
        }
    }

    /// Makes a session here, and its backup.
    pub async fn create(&self, session: Session) -> Found {
        let id = SessionId::fresh();
        self.settle(id, 1, &session).await;
        Found { session, cookie: Some(id.to_string()) }
    }

    /// Applies an operation here and on the backup.
    pub async fn append(&self, cookie: &str, op: &str) -> Result<Found, Refused> {
        let id = id_in(cookie).ok_or(Refused::Unknown)?;
        self.take(id).await?;
        let moved = || Refused::Unavailable("the session moved on".to_owned());
        let session = self.directory.append_here(id, op).ok_or_else(moved)?;
        let backup = self.directory.place(id).ok_or_else(moved)?.backup;
        let change = Message::Change(id, session.epoch, session.state.clone());
        let is_kept = match &backup {
            Some(backup) => matches!(self.ask(backup, &change).await, Ok(Answer::Done)),
            None => false,
        };
        if !is_kept {
            let place = self.directory.place(id).ok_or_else(moved)?;
            if place.primary == self.me() {
                self.promote(id, SUCCESSION).await;
            } else if place.backup != Some(self.me()) {
                // Taken from elsewhere, and so without this operation.
                return Err(moved());
            }
        }
        Ok(Found { session, cookie: None })
    }

    /// Reads a session, here from now on.
    pub async fn read(&self, cookie: &str) -> Result<Session, Refused> {
        let id = id_in(cookie).ok_or(Refused::Unknown)?;
        self.take(id).await?;
        self.directory.read_here(id).ok_or_else(|| Refused::Unavailable("the session moved on".to_owned()))
    }

    /// Ends a session everywhere.
    pub async fn end(&self, cookie: &str) -> Result<(), Refused> {
        let id = id_in(cookie).ok_or(Refused::Unknown)?;
        self.directory.entries.borrow_mut().remove(&id).ok_or(Refused::Unknown)?;
        self.members.ask_all(self.members.names(), &encode(&Message::Remove(id))).await;
        Ok(())
    }

    /// The other nodes that are there.
    pub fn members(&self) -> Vec<String> {
        self.members.names()
    }

    /// Whether every place is known here.
    pub fn is_ready(&self) -> bool {
        self.members.is_ready()
    }

    /// Sessions by role.
    pub fn roles(&self) -> Roles {
        let entries = self.directory.entries.borrow();
        let primary = entries.values().filter(|entry| entry.place.primary == self.directory.me).count();
        let proxy = entries.values().filter(|entry| entry.session.is_none()).count();
        Roles { primary, backup: entries.len() - primary - proxy, proxy }
    }
}

#[cfg(test)]
mod tests {
    use super::super::strategy::Sessions;
    use super::super::testing::{configs, on_one_thread, start, start_all};
    use super::*;
    use crate::reference::config::{Replication, StrategyName};

    fn three() -> Vec<AppConfig> {
        configs(StrategyName::PrimaryBackup, Replication::Synchronous, 3)
    }

    fn roles(nodes: &[Sessions]) -> Roles {
        nodes.iter().map(Sessions::roles).fold(Roles::default(), |sum, roles| Roles {
            primary: sum.primary + roles.primary,
            backup: sum.backup + roles.backup,
            proxy: sum.proxy + roles.proxy,
        })
    }

    async fn create(node: &Sessions) -> String {
        node.create(None, "s1".into(), 100).await.ok().unwrap().cookie.unwrap()
    }

    #[test]
    fn a_session_has_one_primary_one_backup_and_a_proxy_on_every_other_node() {
        on_one_thread(async {
            let nodes = start_all(&three()).await;
            for _ in 0..10 {
                create(&nodes[0]).await;
            }
            assert_eq!(roles(&nodes), Roles { primary: 10, backup: 10, proxy: 10 });
            assert_eq!(nodes[0].roles().primary, 10);
            assert!(nodes[1].roles().backup > 2 && nodes[2].roles().backup > 2, "backups are chosen by turns");
        });
    }

    #[test]
    fn a_session_moves_to_the_node_that_is_asked_and_loses_nothing_on_the_way() {
        on_one_thread(async {
            let nodes = start_all(&three()).await;
            let cookie = create(&nodes[0]).await;
            for turn in 1..=60usize {
                let node = &nodes[(turn * turn) % 3];
                let found = node.append(&cookie, &format!("1.1.{turn}")).await.ok().unwrap();
                assert_eq!(found.session.state.version, turn as u64);
                assert_eq!(node.roles().primary, 1, "whoever answers is the primary");
                assert_eq!(roles(&nodes), Roles { primary: 1, backup: 1, proxy: 1 });
            }
            assert_eq!(nodes[1].read(&cookie).await.unwrap().state.version, 60);
            nodes[2].end(&cookie).await.unwrap();
            assert_eq!(roles(&nodes), Roles::default());
            assert_eq!(nodes[0].read(&cookie).await.err(), Some(Refused::Unknown));
        });
    }

    #[test]
    fn a_node_that_comes_later_knows_where_every_session_is() {
        on_one_thread(async {
            let configs = three();
            let (one, _two) = tokio::join!(start(&configs[0], 1), start(&configs[1], 1));
            let cookie = create(&one).await;
            one.append(&cookie, "1.1.1").await.ok().unwrap();
            let three = start(&configs[2], 2).await;
            assert_eq!(three.roles(), Roles { primary: 0, backup: 0, proxy: 1 });
            assert_eq!(three.read(&cookie).await.unwrap().state.version, 1);
            assert_eq!(three.roles().primary, 1);
        });
    }

    #[test]
    fn a_message_of_an_older_term_is_not_heeded() {
        let directory = Directory { me: "app-1".into(), entries: RefCell::default(), is_complete: Cell::default() };
        let (id, session) = (SessionId::fresh(), Session::create("s1".into(), 1));
        let place = |term: u64, primary: &str| Place { term, primary: primary.into(), backup: None };
        assert!(directory.hold(id, &place(5, "app-1"), session));
        let told = |term: u64, primary: &str| {
            directory.receive(primary, &encode(&Message::Where(id, place(term, primary)))).unwrap();
            directory.place(id).unwrap().primary
        };
        assert_eq!(told(4, "app-2"), "app-1");
        assert_eq!(told(5, "app-2"), "app-1", "of two at once the first name wins");
        assert_eq!(told(6, "app-2"), "app-2");
        assert_eq!(told(5, "app-1"), "app-2");
    }

    #[test]
    fn where_no_holder_can_be_reached_the_session_is_not_called_unknown() {
        on_one_thread(async {
            let nodes = start_all(&[alone(&three()[0])]).await;
            let Sessions::PrimaryBackup(node) = &nodes[0] else { unreachable!("that is what was started") };
            let id = SessionId::fresh();
            let place = Place { term: 1, primary: "app-9".into(), backup: Some("app-8".into()) };
            node.directory.set(id, place, None);
            let refused = nodes[0].read(&id.to_string()).await.err();
            assert!(matches!(refused, Some(Refused::Unavailable(_))), "{refused:?}");
        });
    }

    /// A node that knows of no others.
    fn alone(config: &AppConfig) -> AppConfig {
        AppConfig { peers: Vec::new(), ..config.clone() }
    }
}
