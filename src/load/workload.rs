//! The traffic of a trial: plain data that driver and agent exchange.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Closed, Lifetime, LoadModel, Popularity, Protocol, Share, ThinkTime};
use crate::history::Owners;
use crate::mapping::MappedSessions;

/// The kind of user population.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Population {
    /// This number of users all the time: a user that has logged out logs in again.
    Fixed(u32),
    /// Sessions arrive when the load model says, each with its own user, which leaves for good.
    Arriving,
}

/// The treatment of operations for which the system is too slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overload {
    /// They wait, and the wait counts in the response time.
    #[default]
    Queue,
    /// An operation that has waited for this many nanoseconds is dropped and counted.
    Shed(u64),
}

/// How users share connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connections {
    /// Each session keeps its own connections, as a browser does.
    #[default]
    PerSession,
    /// Each request makes its own connection.
    PerRequest,
    /// All users share this many connections, as behind a gateway.
    Pooled(u32),
}

/// How a thread waits for the next start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pacing {
    /// The thread sleeps until the instant; on a virtual machine it may wake up late.
    #[default]
    Sleep,
    /// Shortly before the instant, the thread polls the clock and the sockets all the time, which takes a whole core.
    /// Kernel timestamps show when replies arrived, because the thread reads no sockets just before a start.
    Spin,
    /// The thread wakes up at most every 0.8 ms while replies are awaited, and starts every operation that is due. This
    /// takes the least CPU. Response times include the lag of starts, and kernel timestamps show when replies arrived.
    /// Only for schedules: in a closed load, a user would wait for the tick before its next request.
    Tick,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The addresses that accept requests. Each user has one of them, and changes to the next if it cannot be reached.
    pub endpoints: Vec<SocketAddr>,
    /// The protocol of requests.
    #[serde(default)]
    pub protocol: Protocol,
    /// The host as requests name it, with the port if it is not the protocol's default.
    pub host: String,
}

/// The virtual users, and how they act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Users {
    /// How many there are.
    pub population: Population,
    /// How many operations of one session start at the same instant.
    pub at_once: u32,
    /// The share of reads, 0 to 1.
    pub read_share: f64,
    /// How unequally they are active.
    pub popularity: Popularity,
    /// Client addresses, assigned to users in turn; if empty, all users have the agent's own address.
    pub addresses: Vec<IpAddr>,
    /// How they share connections.
    pub connections: Connections,
}

/// The payload and the lifetime of each session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSettings {
    /// Payload of a session, in addition to its state.
    pub payload_bytes: u32,
    /// The part of the payload that a write changes.
    pub write_bytes: u32,
    /// When the user logs out; `None`: never.
    pub lifetime: Option<Lifetime>,
    /// What users do around the log-in and the log-out.
    #[serde(default)]
    pub transitions: Transitions,
}

/// What users do around the log-in and the log-out, beside logging in and out.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that users do or do not")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transitions {
    /// How long the app waits between loading and saving a session, in a request that another one overtakes: the one in
    /// flight at a log-in or log-out.
    pub hold_ms: u32,
    /// Whether every read and write is held as long, because several of a session run at once.
    pub holds_all: bool,
    /// Whether a request of the session is in flight when its user logs out.
    pub log_out_while_busy: bool,
    /// Whether users first have a visitor's session, and log in while a request of it is in flight.
    pub anonymous_first: bool,
    /// Whether every second session begins with an id that its user made up.
    pub made_up_ids: bool,
    /// Whether each session gets another id in its middle, while a request of it is in flight.
    #[serde(default)]
    pub rotate_ids: bool,
    /// How long after a change of the id the one from before may still lead to the session, in nanoseconds.
    pub old_id_grace_ns: u64,
    /// How long users pause, where sessions end by themselves.
    #[serde(default)]
    pub pauses: Option<Pauses>,
    /// Whose users are devices of one owner.
    #[serde(default)]
    pub owners: Owners,
}

/// How long a user pauses instead of logging out, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    /// Shorter than a session lasts; as often as it takes that only reads have kept the session for longer than it lasts.
    pub short_ns: u64,
    /// How many of these there are.
    pub short_count: u32,
    /// Longer than a session lasts.
    pub long_ns: u64,
}

impl Pauses {
    /// The pauses that show whether sessions end in time: `after_ns` after their last request, give or take `tolerance_ns`.
    #[must_use]
    pub fn of(after_ns: u64, tolerance_ns: u64) -> Self {
        let short_ns = after_ns.saturating_sub(2 * tolerance_ns).max(1);
        // One more than fit into the time after which a session ends, for those who count from the last write.
        let short_count = u32::try_from(after_ns.saturating_add(tolerance_ns) / short_ns + 1).unwrap_or(u32::MAX);
        Self { short_ns, short_count, long_ns: after_ns.saturating_add(2 * tolerance_ns) }
    }

    /// How long they are together.
    #[must_use]
    pub const fn total_ns(self) -> u64 {
        self.short_ns.saturating_mul(self.short_count as u64).saturating_add(self.long_ns)
    }
}

impl Transitions {
    /// How long after the held request the one that overtakes it is sent, in nanoseconds: half of the time for which it is held,
    /// so that the app has loaded the session and has not yet saved it.
    #[must_use]
    pub const fn overtakes_after_ns(self) -> u64 {
        self.hold_ms as u64 * 500_000
    }
}

/// When operations start and when they time out. All times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// When operations start.
    pub model: LoadModel,
    /// Think time of sessions that arrive.
    pub think: ThinkTime,
    /// Length of the warm-up, in which the load has its first rate.
    pub warm_up_ns: u64,
    /// Length of the load after the warm-up.
    pub length_ns: u64,
    /// Time from the start of an operation to its timeout.
    pub timeout_ns: u64,
    /// The treatment of operations for which the system is too slow.
    pub overload: Overload,
}

impl Timing {
    /// When the last operation may start.
    #[must_use]
    pub const fn end_ns(&self) -> u64 {
        self.warm_up_ns.saturating_add(self.length_ns)
    }
}

/// The threads of the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generator {
    /// How many threads send requests.
    pub threads: u32,
    /// How they wait for the next start.
    pub pacing: Pacing,
}

/// The traffic of one trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Where requests go.
    pub destination: Destination,
    /// The users that send them.
    pub users: Users,
    /// The payload and the lifetime of their sessions.
    pub sessions: SessionSettings,
    /// When operations start and time out.
    pub timing: Timing,
    /// The threads that send them.
    pub generator: Generator,
    /// The part of the users that these threads are.
    #[serde(default)]
    pub share: Share,
    /// Seed of all random choices.
    pub seed: u64,
    /// How the app's sessions are used; none where it speaks the session contract.
    #[serde(default)]
    pub mapped: Option<Box<MappedSessions>>,
}

impl Workload {
    /// One user of the session contract in a closed loop without think time, which lasts no time yet: what others differ from.
    #[must_use]
    pub fn of_one_user(destination: Destination) -> Self {
        Self {
            destination,
            users: Users {
                population: Population::Fixed(1),
                at_once: 1,
                read_share: 0.5,
                popularity: Popularity::Uniform,
                addresses: Vec::new(),
                connections: Connections::PerSession,
            },
            sessions: SessionSettings {
                payload_bytes: 0,
                write_bytes: 0,
                lifetime: None,
                transitions: Transitions::default(),
            },
            timing: Timing {
                model: LoadModel::Closed(Closed { think: ThinkTime::default() }),
                think: ThinkTime::default(),
                warm_up_ns: 0,
                length_ns: 0,
                timeout_ns: 10_000_000_000,
                overload: Overload::Queue,
            },
            generator: Generator { threads: 1, pacing: Pacing::Sleep },
            share: Share::default(),
            seed: 1,
            mapped: None,
        }
    }
}

/// How the engine waits until states do not change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settle {
    /// Pause between two rounds, in nanoseconds.
    pub pause_ns: u64,
    /// No further round starts after this many nanoseconds.
    pub limit_ns: u64,
}
