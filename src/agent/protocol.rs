//! What driver and agent say to each other: one JSON object a line, commands in, messages out. Only the
//! history is different: its line says how many bytes follow.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::history::{GeneratorHealth, Settled};
use crate::load::{Settle, Workload};
use crate::traffic::Summary;

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
    /// Answer with [`Message::PreflightDone`] once each of these nodes was asked what it makes of requests that are not as
    /// they should be.
    Preflight {
        /// The app nodes that are there, by their names.
        nodes: BTreeMap<String, SocketAddr>,
        /// The traffic that is to come.
        workload: Box<Workload>,
    },
    /// Start the traffic.
    Load(Box<Workload>),
    /// Read every session, through the balancer and then from each node.
    FinalRead {
        /// The app nodes that are there, by their names.
        nodes: BTreeMap<String, SocketAddr>,
        /// When states are taken to have settled.
        settle: Settle,
    },
    /// Hand over all operations.
    History,
}

/// What the agent says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Message {
    /// It takes commands.
    Ready,
    /// It lives and works. Said every other second, but while it hands over a history.
    Alive,
    /// The answer to a probe.
    Probed {
        /// The probe's.
        id: u64,
        /// The status of the reply; none where there was no complete reply.
        status: Option<u16>,
        /// The body, or why there was no reply.
        text: String,
    },
    /// Every node was asked.
    PreflightDone {
        /// What is not as the contract says, in words.
        failures: Vec<String>,
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
        /// How long states changed before that.
        settled: Settled,
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
