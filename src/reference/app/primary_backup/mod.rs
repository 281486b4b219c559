//! `primary-backup`: one node, the primary, and one backup hold a session. All other nodes hold a proxy: only the
//! session's place.
//!
//! How it works: the node that creates a session becomes its primary, chooses a backup in turn, sends it the session,
//! and sends the session's place to the others. A change is sent only to the backup, before the reply. When a request
//! reaches another node, that node *takes* the session from its primary, or from the backup if the primary is gone. It
//! becomes the primary, and the node that gave the session becomes the backup. When a primary dies, the backup replaces
//! it and chooses a new backup; when a backup dies, the primary chooses a new one.
//!
//! Each change of place raises the session's *term*, and a message with an older term is ignored, so that two nodes
//! cannot both remain primary. A take raises the term by two and a succession by one, so that a request that is being
//! served wins over a backup that replaces a dead primary.
//!
//! Claims: bytes per write do not grow with the cluster, and no single crash loses a session. But every session takes
//! twice the memory, and every node holds a proxy of every session. With a balancer that is not sticky, almost every
//! request moves a whole session and sends its new place to all nodes.
//!
//! Real products: Tomcat's `BackupManager` has the same roles and no terms. It moves a session to the node that was
//! asked and leaves the backup unchanged. While a member's death is not yet known, it can answer "unknown" for a
//! session although a copy exists. Here a node that cannot reach any holder answers 503, never "unknown".

mod directory;

use std::cell::Cell;
use std::rc::Rc;

use tokio::task::spawn_local;

use self::directory::{Answer, Directory, Message, Place, SUCCESSION, TAKING};
use super::members::Members;
use super::outcome::{Found, Refused, Roles};
use super::session::{Session, SessionId, Update};
use crate::reference::config::AppConfig;
use crate::reference::link::{Gone, decode, encode};

/// How often a request follows a session that moves while the request takes it.
const MAX_MOVES: usize = 4;

/// The sessions of a cluster, as one of its nodes serves them.
pub struct PrimaryBackup {
    directory: Rc<Directory>,
    /// The cluster, as this node sees it.
    pub members: Rc<Members<Directory>>,
    turn: Cell<usize>,
}

impl PrimaryBackup {
    /// Joins the cluster.
    ///
    /// # Errors
    /// When the port is in use, or the configuration names none.
    pub async fn start(config: &AppConfig) -> Result<Rc<Self>, String> {
        let directory = Rc::new(Directory::new(config.name.clone()));
        let (members, mut departures) = Members::join(config, Rc::clone(&directory)).await?;
        let this = Rc::new(Self { directory, members, turn: Cell::default() });
        let successor = Rc::clone(&this);
        spawn_local(async move {
            while let Some(gone) = departures.recv().await {
                successor.succeed(&gone).await;
            }
        });
        Ok(this)
    }

    fn me(&self) -> String {
        self.directory.me.clone()
    }

    /// The nodes that can be a backup, starting with the one whose turn it is.
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

    /// Gives a session of this node a backup, and sends its place to the others.
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
        for _ in 0..MAX_MOVES {
            if self.directory.read_here(id).is_some() {
                return Ok(());
            }
            let mut moved = None;
            for holder in [Some(place.primary.clone()), place.backup.clone()].into_iter().flatten() {
                if holder == self.me() {
                    if self.promote(id, TAKING).await {
                        return Ok(());
                    }
                    // This node was the primary before its restart and no longer holds the session.
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
            // A message about a move may have arrived meanwhile.
            match moved.or_else(|| self.directory.place(id).filter(|known| known.term > place.term)) {
                Some(newer) => place = newer,
                None if unreachable.is_empty() => return Err(Refused::Unknown),
                None => return Err(Refused::Unavailable(format!("{} cannot be reached", unreachable.join(" and ")))),
            }
        }
        Err(Refused::Unavailable("the session keeps moving".to_owned()))
    }

    /// Makes this node the primary of a session that it holds, with a new backup. Returns whether it holds it.
    async fn promote(&self, id: SessionId, by: u64) -> bool {
        let Some((term, session)) = self.directory.held(id) else { return false };
        self.settle(id, term + by, &session).await;
        true
    }

    /// Replaces a node that is gone in all sessions that this node holds too.
    async fn succeed(&self, gone: &str) {
        let me = self.me();
        for id in self.directory.orphans(gone) {
            // Another node may have taken the session meanwhile.
            let place = self.directory.place(id);
            let is_still = place.is_some_and(|place| {
                place.primary == gone || place.primary == me && place.backup.as_deref() == Some(gone)
            });
            if is_still {
                self.promote(id, SUCCESSION).await;
            }
        }
    }

    /// Creates a session on this node, and its backup.
    pub async fn create(&self, session: Session) -> Found {
        let id = SessionId::fresh();
        self.settle(id, 1, &session).await;
        Found { session, cookie: Some(id.to_string()) }
    }

    /// Applies an operation here and on the backup.
    pub async fn append(&self, cookie: &str, update: &Update) -> Result<Found, Refused> {
        let id = SessionId::in_cookie(cookie).ok_or(Refused::Unknown)?;
        self.take(id).await?;
        let moved = || Refused::Unavailable("the session moved on".to_owned());
        let session = self.directory.append_here(id, update).ok_or_else(moved)?;
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
                // Another node took the session from elsewhere, so without this operation.
                return Err(moved());
            }
        }
        Ok(Found { session, cookie: None })
    }

    /// Takes a session and reads it.
    pub async fn read(&self, cookie: &str) -> Result<Session, Refused> {
        let id = SessionId::in_cookie(cookie).ok_or(Refused::Unknown)?;
        self.take(id).await?;
        self.directory.read_here(id).ok_or_else(|| Refused::Unavailable("the session moved on".to_owned()))
    }

    /// Records here that a request has used a session; it takes that along where it moves to.
    pub fn touch(&self, cookie: &str) {
        if let Some(id) = SessionId::in_cookie(cookie) {
            self.directory.touch(id);
        }
    }

    /// Ends a session everywhere.
    pub async fn end(&self, cookie: &str) -> Result<(), Refused> {
        let id = SessionId::in_cookie(cookie).ok_or(Refused::Unknown)?;
        if !self.directory.remove(id) {
            return Err(Refused::Unknown);
        }
        self.members.ask_all(self.members.names(), &encode(&Message::Remove(id))).await;
        Ok(())
    }

    /// Sessions by role.
    pub fn roles(&self) -> Roles {
        self.directory.roles()
    }
}

#[cfg(test)]
mod tests {
    use super::super::members::Replica;
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
                let found = node.append(&cookie, &format!("1.1.{turn}").as_str().into()).await.ok().unwrap();
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
    fn a_node_that_joins_late_knows_the_place_of_every_session() {
        on_one_thread(async {
            let configs = three();
            let (one, _two) = tokio::join!(start(&configs[0], 1), start(&configs[1], 1));
            let cookie = create(&one).await;
            one.append(&cookie, &"1.1.1".into()).await.ok().unwrap();
            let three = start(&configs[2], 2).await;
            assert_eq!(three.roles(), Roles { primary: 0, backup: 0, proxy: 1 });
            assert_eq!(three.read(&cookie).await.unwrap().state.version, 1);
            assert_eq!(three.roles().primary, 1);
        });
    }

    #[test]
    fn a_message_of_an_older_term_is_ignored() {
        let directory = Directory::new("app-1".into());
        let (id, session) = (SessionId::fresh(), Session::create("s1".into(), 1));
        let place = |term: u64, primary: &str| Place { term, primary: primary.into(), backup: None };
        assert!(directory.hold(id, &place(5, "app-1"), session));
        let primary_after = |term: u64, primary: &str| {
            directory.receive(primary, &encode(&Message::Where(id, place(term, primary)))).unwrap();
            directory.place(id).unwrap().primary
        };
        assert_eq!(primary_after(4, "app-2"), "app-1");
        assert_eq!(primary_after(5, "app-2"), "app-1", "of two at once the first name wins");
        assert_eq!(primary_after(6, "app-2"), "app-2");
        assert_eq!(primary_after(5, "app-1"), "app-2");
    }

    #[test]
    fn a_session_without_a_reachable_holder_is_unavailable_not_unknown() {
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

    /// A node without peers.
    fn alone(config: &AppConfig) -> AppConfig {
        AppConfig { peers: Vec::new(), ..config.clone() }
    }
}
