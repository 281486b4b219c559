//! What the traffic is to be, beside its starts: plain data, which driver and agent exchange.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Lifetime, LoadModel, Popularity, Protocol, ThinkTime};

/// Who the users are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Population {
    /// So many all the time: a user that has logged out logs in again.
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
    /// An operation that has waited for so many nanoseconds is dropped and counted.
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

/// How starts are waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pacing {
    /// The thread sleeps until the instant; on a virtual machine it may wake up late.
    #[default]
    Sleep,
    /// It asks the clock and the sockets over and over shortly before, and takes a whole core for it.
    /// Kernel timestamps say when replies came, because just before a start it does not look.
    Spin,
    /// The thread wakes up at most each 0.8 ms while replies are awaited, and starts what is due since. It
    /// takes the least of a core. Response times include that starts are late, and kernel timestamps say when replies came.
    /// For schedules alone: a closed user would wait for the tick before its next request.
    Tick,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The addresses that take them. Of several, each user has one, and turns to the next where that cannot be reached.
    pub endpoints: Vec<SocketAddr>,
    /// What they are spoken in.
    #[serde(default)]
    pub protocol: Protocol,
    /// The host, and the port where it is not the protocol's own, as requests name it.
    pub host: String,
}

/// The virtual users, and what they do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Users {
    /// How many there are.
    pub population: Population,
    /// How many operations of one session start at the same instant.
    pub at_once: u32,
    /// The share of reads.
    pub read_share: f64,
    /// How unequally they are active.
    pub popularity: Popularity,
    /// Their addresses, dealt out in turn; none: the agent's own for all.
    pub addresses: Vec<IpAddr>,
    /// How they share connections.
    pub connections: Connections,
}

/// What each session is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSettings {
    /// What it holds beside its state.
    pub payload_bytes: u32,
    /// How much of that a write changes.
    pub write_bytes: u32,
    /// When it is logged out; never without.
    pub lifetime: Option<Lifetime>,
}

/// When operations start and when they are given up. All times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// When operations start.
    pub model: LoadModel,
    /// Of sessions that arrive: how they go on.
    pub think: ThinkTime,
    /// Before this the load has its first rate.
    pub warm_up_ns: u64,
    /// How long operations are started after that.
    pub length_ns: u64,
    /// When an operation is given up, after it began.
    pub timeout_ns: u64,
    /// What happens to operations that the system is too slow for.
    pub overload: Overload,
}

impl Timing {
    /// When the last operation may start.
    #[must_use]
    pub const fn end_ns(&self) -> u64 {
        self.warm_up_ns.saturating_add(self.length_ns)
    }
}

/// What the generator takes of its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generator {
    /// How many threads fire.
    pub threads: u32,
    /// How they wait for the next start.
    pub pacing: Pacing,
}

/// The traffic of one trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Where requests go.
    pub destination: Destination,
    /// Who sends them.
    pub users: Users,
    /// What their sessions are like.
    pub sessions: SessionSettings,
    /// When.
    pub timing: Timing,
    /// What fires.
    pub generator: Generator,
    /// What the choices are drawn from.
    pub seed: u64,
}

/// How it is found out that states do not change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settle {
    /// Between two rounds, in nanoseconds.
    pub pause_ns: u64,
    /// After so many nanoseconds no further round is made.
    pub limit_ns: u64,
}
