//! The membership of app nodes in their cluster: which nodes are live, the links to them, and what happens when one
//! joins or leaves. It does not know the messages of the strategies.
//!
//! Each node keeps one link to each other node in its configuration. A node that joins says *hello*. The greeted node
//! links back, waits until everything that it has sent to third nodes has arrived, and only then answers *welcome*.
//! From then on the new node misses nothing, and it can fetch everything older from any one node. A node whose
//! connection ends is gone. A node that does not answer counts as gone: it is cut off in both directions, and the
//! answer to its next hello says so. Because it has missed messages, it then drops what it holds and joins again. A
//! node that notices that it was stalled serves no request until it has asked the others whether they have cut it off.
//!
//! Real products detect failure in the same two ways, with longer timeouts (Tomcat's `TcpFailureDetector` and
//! membership by pings), but let a node that was cut off keep what it holds.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::reference::config::{AppConfig, PeerConfig};
use crate::reference::counters::CLUSTER;
use crate::reference::link::{self, Gone, Link, Misunderstood, decode, encode};
use crate::reference::listener::{listen, serve_each};

/// Pause between two attempts to reach a node that is gone.
const RETRY: Duration = Duration::from_millis(50);
/// Interval between two pings of a node.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A node that has not run for this long counts as stalled. The others cut it off after a longer time.
const STALL: Duration = Duration::from_millis(500);
/// Interval between two checks for a stall.
const WATCH: Duration = Duration::from_millis(100);

/// The part of the cluster's sessions that a node holds, as its strategy stores it.
pub trait Replica {
    /// Answers another node's message.
    ///
    /// # Errors
    /// When the message is not one of the strategy.
    fn receive(&self, from: &str, message: &[u8]) -> Result<Bytes, Misunderstood>;

    /// Fetches from `peer` what this node lacks. Returns `false` if `peer` is itself incomplete.
    fn fetch(&self, peer: &Peer) -> impl Future<Output = Result<bool, Gone>>;

    /// Marks this node as complete: it has fetched, or there was no node to fetch from.
    fn complete(&self);

    /// Drops everything, because this node was cut off and the others continued without it.
    fn forget(&self);
}

#[derive(Serialize, Deserialize)]
enum Envelope {
    /// The sender is up and listens; answered with [`Welcome`].
    Hello { from: String, boot: u64 },
    /// Checks that the receiver answers.
    Ping,
    /// A message of the strategy.
    Data { from: String, message: Bytes },
}

#[derive(Serialize, Deserialize)]
struct Welcome {
    /// Whether the greeted node has cut off this boot of the greeting node.
    cut_off: bool,
    /// The boot of the greeted node.
    boot: u64,
}

/// Another node of the cluster.
pub struct Peer {
    me: Rc<str>,
    config: PeerConfig,
    link: RefCell<Option<Rc<Link>>>,
    /// The boot of the peer that the link leads to, if known.
    boot: Cell<Option<u64>>,
    /// The boot of the peer that was cut off because it did not answer.
    cut_off: Cell<Option<u64>>,
}

impl Peer {
    /// Asks the strategy on this peer.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn ask(&self, message: &Bytes) -> Result<Bytes, Gone> {
        let link = self.link.borrow().clone().ok_or(Gone::Closed)?;
        link.ask(&self.data(message)).await
    }

    fn send(&self, message: &Bytes) {
        if let Some(link) = &*self.link.borrow() {
            drop(link.send(&self.data(message)));
        }
    }

    fn data(&self, message: &Bytes) -> Bytes {
        encode(&Envelope::Data { from: self.me.to_string(), message: message.clone() })
    }

    fn is_live(&self) -> bool {
        self.link.borrow().is_some()
    }
}

/// The cluster as one of its nodes sees it.
pub struct Members<R> {
    me: Rc<str>,
    /// Drawn at the start, and again when this node has dropped everything to join again.
    boot: Cell<u64>,
    /// When this node last ran for certain without a stall.
    last_turn: Cell<Instant>,
    confirming: Mutex<()>,
    peers: BTreeMap<String, Rc<Peer>>,
    replica: Rc<R>,
    ready: Cell<bool>,
    incoming: RefCell<HashMap<String, Vec<CancellationToken>>>,
    left: mpsc::UnboundedSender<String>,
}

impl<R: Replica + 'static> Members<R> {
    /// Listens for the other nodes, and joins them and fetches missing sessions in the background.
    ///
    /// # Returns
    /// The members, and a channel with the names of the nodes that become gone.
    ///
    /// # Errors
    /// When the port is in use, or the configuration names none.
    pub async fn join(
        config: &AppConfig,
        replica: Rc<R>,
    ) -> Result<(Rc<Self>, mpsc::UnboundedReceiver<String>), String> {
        let listener = listen(config.cluster_listen.ok_or("this strategy needs `cluster_listen`")?).await?;
        let (left, departures) = mpsc::unbounded_channel();
        let me: Rc<str> = config.name.as_str().into();
        let peer = |config: &PeerConfig| Peer {
            me: Rc::clone(&me),
            config: config.clone(),
            link: RefCell::default(),
            boot: Cell::default(),
            cut_off: Cell::default(),
        };
        let members = Rc::new(Self {
            boot: Cell::new(rand::random()),
            last_turn: Cell::new(Instant::now()),
            confirming: Mutex::default(),
            peers: config.peers.iter().map(|config| (config.name.clone(), Rc::new(peer(config)))).collect(),
            me,
            replica,
            ready: Cell::new(false),
            incoming: RefCell::default(),
            left,
        });
        let server = Rc::clone(&members);
        spawn_local(serve_each(listener, move |stream, _| Rc::clone(&server).serve(stream)));
        spawn_local(Rc::clone(&members).take_part());
        spawn_local(Rc::clone(&members).watch());
        Ok((members, departures))
    }

    /// Whether this node holds everything that it should.
    pub fn is_ready(&self) -> bool {
        self.ready.get()
    }

    /// The live nodes, without this one.
    pub fn live(&self) -> Vec<Rc<Peer>> {
        self.peers.values().filter(|peer| peer.is_live()).cloned().collect()
    }

    /// The names of the live nodes, without this one.
    pub fn names(&self) -> Vec<String> {
        self.live().iter().map(|peer| peer.config.name.clone()).collect()
    }

    /// Asks one node. If it does not answer, it counts as gone.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn ask(&self, peer: &str, message: &Bytes) -> Result<Bytes, Gone> {
        let peer = self.peers.get(peer).ok_or(Gone::Closed)?;
        let link = peer.link.borrow().clone();
        let answer = peer.ask(message).await;
        if let (Err(gone), Some(link)) = (&answer, link) {
            self.lose(peer, &link, *gone);
        }
        answer
    }

    /// Asks several nodes at once, and returns when each has answered or is gone.
    pub async fn ask_all(&self, peers: impl IntoIterator<Item = String>, message: &Bytes) {
        join_all(peers.into_iter().map(|peer| async move { self.ask(&peer, message).await })).await;
    }

    /// Sends to every live node, and does not wait.
    pub fn tell_all(&self, message: &Bytes) {
        self.live().iter().for_each(|peer| peer.send(message));
    }

    /// Returns once it is certain that the others have not cut this node off: at once, unless it was stalled. If it was
    /// cut off, it joins again before this returns.
    pub async fn confirm(&self) {
        if !self.was_stalled() {
            return;
        }
        let _one_at_a_time = self.confirming.lock().await;
        while self.was_stalled() {
            let began = Instant::now();
            let greetings = self.peers.values().map(|peer| timeout(STALL / 2, self.greet(peer)));
            let mut welcomes = join_all(greetings).await.into_iter().flatten().flatten();
            if welcomes.any(|welcome| welcome.cut_off) {
                self.start_anew().await;
                self.last_turn.set(Instant::now());
            } else {
                // If it was stalled again meanwhile, it asks once more.
                self.last_turn.set(began);
            }
        }
    }

    /// Whether this node was stalled for so long that others may have cut it off, and that an answer may be missing
    /// because of its own stall.
    fn was_stalled(&self) -> bool {
        self.last_turn.get().elapsed() >= STALL
    }

    /// Updates `last_turn` while this node runs. After a stall, only [`Self::confirm`] updates it.
    async fn watch(self: Rc<Self>) {
        loop {
            tokio::time::sleep(WATCH).await;
            if self.was_stalled() {
                self.confirm().await;
            } else {
                self.last_turn.set(Instant::now());
            }
        }
    }

    /// Joins, and then maintains the links until the process ends.
    async fn take_part(self: Rc<Self>) {
        self.catch_up().await;
        for peer in self.peers.values() {
            spawn_local(Rc::clone(&self).look_after(Rc::clone(peer)));
        }
    }

    async fn catch_up(&self) {
        join_all(self.peers.values().map(|peer| self.dial(peer))).await;
        for peer in self.live() {
            if self.replica.fetch(&peer).await == Ok(true) {
                break;
            }
        }
        self.replica.complete();
        self.ready.set(true);
    }

    async fn look_after(self: Rc<Self>, peer: Rc<Peer>) {
        loop {
            let link = peer.link.borrow().clone();
            let Some(link) = link else {
                if self.dial(&peer).await.is_some_and(|welcome| welcome.cut_off) {
                    self.start_anew().await;
                }
                tokio::time::sleep(RETRY).await;
                continue;
            };
            let gone = tokio::select! {
                () = link.closed() => Gone::Closed,
                () = tokio::time::sleep(HEARTBEAT) => match link.ask(&encode(&Envelope::Ping)).await {
                    Ok(_) => continue,
                    Err(gone) => gone,
                },
            };
            self.lose(&peer, &link, gone);
        }
    }

    /// Drops everything and joins again, because this node was cut off while it was running: what it holds may be
    /// stale, and others have replaced it.
    async fn start_anew(&self) {
        if !self.ready.replace(false) {
            return;
        }
        self.boot.set(rand::random());
        for peer in self.peers.values() {
            peer.link.borrow_mut().take();
            self.cut_incoming(&peer.config.name);
        }
        self.replica.forget();
        self.catch_up().await;
    }

    /// Greets a node. Links to it if it answers and has not cut this node off.
    async fn dial(&self, peer: &Peer) -> Option<Welcome> {
        let data = Link::connect(peer.config.address, &CLUSTER).await.ok()?;
        let welcome = self.greet(peer).await?;
        if welcome.cut_off {
            return Some(welcome);
        }
        peer.boot.set(Some(welcome.boot));
        peer.link.borrow_mut().get_or_insert_with(|| Rc::new(data));
        Some(welcome)
    }

    /// Says hello on its own connection, so that no other message waits behind it.
    async fn greet(&self, peer: &Peer) -> Option<Welcome> {
        let greeting = Link::connect(peer.config.address, &CLUSTER).await.ok()?;
        let hello = encode(&Envelope::Hello { from: self.me.to_string(), boot: self.boot.get() });
        decode(&greeting.ask(&hello).await.ok()?).ok()
    }

    fn lose(&self, peer: &Peer, link: &Rc<Link>, gone: Gone) {
        if gone == Gone::Silent && self.was_stalled() {
            return;
        }
        let is_current = peer.link.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, link));
        if is_current {
            peer.link.borrow_mut().take();
            let boot = peer.boot.take();
            if gone == Gone::Silent {
                peer.cut_off.set(boot);
            }
            self.cut_incoming(&peer.config.name);
            let _ = self.left.send(peer.config.name.clone());
        }
    }

    fn cut_incoming(&self, peer: &str) {
        for connection in self.incoming.borrow_mut().remove(peer).into_iter().flatten() {
            connection.cancel();
        }
    }

    async fn serve(self: Rc<Self>, stream: TcpStream) {
        let cut = CancellationToken::new();
        let is_known = Cell::new(false);
        let answer = async |frame: Bytes| match decode(&frame)? {
            Envelope::Hello { from, boot } => self.welcome(&from, boot).await.ok_or(Misunderstood),
            Envelope::Ping => Ok(Bytes::new()),
            Envelope::Data { from, message } => {
                if !self.peers.contains_key(&from) {
                    return Err(Misunderstood);
                }
                if !is_known.replace(true) {
                    self.incoming.borrow_mut().entry(from.clone()).or_default().push(cut.clone());
                }
                self.replica.receive(&from, &message)
            }
        };
        tokio::select! {
            () = link::serve(stream, &CLUSTER, answer) => {}
            () = cut.cancelled() => {}
        }
    }

    /// Answers a hello: links back to a node that joins.
    async fn welcome(&self, from: &str, boot: u64) -> Option<Bytes> {
        let peer = self.peers.get(from)?;
        let old = peer.link.borrow().clone().filter(|_| peer.boot.get().is_some_and(|known| known != boot));
        if let Some(old) = old {
            // The node restarted before this node noticed that it was gone.
            self.lose(peer, &old, Gone::Closed);
        }
        if peer.cut_off.get() == Some(boot) {
            return Some(encode(&Welcome { cut_off: true, boot: self.boot.get() }));
        }
        if !peer.is_live() {
            let link = Link::connect(peer.config.address, &CLUSTER).await.ok()?;
            peer.link.borrow_mut().get_or_insert_with(|| Rc::new(link));
        }
        peer.boot.set(Some(boot));
        // Links keep the order: once these pings are answered, everything sent before them has arrived.
        let others: Vec<Rc<Link>> = self
            .live()
            .iter()
            .filter(|other| other.config.name != from)
            .filter_map(|other| other.link.borrow().clone())
            .collect();
        join_all(others.iter().map(|link| async { link.ask(&encode(&Envelope::Ping)).await })).await;
        Some(encode(&Welcome { cut_off: false, boot: self.boot.get() }))
    }
}
