//! What driver and agent say to each other: one JSON object a line, commands in, messages out. Only the
//! history is different: its line says how many bytes follow.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};

use crate::load::LoadModel;

/// What the agent is to do. Commands run side by side: a probe is answered while the load goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Command {
    /// Answer with [`Message::Probed`] once this URL has answered, or not.
    Probe {
        /// Comes back in the answer.
        id: u64,
        /// What is asked for, with GET.
        url: String,
        /// When to give up, in milliseconds.
        timeout_ms: u64,
    },
    /// Start the traffic.
    Load(Workload),
    /// Read every session, through the balancer and then from each node.
    FinalRead,
    /// Hand over all operations.
    History,
}

/// The traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Where requests are sent.
    pub entrance: SocketAddrV4,
    /// How many virtual users are there.
    pub sessions: u32,
    /// What each session holds beside its state.
    pub payload_bytes: u32,
    /// The share of reads.
    pub read_share: f64,
    /// When operations start.
    pub load: LoadModel,
    /// How long operations are started, in nanoseconds.
    pub length_ns: u64,
    /// When an operation is given up, in nanoseconds after its send.
    pub timeout_ns: u64,
    /// What the choices are drawn from.
    pub seed: u64,
    /// The sessions' addresses, dealt out in turn; none: the agent's own for all.
    pub addresses: Vec<Ipv4Addr>,
    /// How many operations of one session start at the same instant.
    pub at_once: u32,
    /// After so many operations a session is logged out; never without.
    pub log_out_after: Option<u32>,
    /// The app nodes, which are asked themselves in the end.
    pub nodes: Vec<SocketAddrV4>,
}

/// What the agent says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Message {
    /// It takes commands.
    Ready,
    /// The answer to a probe.
    Probed {
        /// The probe's.
        id: u64,
        /// The status of the reply; none where there was no complete reply.
        status: Option<u16>,
        /// The body, or why there was no reply.
        text: String,
    },
    /// The traffic has started.
    Started {
        /// The wall clock at the start of the load, in nanoseconds since 1970.
        unix_ns: u64,
    },
    /// What happened in about the last second.
    Summary(Summary),
    /// Every operation of the load has ended.
    LoadDone(GeneratorHealth),
    /// Every session has been read.
    FinalReadDone {
        /// How many sessions there were to read.
        sessions: u32,
        /// How many of them gave no complete reply, after all tries.
        unanswered: u32,
    },
    /// So many bytes of the history's file follow this line.
    History {
        /// How many.
        bytes: u64,
    },
    /// A command could not be carried out.
    Failed {
        /// Why, in words.
        reason: String,
    },
}

/// What happened in about one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// From the start of the load to the end of this interval.
    pub at_ns: u64,
    /// Operations that ended well.
    pub ok: u64,
    /// Operations that were certainly not applied, those of unknown sessions left out.
    pub fail: u64,
    /// Operations that may have been applied.
    pub indeterminate: u64,
    /// Replies that did not know the session.
    pub unknown: u64,
    /// Replies that showed another owner's session.
    pub foreign: u64,
    /// The 99th percentile of the response times of those that ended well.
    pub p99_us: u64,
}

/// How well the agent kept its schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratorHealth {
    /// Operations that the schedule asked for.
    pub offered: u64,
    /// Operations that were started; the others waited for their session until the end.
    pub started: u64,
}
