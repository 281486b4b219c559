//! `replicate-all`: every node holds every session, so that any node can answer and any node can fail.
//!
//! How it works: each change is sent to all other nodes: the whole session at its creation, later only the changed
//! part. A *synchronous* reply is sent after every node has acknowledged the change, an *asynchronous* one at once, so
//! that a client's next request can arrive at a node before the change. A node that joins fetches every session. Two
//! concurrent changes on two nodes start from the same state, and one of them is lost.
//!
//! Claims: no single crash loses a session. Each write costs (N−1) · (overhead + change) bytes, a node that joins costs
//! a transfer of all sessions at once, and every node's memory holds all sessions; so it is recommended only up to
//! about four nodes.
//!
//! Real products: Tomcat's `DeltaManager` also sends a message of about 1 KB when a session was only read, expires
//! sessions after half an hour, and drops changes that arrive while a node fetches (`stateTimestampDrop`); here they
//! are kept and applied afterwards. Of two concurrent changes, each Tomcat node keeps the one that arrived there last;
//! here all nodes keep the same one.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::rc::Rc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::members::{Members, Peer, Replica};
use super::outcome::{Found, Refused, Roles};
use super::session::{Session, SessionId, State, Update};
use crate::reference::config::{AppConfig, Replication};
use crate::reference::link::{Gone, Misunderstood, decode, encode};

/// A page of sessions is full once it has this many bytes.
const PAGE_BYTES: usize = 512 * 1024;

#[derive(Serialize, Deserialize)]
enum Message {
    /// A new session.
    Put(SessionId, Session),
    /// The state of a session after an operation.
    Change(SessionId, u64, State),
    /// A log-out.
    Remove(SessionId),
    /// A request has used a session.
    Touch(SessionId),
    /// Asks for the sessions after this one.
    Fetch(Option<SessionId>),
}

/// Some sessions in the order of their ids; `None` if the asked node is itself incomplete.
#[derive(Serialize, Deserialize)]
struct Page(Option<Vec<(SessionId, Session)>>);

/// A node's copy of all sessions.
#[derive(Default)]
pub struct Copy {
    sessions: RefCell<BTreeMap<SessionId, Session>>,
    made_here: RefCell<HashSet<SessionId>>,
    is_complete: Cell<bool>,
    /// Messages that arrived during the fetch: changes of sessions that are not here yet, and log-outs (`None`).
    early: RefCell<HashMap<SessionId, Option<(u64, State)>>>,
}

impl Copy {
    fn change(&self, id: SessionId, epoch: u64, state: State) {
        match self.sessions.borrow_mut().get_mut(&id) {
            Some(session) => session.keep_newer(epoch, state),
            None if !self.is_complete.get() => drop(self.early.borrow_mut().insert(id, Some((epoch, state)))),
            None => {}
        }
    }

    fn touch(&self, id: SessionId) {
        if let Some(session) = self.sessions.borrow_mut().get_mut(&id) {
            session.touch();
        }
    }

    fn remove(&self, id: SessionId) -> Option<Session> {
        if !self.is_complete.get() {
            self.early.borrow_mut().insert(id, None);
        }
        self.made_here.borrow_mut().remove(&id);
        self.sessions.borrow_mut().remove(&id)
    }

    fn page_after(&self, after: Option<SessionId>) -> Page {
        if !self.is_complete.get() {
            return Page(None);
        }
        let sessions = self.sessions.borrow();
        let mut bytes = 0;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = sessions.range((from, Bound::Unbounded)).take_while(|(_, session)| {
            let is_open = bytes < PAGE_BYTES;
            bytes += session.payload.len() + 256;
            is_open
        });
        Page(Some(rest.map(|(id, session)| (*id, session.clone())).collect()))
    }

    /// Stores fetched sessions, except where a message that arrived directly is newer.
    fn take_in(&self, page: Vec<(SessionId, Session)>) {
        let (mut sessions, early) = (self.sessions.borrow_mut(), self.early.borrow());
        for (id, mut session) in page {
            match early.get(&id) {
                Some(None) => continue,
                Some(Some((epoch, state))) => session.keep_newer(*epoch, state.clone()),
                None => {}
            }
            let (epoch, state) = (session.epoch, session.state.clone());
            sessions.entry(id).or_insert(session).keep_newer(epoch, state);
        }
    }
}

impl Replica for Copy {
    fn receive(&self, _: &str, message: &[u8]) -> Result<Bytes, Misunderstood> {
        match decode(message)? {
            Message::Put(id, session) => drop(self.sessions.borrow_mut().insert(id, session)),
            Message::Change(id, epoch, state) => self.change(id, epoch, state),
            Message::Remove(id) => drop(self.remove(id)),
            Message::Touch(id) => self.touch(id),
            Message::Fetch(after) => return Ok(encode(&self.page_after(after))),
        }
        Ok(Bytes::new())
    }

    async fn fetch(&self, peer: &Peer) -> Result<bool, Gone> {
        let mut after = None;
        loop {
            let answer = peer.ask(&encode(&Message::Fetch(after))).await?;
            let Ok(Page(Some(page))) = decode(&answer) else { return Ok(false) };
            let Some((last, _)) = page.last() else { return Ok(true) };
            after = Some(*last);
            self.take_in(page);
        }
    }

    fn forget(&self) {
        self.is_complete.set(false);
        self.sessions.borrow_mut().clear();
        self.made_here.borrow_mut().clear();
    }

    fn complete(&self) {
        self.is_complete.set(true);
        self.early.borrow_mut().clear();
    }
}

/// The sessions of a cluster, as one of its nodes serves them.
pub struct ReplicateAll {
    copy: Rc<Copy>,
    /// The cluster, as this node sees it.
    pub members: Rc<Members<Copy>>,
    replication: Replication,
}

impl ReplicateAll {
    /// Joins the cluster.
    ///
    /// # Errors
    /// When the port is in use, or the configuration names none.
    pub async fn start(config: &AppConfig) -> Result<Self, String> {
        let copy = Rc::new(Copy::default());
        let (members, _) = Members::join(config, Rc::clone(&copy)).await?;
        Ok(Self { copy, members, replication: config.replication })
    }

    async fn replicate(&self, message: &Message) {
        let message = encode(message);
        match self.replication {
            Replication::Synchronous => self.members.ask_all(self.members.names(), &message).await,
            Replication::Asynchronous => self.members.tell_all(&message),
        }
    }

    /// Creates a session on every node.
    pub async fn create(&self, session: Session) -> Found {
        let id = SessionId::fresh();
        self.copy.sessions.borrow_mut().insert(id, session.clone());
        self.copy.made_here.borrow_mut().insert(id);
        self.replicate(&Message::Put(id, session.clone())).await;
        Found { session, cookie: Some(id.to_string()) }
    }

    /// Applies an operation on every node.
    pub async fn append(&self, cookie: &str, update: &Update) -> Result<Found, Refused> {
        let id = SessionId::in_cookie(cookie).ok_or(Refused::Unknown)?;
        let session = {
            let mut sessions = self.copy.sessions.borrow_mut();
            let session = sessions.get_mut(&id).ok_or(Refused::Unknown)?;
            session.state.append(update);
            session.clone()
        };
        self.replicate(&Message::Change(id, session.epoch, session.state.clone())).await;
        Ok(Found { session, cookie: None })
    }

    /// Reads this node's copy.
    pub fn read(&self, cookie: &str) -> Result<Session, Refused> {
        SessionId::in_cookie(cookie)
            .and_then(|id| self.copy.sessions.borrow().get(&id).cloned())
            .ok_or(Refused::Unknown)
    }

    /// Records on every node that a request has used a session.
    pub async fn touch(&self, cookie: &str) {
        if let Some(id) = SessionId::in_cookie(cookie) {
            self.copy.touch(id);
            self.replicate(&Message::Touch(id)).await;
        }
    }

    /// Ends a session on every node.
    pub async fn end(&self, cookie: &str) -> Result<(), Refused> {
        let id = SessionId::in_cookie(cookie).ok_or(Refused::Unknown)?;
        self.copy.remove(id).ok_or(Refused::Unknown)?;
        self.replicate(&Message::Remove(id)).await;
        Ok(())
    }

    /// Sessions that were created here are primaries, all others backups.
    pub fn roles(&self) -> Roles {
        let primary = self.copy.made_here.borrow().len();
        Roles { primary, backup: self.copy.sessions.borrow().len() - primary, proxy: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::strategy::Sessions;
    use super::super::testing::{configs, on_one_thread, start, start_all, wait_until};
    use super::*;
    use crate::reference::config::StrategyName;

    fn three(replication: Replication) -> Vec<AppConfig> {
        configs(StrategyName::ReplicateAll, replication, 3)
    }

    async fn create(node: &Sessions) -> String {
        node.create(None, "s1".into(), 100).await.ok().unwrap().cookie.unwrap()
    }

    #[test]
    fn an_acknowledged_change_is_on_every_node() {
        on_one_thread(async {
            let nodes = start_all(&three(Replication::Synchronous)).await;
            let cookie = create(&nodes[0]).await;
            for turn in 1..=30usize {
                nodes[turn % 3].append(&cookie, &format!("1.1.{turn}").as_str().into()).await.ok().unwrap();
                for node in &nodes {
                    assert_eq!(node.read(&cookie).await.unwrap().state.version, turn as u64);
                }
            }
            assert_eq!(nodes[0].roles(), Roles { primary: 1, backup: 0, proxy: 0 });
            assert_eq!(nodes[1].roles(), Roles { primary: 0, backup: 1, proxy: 0 });
            nodes[1].end(&cookie).await.unwrap();
            for node in &nodes {
                assert_eq!(node.read(&cookie).await.err(), Some(Refused::Unknown));
            }
        });
    }

    #[test]
    fn asynchronous_changes_arrive_later_and_in_order() {
        on_one_thread(async {
            let nodes = start_all(&three(Replication::Asynchronous)).await;
            let cookie = create(&nodes[0]).await;
            for number in 1..=50 {
                nodes[0].append(&cookie, &format!("1.1.{number}").as_str().into()).await.ok().unwrap();
            }
            assert_ne!(
                nodes[1].read(&cookie).await.map(|session| session.state.version),
                Ok(50),
                "nobody has waited for it"
            );
            let id = cookie.parse().unwrap();
            for node in &nodes[1..] {
                let Sessions::ReplicateAll(node) = node else { unreachable!("that is what was started") };
                wait_until(|| node.copy.sessions.borrow().get(&id).is_some_and(|session| session.state.version == 50))
                    .await;
            }
        });
    }

    #[test]
    fn a_node_that_joins_late_fetches_every_session_even_while_they_change() {
        on_one_thread(async {
            let configs = three(Replication::Synchronous);
            let (one, two) = tokio::join!(start(&configs[0], 1), start(&configs[1], 1));
            let mut cookies = Vec::new();
            // More than one page.
            for _ in 0..300 {
                let created = one.create(None, "s1".into(), 4096).await.ok().unwrap();
                cookies.push(created.cookie.unwrap());
            }
            let third = configs[2].clone();
            let joins = tokio::task::spawn_local(async move { start(&third, 2).await });
            let mut rounds = 0;
            while !joins.is_finished() || rounds == 0 {
                rounds += 1;
                for cookie in &cookies {
                    two.append(cookie, &format!("1.{rounds}.1").as_str().into()).await.ok().unwrap();
                }
            }
            let three = joins.await.unwrap();
            for cookie in &cookies {
                assert_eq!(three.read(cookie).await.unwrap().state.version, rounds);
            }
        });
    }

    #[test]
    fn a_log_out_during_a_fetch_is_not_undone_by_the_fetched_session() {
        let copy = Copy::default();
        let (id, session) = (SessionId::fresh(), Session::create("s1".into(), 1));
        copy.remove(id);
        copy.take_in(vec![(id, session)]);
        assert!(copy.sessions.borrow().is_empty());
    }

    #[test]
    fn a_change_that_arrives_before_its_session_is_applied_after_the_fetch() {
        let copy = Copy::default();
        let (id, session) = (SessionId::fresh(), Session::create("s1".into(), 1));
        let mut newer = session.state.clone();
        newer.append(&"1.1.1".into());
        copy.change(id, session.epoch, newer);
        copy.take_in(vec![(id, session)]);
        assert_eq!(copy.sessions.borrow()[&id].state.version, 1);
    }
}
