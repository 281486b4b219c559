//! The driver's side of the agent: sends commands over the channel that the cluster opened, and delivers each message
//! to the caller that waits for it.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::clock_offset::ClockOffset;
use super::protocol::{Command, Message, Walk};
use crate::cluster::{Channel, unix_ns};
use crate::history::{GeneratorHealth, Settled};
use crate::load::{Settle, Workload};
use crate::lock::lock;
use crate::traffic::Summary;

/// A history is read in pieces of this size.
const PIECE_BYTES: usize = 256 * 1024;
/// An agent that sends nothing for this long hangs: it sends [`Message::Alive`] every 2 s.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// The same before the first piece of a history: the agent sends nothing while it lays out a history, which may be
/// large.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(300);
/// Limit of each further question to an agent that missed a limit.
const LAST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the agent may take to start, and to start the load, for which it first adds the addresses of all clients.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How often an agent is asked for its time; the exchange that took least time counts.
const CLOCK_EXCHANGES: u32 = 16;
/// How long the agent may send no summary: while it waits for late or missing replies, there is nothing to summarise.
const SUMMARY_TIMEOUT: Duration = Duration::from_secs(600);
/// How long registering all users may take: apps hash passwords slowly, as they should.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(900);
/// How long the preflight of all nodes may take.
const PREFLIGHT_TIMEOUT: Duration = Duration::from_secs(300);
/// How long reading every session may take, in addition to settling.
const FINAL_READ_TIMEOUT: Duration = Duration::from_secs(1800);

/// The agent cannot be used any more.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AgentError {
    /// The channel ended: the agent's container is gone, or it ended by itself.
    #[error("the agent is gone: {0}")]
    Gone(String),
    /// A command failed; the agent gives the reason.
    #[error("the agent failed: {0}")]
    Failed(String),
    /// The history arrived and could not be saved.
    #[error("the history cannot be saved: {0}")]
    NotSaved(String),
    /// The agent is connected and sends nothing.
    #[error(
        "the agent was expected to say {expected} and said nothing for {seconds} s: it hangs, or its machine is too busy"
    )]
    Silent {
        /// The message that the driver waited for.
        expected: &'static str,
        /// How long the driver waited, in seconds.
        seconds: u64,
    },
    /// The agent did not hand its history over in time, in seconds.
    #[error("the agent sent no complete history within {0} s")]
    TooSlow(u64),
    /// One of several agents.
    #[error("{agent}: {error}")]
    OfOne {
        /// Its name.
        agent: String,
        /// What happened to it.
        error: Box<Self>,
    },
    /// The agent sent another message than expected.
    #[error("the agent was expected to say {expected} and said {said}")]
    Unexpected {
        /// The message that the driver waited for.
        expected: &'static str,
        /// The message that arrived.
        said: String,
    },
}

/// The answer to a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A complete reply.
    Answered {
        /// Its status.
        status: u16,
        /// Its body.
        body: String,
    },
    /// No complete reply, and why.
    Silent(String),
}

impl Probe {
    /// The body of a 200 reply.
    #[must_use]
    pub fn success(&self) -> Option<&str> {
        match self {
            Self::Answered { status: 200, body } => Some(body),
            Self::Answered { .. } | Self::Silent(_) => None,
        }
    }
}

/// An event of a load.
#[derive(Clone, Debug, PartialEq)]
pub enum LoadEvent {
    /// About a second has passed.
    Summary(Summary),
    /// Every operation has ended.
    Done(GeneratorHealth),
}

enum Incoming {
    Message(Message),
    /// A piece of the history's file.
    History(Vec<u8>),
    HistoryEnd,
}

/// The callers that wait for probes, by probe id; `None` once the agent is gone, because then no answer can arrive.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Probe>>>>>;

/// A running agent, seen from the driver. Probes can be sent at any time and concurrently.
pub struct Agent {
    prober: Prober,
    incoming: mpsc::UnboundedReceiver<Result<Incoming, AgentError>>,
    reader: JoinHandle<()>,
    /// When the load started or its last event came; while several agents are waited for, a wait is begun many times.
    last_event: Instant,
    /// When the load started or the agent last said anything.
    last_heard: Instant,
}

/// Probes nodes through the agent; can be shared.
#[derive(Clone)]
pub struct Prober {
    commands: mpsc::UnboundedSender<Command>,
    waiting: Waiting,
    next_probe: Arc<AtomicU64>,
    /// Whether the agent missed its last limit.
    is_silent: Arc<AtomicBool>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Agent {
    /// Connects to an agent that has just been started, over its channel.
    ///
    /// # Errors
    /// When the agent does not say that it is ready.
    pub async fn connect(channel: Channel) -> Result<Self, AgentError> {
        let (commands, outgoing) = mpsc::unbounded_channel();
        let (sender, incoming) = mpsc::unbounded_channel();
        let waiting = Waiting::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(write_commands(channel.input, outgoing));
        let reader = tokio::spawn(read_messages(channel.output, sender, Arc::clone(&waiting)));
        let prober = Prober { commands, waiting, next_probe: Arc::default(), is_silent: Arc::default() };
        let now = Instant::now();
        let mut agent = Self { prober, incoming, reader, last_event: now, last_heard: now };
        match agent.next("ready", START_TIMEOUT).await? {
            Incoming::Message(Message::Ready) => Ok(agent),
            other => Err(unexpected("ready", other)),
        }
    }

    /// Returns a prober that probes nodes through this agent.
    #[must_use]
    pub fn prober(&self) -> Prober {
        self.prober.clone()
    }

    /// Checks app nodes against the session contract.
    ///
    /// # Returns
    /// One message per node that deviates from the contract.
    ///
    /// # Errors
    /// When the agent fails or is gone.
    pub async fn preflight(
        &mut self,
        nodes: BTreeMap<String, SocketAddr>,
        workload: Workload,
    ) -> Result<Vec<String>, AgentError> {
        self.prober.send(Command::Preflight { nodes, workload: Box::new(workload) })?;
        match self.next("preflight-done", PREFLIGHT_TIMEOUT).await? {
            Incoming::Message(Message::PreflightDone { failures }) => Ok(failures),
            other => Err(unexpected("preflight-done", other)),
        }
    }

    /// Registers the users of a workload's mapping.
    ///
    /// # Returns
    /// The first failure, if a user was not registered.
    ///
    /// # Errors
    /// When the agent fails or is gone.
    pub async fn register(&mut self, workload: Workload) -> Result<Option<String>, AgentError> {
        self.prober.send(Command::Register(Box::new(workload)))?;
        match self.next("registered", REGISTER_TIMEOUT).await? {
            Incoming::Message(Message::Registered { failure }) => Ok(failure),
            other => Err(unexpected("registered", other)),
        }
    }

    /// Walks once through the session mapping of a workload, at `address`.
    ///
    /// # Errors
    /// When the agent fails or is gone.
    pub async fn walk(&mut self, address: SocketAddr, workload: Workload) -> Result<Walk, AgentError> {
        self.prober.send(Command::Walk { address, workload: Box::new(workload) })?;
        match self.next("walked", PREFLIGHT_TIMEOUT).await? {
            Incoming::Message(Message::Walked(walk)) => Ok(walk),
            other => Err(unexpected("walked", other)),
        }
    }

    /// Asks once for the time of the agent's clock, and compares it with this machine's.
    ///
    /// # Errors
    /// When the agent fails or is gone.
    async fn compare_clocks(&mut self) -> Result<ClockOffset, AgentError> {
        let before = Instant::now();
        let asked_unix_ns = unix_ns();
        self.prober.send(Command::TellTime)?;
        match self.next("the time", SILENCE_TIMEOUT).await? {
            Incoming::Message(Message::Time { unix_ns }) => {
                Ok(ClockOffset::of_exchange(asked_unix_ns, unix_ns, before.elapsed()))
            }
            other => Err(unexpected("the time", other)),
        }
    }

    /// How far the agent's clock is ahead of this machine's: the best of several exchanges.
    ///
    /// # Errors
    /// When the agent fails or is gone.
    pub async fn clock_offset(&mut self) -> Result<ClockOffset, AgentError> {
        let mut best = self.compare_clocks().await?;
        for _ in 1..CLOCK_EXCHANGES {
            best = best.more_exact(self.compare_clocks().await?);
        }
        Ok(best)
    }

    /// Prepares a load, so that it can start at once.
    ///
    /// # Errors
    /// When the agent fails or is gone.
    pub async fn prepare_load(&mut self, workload: Workload) -> Result<(), AgentError> {
        self.prober.send(Command::Load(Box::new(workload)))?;
        match self.next("prepared", START_TIMEOUT).await? {
            Incoming::Message(Message::Prepared) => Ok(()),
            other => Err(unexpected("prepared", other)),
        }
    }

    /// Starts the prepared load, at a time of the agent's clock in nanoseconds since 1970, or now.
    ///
    /// # Returns
    /// The agent's clock at its start: the time asked for, or a later one.
    ///
    /// # Errors
    /// When the agent fails or is gone.
    pub async fn start_load(&mut self, at_unix_ns: Option<u64>) -> Result<u64, AgentError> {
        self.prober.send(Command::Start { unix_ns: at_unix_ns })?;
        let started = match self.next("started", START_TIMEOUT).await? {
            Incoming::Message(Message::Started { unix_ns }) => Ok(unix_ns),
            other => Err(unexpected("started", other)),
        };
        self.last_event = Instant::now();
        started
    }

    /// Waits for the next event of the load. Cancel-safe: the future may be dropped and the function called again.
    ///
    /// # Errors
    /// When the agent fails or is gone.
    pub async fn next_load_event(&mut self) -> Result<LoadEvent, AgentError> {
        let (event, heard) = (self.last_event, self.last_heard);
        let next = self.next_since("a summary", (heard, SILENCE_TIMEOUT), (event, SUMMARY_TIMEOUT)).await?;
        self.last_event = Instant::now();
        match next {
            Incoming::Message(Message::Summary(summary)) => Ok(LoadEvent::Summary(summary)),
            Incoming::Message(Message::LoadDone(health)) => Ok(LoadEvent::Done(health)),
            other => Err(unexpected("a summary", other)),
        }
    }

    /// Waits until states have settled, and reads every session.
    ///
    /// # Returns
    /// How many sessions were read, how many gave no complete reply after all tries, and how long states changed.
    ///
    /// # Errors
    /// When the agent fails or is gone.
    pub async fn final_read(
        &mut self,
        nodes: BTreeMap<String, SocketAddr>,
        settle: Settle,
    ) -> Result<(u32, u32, Settled), AgentError> {
        let limit = Duration::from_nanos(settle.limit_ns) + FINAL_READ_TIMEOUT;
        self.prober.send(Command::FinalRead { nodes, settle })?;
        match self.next("final-read-done", limit).await? {
            Incoming::Message(Message::FinalReadDone { sessions, unanswered, settled }) => {
                Ok((sessions, unanswered, settled))
            }
            other => Err(unexpected("final-read-done", other)),
        }
    }

    /// Writes the history file, with all operations so far, to `sink`.
    ///
    /// # Errors
    /// When the agent fails or is gone, or the sink fails.
    pub async fn history(&mut self, sink: &mut (impl AsyncWrite + Unpin)) -> Result<(), AgentError> {
        self.prober.send(Command::History)?;
        let mut silence = HISTORY_TIMEOUT;
        loop {
            match self.next_within("the history", silence, HISTORY_TIMEOUT).await? {
                Incoming::History(piece) => {
                    silence = SILENCE_TIMEOUT;
                    sink.write_all(&piece).await.map_err(|error| AgentError::NotSaved(error.to_string()))?;
                }
                Incoming::HistoryEnd => {
                    return sink.flush().await.map_err(|error| AgentError::NotSaved(error.to_string()));
                }
                // Late messages of commands whose answers the driver no longer waits for.
                Incoming::Message(
                    Message::Summary(_)
                    | Message::LoadDone(_)
                    | Message::Time { .. }
                    | Message::Prepared
                    | Message::Started { .. }
                    | Message::PreflightDone { .. }
                    | Message::Walked(_)
                    | Message::FinalReadDone { .. },
                ) => {}
                other @ Incoming::Message(_) => return Err(unexpected("the history", other)),
            }
        }
    }

    async fn next(&mut self, expected: &'static str, most: Duration) -> Result<Incoming, AgentError> {
        self.next_within(expected, SILENCE_TIMEOUT, most).await
    }

    /// Waits for the next message other than [`Message::Alive`]: at most `silence` without any message, and at most
    /// `most` in total.
    async fn next_within(
        &mut self,
        expected: &'static str,
        silence: Duration,
        most: Duration,
    ) -> Result<Incoming, AgentError> {
        let now = Instant::now();
        self.next_since(expected, (now, silence), (now, most)).await
    }

    /// The same, where the silence and the wait began at instants before.
    async fn next_since(
        &mut self,
        expected: &'static str,
        (mut heard, silence): (Instant, Duration),
        (began, most): (Instant, Duration),
    ) -> Result<Incoming, AgentError> {
        let deadline = began + most;
        loop {
            let silence = if self.prober.is_silent() { silence.min(LAST_TIMEOUT) } else { silence };
            let limit = (heard + silence).min(deadline);
            // What has arrived already is taken even past the limit.
            let Ok(incoming) = timeout_at(limit, self.incoming.recv()).await else {
                let seconds = if limit < deadline { silence } else { most }.as_secs();
                self.prober.is_silent.store(true, Ordering::Relaxed);
                return Err(AgentError::Silent { expected, seconds });
            };
            self.prober.is_silent.store(false, Ordering::Relaxed);
            heard = Instant::now();
            self.last_heard = heard;
            return match incoming {
                Some(Ok(Incoming::Message(Message::Alive))) => continue,
                Some(Ok(Incoming::Message(Message::Failed { reason }))) => Err(AgentError::Failed(reason)),
                Some(result) => result,
                None => Err(AgentError::Gone("its output has ended".to_owned())),
            };
        }
    }
}

impl Prober {
    /// Gets a URL through the agent, once.
    pub async fn probe(&self, url: &str, timeout: Duration) -> Probe {
        let id = self.next_probe.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        match lock(&self.waiting).as_mut() {
            Some(waiting) => drop(waiting.insert(id, sender)),
            None => return Probe::Silent("the agent is gone".to_owned()),
        }
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        if let Err(error) = self.send(Command::Probe { id, url: url.to_owned(), timeout_ms }) {
            lock(&self.waiting).as_mut().and_then(|waiting| waiting.remove(&id));
            return Probe::Silent(error.to_string());
        }
        let limit = if self.is_silent() { LAST_TIMEOUT } else { timeout + SILENCE_TIMEOUT };
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Probe::Silent("the agent is gone".to_owned())),
            Err(_) => Probe::Silent("the agent hangs".to_owned()),
        }
    }

    fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::Relaxed)
    }

    fn send(&self, command: Command) -> Result<(), AgentError> {
        self.commands.send(command).map_err(|_| AgentError::Gone("its input has ended".to_owned()))
    }
}

fn unexpected(expected: &'static str, said: Incoming) -> AgentError {
    let said = match said {
        Incoming::Message(message) => serde_json::to_string(&message).unwrap_or_else(|error| error.to_string()),
        Incoming::History(bytes) => format!("{} bytes of a history", bytes.len()),
        Incoming::HistoryEnd => "the end of a history".to_owned(),
    };
    AgentError::Unexpected { expected, said }
}

async fn write_commands(mut input: Pin<Box<dyn AsyncWrite + Send>>, mut commands: mpsc::UnboundedReceiver<Command>) {
    while let Some(command) = commands.recv().await {
        let Ok(mut line) = serde_json::to_vec(&command) else { continue };
        line.push(b'\n');
        // The reader notices that the agent is gone and reports it.
        if input.write_all(&line).await.is_err() || input.flush().await.is_err() {
            return;
        }
    }
}

async fn read_messages(
    output: Pin<Box<dyn AsyncRead + Send>>,
    sender: mpsc::UnboundedSender<Result<Incoming, AgentError>>,
    waiting: Waiting,
) {
    let mut output = BufReader::new(output);
    let end = loop {
        match read_message(&mut output).await {
            Ok(Some(Message::Probed { id, status, text })) => {
                if let Some(waits) = lock(&waiting).as_mut().and_then(|waiting| waiting.remove(&id)) {
                    let _ = waits.send(
                        status.map_or(Probe::Silent(text.clone()), |status| Probe::Answered { status, body: text }),
                    );
                }
            }
            Ok(Some(Message::History { bytes })) => match pass_history(&mut output, bytes, &sender).await {
                Ok(true) => {}
                Ok(false) => break None,
                Err(error) => break Some(error.to_string()),
            },
            Ok(Some(message)) => {
                if sender.send(Ok(Incoming::Message(message))).is_err() {
                    break None;
                }
            }
            Ok(None) => break Some("its output has ended".to_owned()),
            Err(error) => break Some(error.to_string()),
        }
    };
    *lock(&waiting) = None;
    if let Some(reason) = end {
        let _ = sender.send(Err(AgentError::Gone(reason)));
    }
}

/// Limit of a message: replies of nodes to probes have some kilobytes.
const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;

async fn read_message(output: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Option<Message>> {
    let mut line = Vec::new();
    if output.take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    serde_json::from_slice(&line).map(Some).map_err(|error| {
        std::io::Error::other(format!("it said {:?}: {error}", String::from_utf8_lossy(&line).trim_end()))
    })
}

/// Forwards a history in pieces. Returns whether the receiver still exists.
async fn pass_history(
    output: &mut (impl AsyncRead + Unpin),
    bytes: u64,
    sender: &mpsc::UnboundedSender<Result<Incoming, AgentError>>,
) -> std::io::Result<bool> {
    let mut rest = bytes;
    while rest > 0 {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let wanted = rest.min(PIECE_BYTES as u64);
        let read = (&mut *output).take(wanted).read_to_end(&mut piece).await? as u64;
        if read < wanted {
            return Err(std::io::Error::other("the history was cut off"));
        }
        rest -= read;
        if sender.send(Ok(Incoming::History(piece))).is_err() {
            return Ok(false);
        }
    }
    Ok(sender.send(Ok(Incoming::HistoryEnd)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{TEXT, survives};
    use crate::load::Settle;

    /// An agent whose messages the test writes.
    async fn scripted_agent() -> (Agent, tokio::io::DuplexStream) {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        far.write_all(b"{\"is\":\"ready\"}\n").await.unwrap();
        let (output, input) = tokio::io::split(near);
        let agent = Agent::connect(Channel { input: Box::pin(input), output: Box::pin(output) }).await.unwrap();
        (agent, far)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_agent_is_reported_after_30_s_and_later_questions_fail_sooner() {
        let (mut agent, _far) = scripted_agent().await;
        let error = agent.next_load_event().await.unwrap_err();
        insta::assert_snapshot!(error, @"the agent was expected to say a summary and said nothing for 30 s: it hangs, or its machine is too busy");
        let settle = Settle { pause_ns: 1, limit_ns: 1 };
        let before = Instant::now();
        assert!(matches!(agent.final_read(BTreeMap::new(), settle).await, Err(AgentError::Silent { seconds: 5, .. })));
        // Later questions have a shorter limit.
        assert!(matches!(agent.history(&mut Vec::new()).await, Err(AgentError::Silent { seconds: 5, .. })));
        assert!(before.elapsed() <= Duration::from_secs(11));
        let probe = agent.prober().probe("http://127.0.0.1:1/", Duration::from_secs(1)).await;
        assert_eq!(probe, Probe::Silent("the agent hangs".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn alive_messages_extend_the_wait_but_not_forever() {
        let (mut agent, mut far) = scripted_agent().await;
        let life = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(2)).await;
                far.write_all(b"{\"is\":\"alive\"}\n").await.unwrap();
            }
        });
        let before = Instant::now();
        let error = agent.next_load_event().await.unwrap_err();
        assert!(before.elapsed() > SILENCE_TIMEOUT && matches!(error, AgentError::Silent { .. }), "{error}");
        life.abort();
    }

    #[tokio::test]
    async fn a_late_final_read_message_does_not_disturb_the_history() {
        let (mut agent, mut far) = scripted_agent().await;
        let settled = Settled { rounds: 1, took_ms: 1, has_settled: false };
        let done = Message::FinalReadDone { sessions: 1, unanswered: 0, settled };
        for message in [done, Message::History { bytes: 3 }] {
            far.write_all(&serde_json::to_vec(&message).unwrap()).await.unwrap();
            far.write_all(b"\n").await.unwrap();
        }
        far.write_all(b"abc").await.unwrap();
        let mut sink = Vec::new();
        agent.history(&mut sink).await.unwrap();
        assert_eq!(sink, b"abc");
    }

    #[tokio::test]
    async fn a_probe_through_an_agent_that_is_gone_is_answered_at_once() {
        let (near, mut far) = tokio::io::duplex(1024);
        far.write_all(b"{\"is\":\"ready\"}\n").await.unwrap();
        let (output, input) = tokio::io::split(near);
        let mut agent = Agent::connect(Channel { input: Box::pin(input), output: Box::pin(output) }).await.unwrap();
        let prober = agent.prober();
        drop(far);
        assert!(matches!(agent.next_load_event().await, Err(AgentError::Gone(_))));
        // Regression: the probe waited forever in a queue that nobody read.
        let probe = prober.probe("http://127.0.0.1:1/", Duration::from_secs(1));
        assert!(matches!(tokio::time::timeout(Duration::from_secs(5), probe).await, Ok(Probe::Silent(_))));
    }

    #[test]
    fn damaged_agent_output_is_parsed_or_reported_as_an_error() {
        let said = [r#"{"is":"ready"}
{"is":"alive"}
{"is":"preflight-done","failures":[]}
{"is":"prepared"}
{"is":"started","unix_ns":1}
{"is":"final-read-done","sessions":1,"unanswered":0,"settled":{"took_ms":1,"has_settled":true}}
{"is":"history","bytes":3}
abc{"is":"probed","id":1,"status":200,"text":"{}"}
{"is":"failed","reason":"no"}
"#];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        survives(&said.map(|text| text.as_bytes().to_vec()), TEXT, |bytes| {
            runtime.block_on(async {
                let (input, output) = (tokio::io::sink(), std::io::Cursor::new(bytes.to_vec()));
                let Ok(mut agent) = Agent::connect(Channel { input: Box::pin(input), output: Box::pin(output) }).await
                else {
                    return;
                };
                let workload = crate::traffic::testing::workload(([127, 0, 0, 1], 1).into());
                let _ = agent.preflight(BTreeMap::new(), workload.clone()).await;
                let _ = agent.prepare_load(workload).await;
                let _ = agent.start_load(None).await;
                while agent.next_load_event().await.is_ok() {}
                let _ = agent.final_read(BTreeMap::new(), Settle { pause_ns: 1, limit_ns: 1 }).await;
                let _ = agent.history(&mut tokio::io::sink()).await;
            });
        });
    }
}
