//! The configuration of a reference node: a TOML file rendered from `docker/reference-*/node.toml.j2`.

use std::net::SocketAddrV4;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Another node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddrV4,
}

/// Where an app node keeps sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StrategyName {
    /// In its own memory.
    Local,
    /// In the memory of every node.
    ReplicateAll,
    /// In its own memory and a backup's.
    PrimaryBackup,
    /// In a store.
    Store,
    /// In the client's cookie.
    ClientSide,
}

/// When the reply to a change is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replication {
    /// After every copy is acknowledged.
    Synchronous,
    /// At once.
    Asynchronous,
}

/// The defect of an app node that is a negative control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defect {
    /// Nothing.
    #[default]
    None,
    /// Forgets a session.
    LosesSessions,
    /// Answers with another user's session.
    SwapsSessions,
    /// Answers reads from a copy that lags behind.
    StaleReads,
    /// Answers an update with 503 and applies it; the next read shows it, and the one after does not.
    GoesBack,
    /// Acknowledges an update and drops it.
    DropsUpdates,
    /// Applies an update twice.
    AppliesTwice,
    /// Refuses an update and applies it.
    AppliesRefused,
    /// Answers with the last two operations in reverse order.
    Forks,
    /// Acknowledges a log-out and keeps the session.
    RevivesSessions,
    /// After a log-out, answers reads with `unknown-session` and still applies writes.
    RevivesOnWrite,
    /// Saves a session that was logged out while a request of it was in flight.
    RevivesInFlight,
    /// Sets the cookie of a request again in each reply, however late it is.
    ResendsCookies,
    /// After the log-in the id from before leads to the session, too.
    KeepsOldIds,
    /// Gives a session the id that its user made up.
    AdoptsIds,
    /// Ends the sessions of an owner's other devices when the owner logs in on one.
    EndsOtherDevices,
    /// Keeps sessions that nobody uses.
    NeverExpires,
    /// Takes only writes for a use of a session.
    ExpiresReaders,
    /// Shows a session with only half of its payload.
    LosesPayloads,
    /// Shows a correct digest, but in the tail an operation that was never sent.
    MakesUpTails,
    /// Replaces a session with a fresh one that has no owner.
    AnswersAnonymously,
    /// Forgets a session and answers with a status that the contract does not have.
    AnswersOffContract,
}

/// What an app node serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Face {
    /// The session contract.
    #[default]
    Contract,
    /// A shop with a log-in form and a cart, for session mappings.
    Shop,
}

/// An app node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppConfig {
    /// Its name.
    pub name: String,
    /// Where it serves HTTP.
    pub listen: SocketAddrV4,
    /// Where it keeps sessions.
    pub strategy: StrategyName,
    /// What it serves.
    #[serde(default)]
    pub face: Face,
    /// Its defect; only with the strategy `local`.
    #[serde(default)]
    pub defect: Defect,
    /// For `replicate-all`.
    pub replication: Replication,
    /// Where it listens for the other app nodes, if they form a cluster.
    pub cluster_listen: Option<SocketAddrV4>,
    /// The other app nodes, if they form a cluster.
    #[serde(default)]
    pub peers: Vec<PeerConfig>,
    /// The store, if there is one.
    pub store: Option<SocketAddrV4>,
    /// After how many milliseconds without a request a session ends; 0: never.
    #[serde(default)]
    pub expires_after_ms: u64,
}

/// How a balancer chooses an app node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// Each node in turn.
    RoundRobin,
    /// By the client's address, over the nodes that are up.
    Source,
    /// By consistent hashing of the client's address: only the clients of a dead node move.
    Consistent,
}

/// Whether a client stays with the node that served it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sticky {
    /// No.
    None,
    /// By a cookie that the balancer adds.
    Cookie,
}

/// A balancer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BalancerConfig {
    /// Its name.
    pub name: String,
    /// Where it serves HTTP.
    pub listen: SocketAddrV4,
    /// How it chooses an app node.
    pub balance: Balance,
    /// Whether clients stay with a node.
    pub sticky: Sticky,
    /// The app nodes.
    pub apps: Vec<PeerConfig>,
}

/// Which data survive a crash of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Nothing.
    None,
    /// Everything: each change is appended to a file first.
    AppendOnly,
}

/// A store.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Where it listens.
    pub listen: SocketAddrV4,
    /// Which data survive its crash.
    pub durability: Durability,
    /// After how many milliseconds without a request a session ends; 0: never.
    #[serde(default)]
    pub expires_after_ms: u64,
}

/// Reads a configuration.
///
/// # Errors
/// When the text is invalid; the error names line and key.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, toml::de::Error> {
    toml::from_str(text)
}
