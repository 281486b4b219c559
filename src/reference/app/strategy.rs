//! Dispatches each call to the strategy that a node runs. Only this module knows all strategies.

use std::rc::Rc;

use super::client_side::ClientSide;
use super::defective::Defective;
use super::local::Local;
use super::outcome::{Found, Refused, Roles};
use super::primary_backup::PrimaryBackup;
use super::replicate_all::ReplicateAll;
use super::session::{Session, Update};
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
            Self::Local(local) => Ok(local.create(session)),
            Self::Defective(defective) => Ok(defective.create(session)),
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
        match self {
            Self::Local(local) => local.append(cookie, update),
            Self::Defective(defective) => defective.append(cookie, update),
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
        match self {
            Self::Local(local) => local.read(cookie),
            Self::Defective(defective) => defective.read(cookie),
            Self::ReplicateAll(replicated) => replicated.read(cookie),
            Self::PrimaryBackup(replicated) => replicated.read(cookie).await,
            Self::Stored(stored) => stored.read(cookie).await,
            Self::ClientSide(client_side) => client_side.read(cookie),
        }
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When there is none, or no node or store that holds it can be reached.
    pub async fn end(&self, cookie: &str) -> Result<(), Refused> {
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
