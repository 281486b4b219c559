//! What the traffic is to be, beside its starts: plain data, which driver and agent exchange.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{LoadModel, Popularity, ThinkTime};

/// Who the users are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Population {
    /// So many all the time: who logs out logs in again.
    Fixed(u32),
    /// The load model says when sessions arrive, each with a user of its own that leaves for good.
    Arriving,
}

/// What happens to operations that the system is too slow for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overload {
    /// They wait, and the wait counts in the response time.
    #[default]
    Queue,
    /// Who has waited for so many nanoseconds is dropped and counted.
    Shed(u64),
}

/// How users share connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connections {
    /// Each session keeps its own, as a browser does.
    #[default]
    PerSession,
    /// Each request makes its own.
    PerRequest,
    /// All share so many, as behind a gateway.
    Pooled(u32),
}

/// When a session ends by its user's will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifetime {
    /// After so many operations.
    Operations(u32),
    /// After so many nanoseconds.
    Time(u64),
}

/// How starts are waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pacing {
    /// The thread sleeps until the instant; on a virtual machine it may wake up late.
    #[default]
    Sleep,
    /// It asks the clock and the sockets over and over shortly before, and takes a whole core for it.
    Spin,
}

/// The traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Where requests are sent.
    pub entrance: SocketAddr,
    /// The virtual users.
    pub population: Population,
    /// What each session holds beside its state.
    pub payload_bytes: u32,
    /// How much of it a write changes.
    pub write_bytes: u32,
    /// The share of reads.
    pub read_share: f64,
    /// When a session is logged out; never without.
    pub lifetime: Option<Lifetime>,
    /// How many operations of one session start at the same instant.
    pub at_once: u32,
    /// How unequally users are active.
    pub popularity: Popularity,
    /// The sessions' addresses, dealt out in turn; none: the agent's own for all.
    pub addresses: Vec<IpAddr>,
    /// How users share connections.
    pub connections: Connections,
    /// When operations start.
    pub load: LoadModel,
    /// Of sessions that arrive: how they go on.
    pub think: ThinkTime,
    /// Before this the load has its first rate, in nanoseconds.
    pub warm_up_ns: u64,
    /// How long operations are started after that, in nanoseconds.
    pub length_ns: u64,
    /// When an operation is given up, in nanoseconds after it began.
    pub timeout_ns: u64,
    /// What happens to operations that the system is too slow for.
    pub overload: Overload,
    /// How starts are waited for.
    pub pacing: Pacing,
    /// How many threads fire.
    pub threads: u32,
    /// What the choices are drawn from.
    pub seed: u64,
    /// The app nodes, which are asked themselves in the end.
    pub nodes: Vec<SocketAddr>,
}
