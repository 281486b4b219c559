//! What the traffic is to be, beside its starts: plain data, which driver and agent exchange.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Lifetime, LoadModel, Popularity, ThinkTime};

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

/// What requests are spoken in. Without TLS and HTTP/2 it is HTTP/1.1 over the engine's own sockets, the cheapest; with
/// either it is an HTTP library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// Over TLS, and whose certificates are believed.
    pub tls: Option<Trust>,
    /// HTTP/2; without TLS by prior knowledge.
    pub is_http2: bool,
}

/// A protocol by the word that target files use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProtocolName {
    /// HTTP/1.1.
    #[default]
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2 over TLS.
    Http2,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

impl fmt::Display for ProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Http2 => "http2",
            Self::H2c => "h2c",
        })
    }
}

impl ProtocolName {
    /// Whether it is over TLS.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Http2)
    }

    /// With a server whose certificate nobody has to believe.
    #[must_use]
    pub fn between_containers(self) -> Protocol {
        Protocol {
            tls: self.is_tls().then_some(Trust::AnyCertificate),
            is_http2: matches!(self, Self::Http2 | Self::H2c),
        }
    }
}

impl Protocol {
    /// Whether it is HTTP/1.1 without TLS.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.tls.is_none() && !self.is_http2
    }
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Any: between containers, or because the user says so.
    AnyCertificate,
    /// Those that the system believes.
    System,
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
    /// takes the least of a core; that starts are late counts in response times, and when replies came is the kernel's
    /// word. For schedules alone: who asks again when it is answered would wait for the tick.
    Tick,
}

/// The traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Where requests are sent. Of several, each user has one, and turns to the next where that cannot be reached.
    pub endpoints: Vec<SocketAddr>,
    /// What they are spoken in.
    #[serde(default)]
    pub protocol: Protocol,
    /// The host, and the port where it is not the usual one, as requests name it.
    pub host: String,
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
}

/// How it is found out that states do not change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settle {
    /// Between two rounds, in nanoseconds.
    pub pause_ns: u64,
    /// After so many nanoseconds no further round is made.
    pub limit_ns: u64,
}
