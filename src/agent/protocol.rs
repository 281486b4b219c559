//! The protocol between driver and agent: one JSON object per line, commands to the agent and messages from it. Only
//! the history differs: its raw bytes follow a line that says how many there are.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::history::{GeneratorHealth, Settled};
use crate::load::{Settle, Workload};
use crate::traffic::Summary;

/// A command to the agent. Commands run concurrently: the agent answers probes during the load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Command {
    /// Send one GET request; answered with [`Message::Probed`], even if there is no reply.
    Probe {
        /// Repeated in the answer.
        id: u64,
        /// The URL to get.
        url: String,
        /// Timeout in milliseconds.
        timeout_ms: u64,
    },
    /// Check each node against the session contract; answered with [`Message::PreflightDone`].
    Preflight {
        /// The app nodes that run: name and address.
        nodes: BTreeMap<String, SocketAddr>,
        /// The load that follows.
        workload: Box<Workload>,
    },
    /// Walk once through the session mapping of a workload; answered with [`Message::Walked`].
    Walk {
        /// Where to ask: an endpoint or a node.
        address: SocketAddr,
        /// The workload with the mapping.
        workload: Box<Workload>,
    },
    /// Register the users of a workload's mapping; answered with [`Message::Registered`].
    Register(Box<Workload>),
    /// Tell the time; answered with [`Message::Time`].
    TellTime,
    /// Prepare the traffic; answered with [`Message::Prepared`].
    Load(Box<Workload>),
    /// Start the prepared traffic.
    Start {
        /// At which time of the agent's clock, in nanoseconds since 1970; `None`: now.
        unix_ns: Option<u64>,
    },
    /// Wait until states have settled, then read every session through the balancer and from each node.
    FinalRead {
        /// The app nodes that run: name and address.
        nodes: BTreeMap<String, SocketAddr>,
        /// When states count as settled.
        settle: Settle,
    },
    /// Send the history: all operations so far.
    History,
}

/// A message from the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Message {
    /// The agent accepts commands.
    Ready,
    /// The agent is running. Sent every 2 s, except while it sends a history.
    Alive,
    /// The answer to a probe.
    Probed {
        /// The id of the probe.
        id: u64,
        /// The status of the reply; `None` if there was no complete reply.
        status: Option<u16>,
        /// The body, or why there was no reply.
        text: String,
    },
    /// Every node was checked.
    PreflightDone {
        /// One message per node that deviates from the contract.
        failures: Vec<String>,
    },
    /// Every user was registered.
    Registered {
        /// The first failure, if one was not.
        failure: Option<String>,
    },
    /// The mapping was walked through.
    Walked(Walk),
    /// The time of the agent's clock.
    Time {
        /// In nanoseconds since 1970.
        unix_ns: u64,
    },
    /// The traffic can start at once.
    Prepared,
    /// The traffic has started.
    Started {
        /// The wall clock at the start of the load, in nanoseconds since 1970: as ordered, or later.
        unix_ns: u64,
    },
    /// The figures of about the last second.
    Summary(Summary),
    /// Every operation of the load has ended.
    LoadDone(GeneratorHealth),
    /// Every session has been read.
    FinalReadDone {
        /// How many sessions there were to read.
        sessions: u32,
        /// How many of them gave no complete reply, after all tries.
        unanswered: u32,
        /// How long states changed before that.
        settled: Settled,
    },
    /// The history file follows this line.
    History {
        /// Its length in bytes.
        bytes: u64,
    },
    /// A command failed.
    Failed {
        /// The reason.
        reason: String,
    },
}

/// A request and its reply, in short. Values of accounts do not stand in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Such as `login` or `read, made-up cookie`.
    pub operation: String,
    /// Which step of it, counted from 1.
    pub step: usize,
    /// Method and path.
    pub request: String,
    /// Status, and where it leads.
    pub reply: String,
    /// The beginning of the body.
    pub body: String,
    /// The node that answered, if the mapping says where it stands.
    pub node: Option<String>,
    /// What was captured: names and the beginnings of their values.
    pub captured: Vec<(String, String)>,
}

/// What came of a walk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// All requests, in their order.
    pub exchanges: Vec<Exchange>,
    /// The first thing that is not as the mapping says, and what to do; none where all is.
    pub failure: Option<String>,
}
