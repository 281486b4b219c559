//! Dispatches each call to the strategy that a node runs. Only this module knows all strategies.

use std::rc::Rc;

use super::client_side::ClientSide;
use super::defective::Defective;
use super::local::Local;
use super::outcome::{Found, Refused, Roles};
use super::primary_backup::PrimaryBackup;
use super::replicate_all::ReplicateAll;
use super::session::{Session, Update, expire, hold};
use super::store::Stored;
use crate::reference::config::{AppConfig, Defect, StrategyName};

/// The sessions of a node under its strategy.
pub enum Sessions {
    /// In this node's memory.
    Local(Local),
    /// In this node's memory, with a defect.
    Defective(Defective),
    /// In every node's memory.
    ReplicateAll(ReplicateAll),
    /// In one node's memory and a backup's.
    PrimaryBackup(Rc<PrimaryBackup>),
    /// In a store.
    Stored(Stored),
    /// In the client's cookie.
    ClientSide(ClientSide),
}

impl Sessions {
    /// Starts what the strategy needs. The node can serve once [`Self::is_ready`] returns `true`.
    ///
    /// # Errors
    /// When its port is in use, its configuration lacks what the strategy needs, or its store does not answer.
    pub async fn start(config: &AppConfig) -> Result<Self, String> {
        Ok(match config.strategy {
            StrategyName::Local if config.defect != Defect::None => Self::Defective(Defective::new(config.defect)),
            StrategyName::Local => Self::Local(Local::default()),
            StrategyName::ReplicateAll => Self::ReplicateAll(ReplicateAll::start(config).await?),
            StrategyName::PrimaryBackup => Self::PrimaryBackup(PrimaryBackup::start(config).await?),
            StrategyName::Store => Self::Stored(Stored::start(config).await?),
            StrategyName::ClientSide => Self::ClientSide(ClientSide),
        })
    }

    /// Creates a session, and ends the one that `cookie` names.
    ///
    /// # Errors
    /// When it cannot be saved.
    pub async fn create(&self, cookie: Option<&str>, owner: String, payload_bytes: usize) -> Result<Found, Refused> {
        if let Some(cookie) = cookie {
            let _ = self.end(cookie).await;
        }
        let session = Session::create(owner, payload_bytes);
        match self {
            Self::Defective(defective) => Ok(defective.create(cookie, session)),
            _ => self.keep(session).await,
        }
    }

    /// Makes a session its user's own, under a new id: the one from before must not lead to it, because somebody else may know
    /// that.
    ///
    /// # Errors
    /// When there is none, or no node or store that holds it can be reached.
    pub async fn log_in(&self, cookie: &str, owner: String) -> Result<Found, Refused> {
        if let Self::Defective(defective) = self {
            return defective.log_in(cookie, owner);
        }
        let found = self.keep(Session { owner, ..self.read(cookie).await? }).await?;
        match self.end(cookie).await {
            Ok(()) | Err(Refused::Unknown) => Ok(found),
            Err(refused) => Err(refused),
        }
    }

    /// Keeps a session under a new id.
    async fn keep(&self, session: Session) -> Result<Found, Refused> {
        match self {
            Self::Local(local) => Ok(local.create(session)),
            Self::Defective(defective) => Ok(defective.create(None, session)),
            Self::ReplicateAll(replicated) => Ok(replicated.create(session).await),
            Self::PrimaryBackup(replicated) => Ok(replicated.create(session).await),
            Self::Stored(stored) => stored.create(session).await,
            Self::ClientSide(client_side) => client_side.create(session),
        }
    }

    /// Applies an operation to a session.
    ///
    /// # Errors
    /// When there is none, or no node or store that holds it can be reached.
    pub async fn append(&self, cookie: &str, update: &Update) -> Result<Found, Refused> {
        self.use_in_time(cookie).await?;
        if let (1.., Self::Defective(defective)) = (update.hold_ms, self) {
            let loaded = defective.read(cookie)?;
            hold(update.hold_ms).await;
            defective.save(cookie, loaded);
        } else if update.hold_ms > 0 && !matches!(self, Self::Stored(_)) {
            // What it loads is what it changes, because the requests of one session take turns on a node.
            self.read(cookie).await?;
            hold(update.hold_ms).await;
        }
        match self {
            Self::Local(local) => local.append(cookie, update),
            Self::Defective(defective) => defective.append(cookie, update).inspect(|_| defective.touch(cookie, true)),
            Self::ReplicateAll(replicated) => replicated.append(cookie, update).await,
            Self::PrimaryBackup(replicated) => replicated.append(cookie, update).await,
            Self::Stored(stored) => stored.append(cookie, update).await,
            Self::ClientSide(client_side) => client_side.append(cookie, update),
        }
    }

    /// Reads a session.
    ///
    /// # Errors
    /// When there is none, or no node or store that holds it can be reached.
    pub async fn read(&self, cookie: &str) -> Result<Session, Refused> {
        let session = self.load(cookie).await?;
        if !expire() {
            return Ok(session);
        }
        let never_ends = matches!(self, Self::Defective(defective) if defective.never_expires());
        if session.has_expired() && !never_ends {
            self.remove(cookie).await?;
            return Err(Refused::Unknown);
        }
        match self {
            Self::Local(local) => local.touch(cookie),
            Self::Defective(defective) => defective.touch(cookie, false),
            Self::ReplicateAll(replicated) => replicated.touch(cookie).await,
            Self::PrimaryBackup(replicated) => replicated.touch(cookie),
            // The store does it whenever it is asked; a cookie is new with each reply.
            Self::Stored(_) | Self::ClientSide(_) => {}
        }
        Ok(session)
    }

    async fn load(&self, cookie: &str) -> Result<Session, Refused> {
        match self {
            Self::Local(local) => local.read(cookie),
            Self::Defective(defective) => defective.read(cookie),
            Self::ReplicateAll(replicated) => replicated.read(cookie),
            Self::PrimaryBackup(replicated) => replicated.read(cookie).await,
            Self::Stored(stored) => stored.read(cookie).await,
            Self::ClientSide(client_side) => client_side.read(cookie),
        }
    }

    /// Reads a session, and answers some time after it was loaded.
    ///
    /// # Errors
    /// When there is none, or no node or store that holds it can be reached.
    pub async fn read_held(&self, cookie: &str, hold_ms: u64) -> Result<Found, Refused> {
        let session = self.read(cookie).await?;
        if hold_ms > 0 {
            hold(hold_ms).await;
            if let Self::Defective(defective) = self {
                defective.save(cookie, session.clone());
            }
        }
        if let (true, Self::ClientSide(client_side)) = (expire(), self) {
            return client_side.touch(session);
        }
        let sets_again = matches!(self, Self::Defective(defective) if defective.sets_cookies_again());
        Ok(Found { session, cookie: sets_again.then(|| cookie.to_owned()) })
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When there is none, or no node or store that holds it can be reached.
    pub async fn end(&self, cookie: &str) -> Result<(), Refused> {
        self.use_in_time(cookie).await?;
        self.remove(cookie).await
    }

    /// Refuses a session whose time is over; a request that comes in time is a use.
    async fn use_in_time(&self, cookie: &str) -> Result<(), Refused> {
        match self {
            _ if !expire() => Ok(()),
            // A read could be struck by the defect.
            Self::Defective(defective) => defective.use_in_time(cookie),
            _ => self.read(cookie).await.map(drop),
        }
    }

    async fn remove(&self, cookie: &str) -> Result<(), Refused> {
        match self {
            Self::Local(local) => local.end(cookie),
            Self::Defective(defective) => defective.end(cookie),
            Self::ReplicateAll(replicated) => replicated.end(cookie).await,
            Self::PrimaryBackup(replicated) => replicated.end(cookie).await,
            Self::Stored(stored) => stored.end(cookie).await,
            Self::ClientSide(client_side) => client_side.read(cookie).map(drop),
        }
    }

    /// The other members that this node sees.
    pub fn members(&self) -> Vec<String> {
        match self {
            Self::ReplicateAll(replicated) => replicated.members.names(),
            Self::PrimaryBackup(replicated) => replicated.members.names(),
            Self::Local(_) | Self::Defective(_) | Self::Stored(_) | Self::ClientSide(_) => Vec::new(),
        }
    }

    /// Returns once it is certain that the other nodes have not cut this node off, or it has joined again.
    pub async fn confirm(&self) {
        match self {
            Self::ReplicateAll(replicated) => replicated.members.confirm().await,
            Self::PrimaryBackup(replicated) => replicated.members.confirm().await,
            Self::Local(_) | Self::Defective(_) | Self::Stored(_) | Self::ClientSide(_) => {}
        }
    }

    /// Whether this node can serve: `false` while it fetches sessions.
    pub fn is_ready(&self) -> bool {
        match self {
            Self::ReplicateAll(replicated) => replicated.members.is_ready(),
            Self::PrimaryBackup(replicated) => replicated.members.is_ready(),
            Self::Local(_) | Self::Defective(_) | Self::Stored(_) | Self::ClientSide(_) => true,
        }
    }

    /// How many sessions this node holds, by role.
    pub fn roles(&self) -> Roles {
        match self {
            Self::Local(local) => local.roles(),
            Self::Defective(defective) => defective.roles(),
            Self::ReplicateAll(replicated) => replicated.roles(),
            Self::PrimaryBackup(replicated) => replicated.roles(),
            Self::Stored(_) | Self::ClientSide(_) => Roles::default(),
        }
    }
}
