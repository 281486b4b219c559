//! What a reference node is told: a TOML file rendered from `docker/reference-*/node.toml.j2`.

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

/// When a reply may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replication {
    /// After every copy is acknowledged.
    Synchronous,
    /// At once.
    Asynchronous,
}

/// What an app node does wrong, as a negative control.
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
    /// Shows an update whose reply it withheld to one read, and not to the next.
    GoesBack,
    /// Acknowledges an update and keeps nothing of it.
    DropsUpdates,
    /// Applies an update twice.
    AppliesTwice,
    /// Refuses an update and applies it.
    AppliesRefused,
    /// Answers with the last two operations in the other order.
    Forks,
    /// Acknowledges a log-out and keeps the session.
    RevivesSessions,
    /// Ends a session at its log-out for those who read, and not for those who write.
    RevivesOnWrite,
    /// Shows a session without what was put there beside its state.
    LosesPayloads,
    /// Shows a digest that is right and an operation that was never sent.
    MakesUpTails,
    /// Answers with a fresh session that nobody owns, and keeps it.
    AnswersAnonymously,
    /// Forgets a session and says so in words that the contract does not have.
    AnswersOffContract,
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
    /// What it does wrong; only where it keeps sessions in its own memory.
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
}

/// How a balancer chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// By turns.
    RoundRobin,
    /// By the client's address, over the nodes that are up.
    Source,
    /// By the client's address, so that only a dead node's clients move.
    Consistent,
}

/// Whether a client is led back to the node that it met first.
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
    /// How it chooses.
    pub balance: Balance,
    /// Whether it sticks.
    pub sticky: Sticky,
    /// The app nodes.
    pub apps: Vec<PeerConfig>,
}

/// What survives a store's crash.
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
    /// What survives its crash.
    pub durability: Durability,
}

/// Reads a configuration.
///
/// # Errors
/// Names line and key.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, toml::de::Error> {
    toml::from_str(text)
}
