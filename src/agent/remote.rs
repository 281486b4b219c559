//! The driver's end of the agent: sends commands over whatever channel the cluster opened, and gives
//! each message to whoever waits for it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::protocol::{Command, Message};
use crate::cluster::Channel;
use crate::load::Workload;
use crate::lock::lock;
use crate::traffic::{GeneratorHealth, Summary};

/// What is taken of a history at once.
const PIECE_BYTES: usize = 256 * 1024;

/// The agent cannot be used any more.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AgentError {
    /// The channel ended: the agent's container is gone, or it ended by itself.
    #[error("the agent is gone: {0}")]
    Gone(String),
    /// The agent says why it could not obey.
    #[error("the agent failed: {0}")]
    Failed(String),
    /// The history came and could not be kept.
    #[error("the history cannot be saved: {0}")]
    NotSaved(String),
    /// The agent said something else than was asked for.
    #[error("the agent was expected to say {expected} and said {said}")]
    Unexpected {
        /// What the driver waited for.
        expected: &'static str,
        /// What came.
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

/// What happens during a load.
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

/// Who waits for which probe; none once the agent is gone, when nobody would ever be answered.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Probe>>>>>;

/// A running agent, seen from the driver. Probes may be asked for at any time and by many at once.
pub struct Agent {
    prober: Prober,
    incoming: mpsc::UnboundedReceiver<Result<Incoming, AgentError>>,
    reader: JoinHandle<()>,
}

/// Asks nodes through the agent; can be shared.
#[derive(Clone)]
pub struct Prober {
    commands: mpsc::UnboundedSender<Command>,
    waiting: Waiting,
    next_probe: Arc<std::sync::atomic::AtomicU64>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Agent {
    /// Takes over a channel to an agent that has just been started.
    ///
    /// # Errors
    /// When the agent does not say that it is ready.
    pub async fn connect(channel: Channel) -> Result<Self, AgentError> {
        let (commands, outgoing) = mpsc::unbounded_channel();
        let (sender, incoming) = mpsc::unbounded_channel();
        let waiting = Waiting::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(write_commands(channel.input, outgoing));
        let reader = tokio::spawn(read_messages(channel.output, sender, Arc::clone(&waiting)));
        let prober = Prober { commands, waiting, next_probe: Arc::default() };
        let mut agent = Self { prober, incoming, reader };
        match agent.next().await? {
            Incoming::Message(Message::Ready) => Ok(agent),
            other => Err(unexpected("ready", other)),
        }
    }

    /// Asks nodes through this agent.
    #[must_use]
    pub fn prober(&self) -> Prober {
        self.prober.clone()
    }

    /// Starts the load.
    ///
    /// # Returns
    /// The wall clock at its start, in nanoseconds since 1970.
    ///
    /// # Errors
    /// When the agent fails or is gone.
    pub async fn start_load(&mut self, workload: Workload) -> Result<u64, AgentError> {
        self.prober.send(Command::Load(Box::new(workload)))?;
        match self.next().await? {
            Incoming::Message(Message::Started { unix_ns }) => Ok(unix_ns),
            other => Err(unexpected("started", other)),
        }
    }

    /// What happens next in the load. May be dropped and called again.
    ///
    /// # Errors
    /// When the agent fails or is gone.
    pub async fn next_load_event(&mut self) -> Result<LoadEvent, AgentError> {
        match self.next().await? {
            Incoming::Message(Message::Summary(summary)) => Ok(LoadEvent::Summary(summary)),
            Incoming::Message(Message::LoadDone(health)) => Ok(LoadEvent::Done(health)),
            other => Err(unexpected("a summary", other)),
        }
    }

    /// Reads every session once, after everything has settled.
    ///
    /// # Returns
    /// How many sessions were read, and how many gave no complete reply after all tries.
    ///
    /// # Errors
    /// When the agent fails or is gone.
    pub async fn final_read(&mut self, nodes: Vec<SocketAddr>) -> Result<(u32, u32), AgentError> {
        self.prober.send(Command::FinalRead { nodes })?;
        match self.next().await? {
            Incoming::Message(Message::FinalReadDone { sessions, unanswered }) => Ok((sessions, unanswered)),
            other => Err(unexpected("final-read-done", other)),
        }
    }

    /// Takes all operations so far, as the history's file, into `sink`.
    ///
    /// # Errors
    /// When the agent fails or is gone, or the sink fails.
    pub async fn history(&mut self, sink: &mut (impl AsyncWrite + Unpin)) -> Result<(), AgentError> {
        self.prober.send(Command::History)?;
        loop {
            match self.next().await? {
                Incoming::History(piece) => {
                    sink.write_all(&piece).await.map_err(|error| AgentError::NotSaved(error.to_string()))?;
                }
                Incoming::HistoryEnd => {
                    return sink.flush().await.map_err(|error| AgentError::NotSaved(error.to_string()));
                }
                // A load that was left early still speaks.
                Incoming::Message(Message::Summary(_) | Message::LoadDone(_)) => {}
                other @ Incoming::Message(_) => return Err(unexpected("the history", other)),
            }
        }
    }

    async fn next(&mut self) -> Result<Incoming, AgentError> {
        match self.incoming.recv().await {
            Some(Ok(Incoming::Message(Message::Failed { reason }))) => Err(AgentError::Failed(reason)),
            Some(result) => result,
            None => Err(AgentError::Gone("its output has ended".to_owned())),
        }
    }
}

impl Prober {
    /// Asks for a URL with GET, once.
    pub async fn probe(&self, url: &str, timeout: Duration) -> Probe {
        let id = self.next_probe.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
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
        answer.await.unwrap_or_else(|_| Probe::Silent("the agent is gone".to_owned()))
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
        // The reader notices that the agent is gone and says so.
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

async fn read_message(output: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Option<Message>> {
    let mut line = Vec::new();
    if output.read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    serde_json::from_slice(&line).map(Some).map_err(|error| {
        std::io::Error::other(format!("it said {:?}: {error}", String::from_utf8_lossy(&line).trim_end()))
    })
}

/// Passes a history on, piece by piece. Says whether anyone wants it.
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

    #[tokio::test]
    async fn who_asks_an_agent_that_is_gone_is_answered_at_once() {
        let (near, mut far) = tokio::io::duplex(1024);
        far.write_all(b"{\"is\":\"ready\"}\n").await.unwrap();
        let (output, input) = tokio::io::split(near);
        let mut agent = Agent::connect(Channel { input: Box::pin(input), output: Box::pin(output) }).await.unwrap();
        let prober = agent.prober();
        drop(far);
        assert!(matches!(agent.next_load_event().await, Err(AgentError::Gone(_))));
        // Defect: the question waited for ever in a queue that nobody read any more.
        let probe = prober.probe("http://127.0.0.1:1/", Duration::from_secs(1));
        assert!(matches!(tokio::time::timeout(Duration::from_secs(5), probe).await, Ok(Probe::Silent(_))));
    }
}
