//! The agent's main loop: reads commands from standard input and writes messages to standard output. It ends when the
//! driver closes its input, so that it cannot outlive the driver.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, oneshot};
use tokio::task::{LocalSet, spawn_blocking, spawn_local};

use super::protocol::{Command, Message};
use super::{addresses, preflight, probe, register, walk};
use crate::cluster::unix_ns;
use crate::load::{Settle, Workload};
use crate::traffic::{GeneratorError, LoadGenerator, Script, Stopper, spill_folder};

/// A larger history is spooled to a file. In bytes.
const MAX_HISTORY_IN_MEMORY: usize = 64 * 1024 * 1024;
/// The history is written in pieces of this size.
const PIECE_BYTES: usize = 256 * 1024;
/// Interval between two [`Message::Alive`].
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// Output to the driver: a message, or bytes that a message before has announced.
enum Output {
    Message(Message),
    Bytes(Vec<u8>, oneshot::Sender<()>),
}

#[derive(Clone)]
struct Agent {
    out: UnboundedSender<Output>,
    /// `None` before the first load. Taken out, with the lock held, while it works on a blocking thread.
    generator: Rc<Mutex<Option<LoadGenerator>>>,
    stopper: Rc<RefCell<Option<Stopper>>>,
    /// Starts the load that is prepared.
    starter: Rc<RefCell<Option<Sender<Option<u64>>>>>,
    /// Whether a history is being written: no message may come between its bytes.
    hands_over: Rc<Cell<bool>>,
}

/// Runs the agent until its input ends.
///
/// # Errors
/// When standard input or output fail.
pub fn run() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = LocalSet::new().block_on(&runtime, serve());
    // Does not wait for a running load: without the driver, nobody uses it.
    runtime.shutdown_background();
    result
}

async fn serve() -> std::io::Result<()> {
    let (out, mut outgoing) = unbounded_channel();
    let writer = spawn_local(async move {
        let mut stdout = tokio::io::stdout();
        while let Some(output) = outgoing.recv().await {
            match output {
                Output::Message(message) => {
                    let mut line = serde_json::to_vec(&message)?;
                    line.push(b'\n');
                    stdout.write_all(&line).await?;
                }
                Output::Bytes(bytes, written) => {
                    stdout.write_all(&bytes).await?;
                    let _ = written.send(());
                }
            }
            stdout.flush().await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let agent = Agent {
        out,
        generator: Rc::default(),
        stopper: Rc::default(),
        starter: Rc::default(),
        hands_over: Rc::default(),
    };
    agent.say(Message::Ready);
    spawn_local(agent.clone().show_signs_of_life());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line) {
            Ok(command) => drop(spawn_local(agent.clone().take(command))),
            Err(error) => agent.say(Message::Failed { reason: format!("not a command: {error}") }),
        }
        if writer.is_finished() {
            break;
        }
    }
    Ok(())
}

impl Agent {
    fn say(&self, message: Message) {
        let _ = self.out.send(Output::Message(message));
    }

    async fn show_signs_of_life(self) {
        loop {
            tokio::time::sleep(SIGN_OF_LIFE).await;
            if !self.hands_over.get() {
                self.say(Message::Alive);
            }
        }
    }

    /// Executes a command in its own task. Reports a crash of that task, because the driver waits for an answer.
    async fn take(self, command: Command) {
        if let Err(error) = spawn_local(self.clone().obey(command)).await {
            self.say(Message::Failed { reason: format!("an agent task crashed, a defect of this program: {error}") });
        }
    }

    async fn obey(self, command: Command) {
        let result = match command {
            Command::Probe { id, url, timeout_ms } => {
                self.say(probe::probe(id, &url, timeout_ms).await);
                Ok(())
            }
            Command::TellTime => {
                self.say(Message::Time { unix_ns: unix_ns() });
                Ok(())
            }
            Command::Load(workload) => self.load(*workload).await,
            Command::Start { unix_ns } => {
                let starter = self.starter.borrow_mut().take();
                let started = starter.and_then(|starter| starter.send(unix_ns).ok());
                started.ok_or_else(|| "the start was refused: no load was prepared".to_owned())
            }
            Command::Preflight { nodes, workload } => {
                let failures = preflight::preflight(&nodes, &workload).await;
                self.say(Message::PreflightDone { failures });
                Ok(())
            }
            Command::Register(workload) => {
                self.say(Message::Registered { failure: register::register(&workload).await.err() });
                Ok(())
            }
            Command::Walk { address, workload } => {
                self.say(Message::Walked(walk::walk(address, &workload).await));
                Ok(())
            }
            Command::FinalRead { nodes, settle } => self.final_read(nodes, settle).await,
            Command::History => self.send_history().await,
        };
        if let Err(reason) = result {
            self.say(Message::Failed { reason });
        }
    }

    async fn load(&self, workload: Workload) -> Result<(), String> {
        // Several sessions may share an address.
        let own = workload.users.addresses.iter().enumerate().filter(|(user, _)| workload.share.rank(*user).is_some());
        let addresses: BTreeSet<Ipv4Addr> = own.filter_map(|(_, address)| ipv4(address)).collect();
        addresses::add(&addresses.into_iter().collect::<Vec<_>>()).await?;
        let script = Script::of(&workload);
        let generator = LoadGenerator::new(workload, script).map_err(|error| error.to_string())?;
        let stopper = generator.stopper();
        *self.stopper.borrow_mut() = Some(stopper.clone());
        *self.generator.lock().await = Some(generator);
        let (starter, orders) = channel();
        *self.starter.borrow_mut() = Some(starter);
        let (out, seconds) = (self.out.clone(), self.out.clone());
        let health = self
            .with_generator(move |generator| {
                let start = || {
                    let _ = out.send(Output::Message(Message::Prepared));
                    let started = Started::when_ordered(&orders, &stopper);
                    let _ = out.send(Output::Message(Message::Started { unix_ns: started.unix_ns }));
                    started.instant
                };
                let mut each_second = |summary| drop(seconds.send(Output::Message(Message::Summary(summary))));
                generator.load(start, &mut each_second)
            })
            .await?;
        self.say(Message::LoadDone(health));
        Ok(())
    }

    async fn final_read(&self, nodes: BTreeMap<String, SocketAddr>, settle: Settle) -> Result<(), String> {
        let settle_and_read = move |generator: &mut LoadGenerator| {
            let settled = generator.settle(settle)?;
            Ok((settled, generator.final_read(&nodes)?))
        };
        let (settled, (sessions, unanswered)) = self.with_generator(settle_and_read).await?;
        self.say(Message::FinalReadDone { sessions, unanswered, settled });
        Ok(())
    }

    /// Runs `what` with the generator on a blocking thread, and waits for the result.
    async fn with_generator<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut LoadGenerator) -> Result<T, GeneratorError> + Send + 'static,
    ) -> Result<T, String> {
        let mut place = self.generator.lock().await;
        let mut generator = place.take().ok_or("it has run no load")?;
        let (generator, result) = spawn_blocking(move || {
            let result = what(&mut generator);
            (generator, result)
        })
        .await
        .map_err(|_| GeneratorError::Crashed.to_string())?;
        *place = Some(generator);
        result.map_err(|error| error.to_string())
    }

    async fn send_history(&self) -> Result<(), String> {
        // A driver that asks during the load needs no more of it: stop the load.
        if self.generator.try_lock().is_err()
            && let Some(stopper) = &*self.stopper.borrow()
        {
            stopper.stop();
        }
        let place = self.generator.lock().await;
        let generator = place.as_ref().ok_or("it has run no load")?;
        let unwritable = |error: std::io::Error| format!("the history cannot be laid out: {error}");
        let mut file = tempfile::spooled_tempfile_in(MAX_HISTORY_IN_MEMORY, spill_folder());
        generator.write_history(&mut file).map_err(|error| error.to_string())?;
        let bytes = file.stream_position().map_err(unwritable)?;
        file.rewind().map_err(unwritable)?;
        self.hands_over.set(true);
        self.say(Message::History { bytes });
        loop {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let read = (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece).map_err(unwritable)?;
            if read == 0 {
                self.hands_over.set(false);
                return Ok(());
            }
            let (written, is_written) = oneshot::channel();
            let _ = self.out.send(Output::Bytes(piece, written));
            let _ = is_written.await;
        }
    }
}

/// The start of a load on both clocks.
struct Started {
    instant: Instant,
    /// In nanoseconds since 1970.
    unix_ns: u64,
}

/// How often it is asked whether a load that waits for its start is to be stopped.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// Two readings of one clock around one of the other are at most this far apart.
const SIMULTANEOUS: Duration = Duration::from_micros(50);

impl Started {
    /// Both clocks at the same time: a thread that was held up between two readings reads again.
    fn now() -> Self {
        for _ in 0..100 {
            let (before, unix_ns) = (Instant::now(), unix_ns());
            if before.elapsed() < SIMULTANEOUS {
                return Self { instant: before, unix_ns };
            }
        }
        Self { instant: Instant::now(), unix_ns: unix_ns() }
    }

    /// Waits for the order, then for the time that it names. What is ordered too late starts now.
    fn when_ordered(orders: &Receiver<Option<u64>>, stopper: &Stopper) -> Self {
        let ordered = loop {
            match orders.recv_timeout(STOP_CHECK) {
                Ok(ordered) => break ordered,
                Err(RecvTimeoutError::Timeout) if !stopper.has_stopped() => {}
                Err(_) => break None,
            }
        };
        let now = Self::now();
        match ordered.filter(|unix_ns| *unix_ns > now.unix_ns) {
            Some(unix_ns) => {
                let instant = now.instant + Duration::from_nanos(unix_ns - now.unix_ns);
                // A thread that wakes up late starts its first operations late, and that is measured as its lag.
                std::thread::sleep(instant.saturating_duration_since(Instant::now()));
                Self { instant, unix_ns }
            }
            None => now,
        }
    }
}

const fn ipv4(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    }
}
