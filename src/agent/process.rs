//! The agent's main loop: commands come in on standard input, messages go out on standard output. It ends
//! when the driver closes its input, so that it cannot outlive the driver.

use std::cell::RefCell;
use std::io::{Read, Seek};
use std::rc::Rc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

use super::generator::Generator;
use super::protocol::{Command, Message, Workload};
use super::{addresses, probe};

/// A history that is larger goes through a file.
const MOST_HISTORY_IN_MEMORY: usize = 64 * 1024 * 1024;
/// What is handed to the driver at once.
const PIECE_BYTES: usize = 256 * 1024;

/// What goes out: a message, or the bytes that a message has announced.
enum Output {
    Message(Message),
    Bytes(Vec<u8>, oneshot::Sender<()>),
}

#[derive(Clone)]
struct Agent {
    out: UnboundedSender<Output>,
    generator: Rc<RefCell<Option<Rc<Generator>>>>,
}

/// Runs the agent until its input ends.
///
/// # Errors
/// When standard input or output fail.
pub fn run() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve())
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
    let agent = Agent { out, generator: Rc::default() };
    agent.say(Message::Ready);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line) {
            Ok(command) => drop(spawn_local(agent.clone().obey(command))),
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

    async fn obey(self, command: Command) {
        let result = match command {
            Command::Probe { id, url, timeout_ms } => {
                self.say(probe::probe(id, &url, timeout_ms).await);
                Ok(())
            }
            Command::Load(workload) => self.load(&workload).await,
            Command::FinalRead => self.final_read().await,
            Command::History => self.send_history().await,
        };
        if let Err(reason) = result {
            self.say(Message::Failed { reason });
        }
    }

    fn generator(&self) -> Result<Rc<Generator>, String> {
        self.generator.borrow().clone().ok_or_else(|| "there was no load".to_owned())
    }

    async fn load(&self, workload: &Workload) -> Result<(), String> {
        addresses::add(&workload.addresses).await?;
        let generator = Generator::new(workload).map_err(|error| error.to_string())?;
        *self.generator.borrow_mut() = Some(Rc::clone(&generator));
        let (say, mut messages) = unbounded_channel();
        let forward = self.clone();
        spawn_local(async move {
            while let Some(message) = messages.recv().await {
                forward.say(message);
            }
        });
        generator.load(workload, &say).await.map_err(|error| format!("the pacer cannot start: {error}"))
    }

    async fn final_read(&self) -> Result<(), String> {
        let done = self.generator()?.final_read().await;
        self.say(done);
        Ok(())
    }

    async fn send_history(&self) -> Result<(), String> {
        let generator = self.generator()?;
        let unwritable = |error: std::io::Error| format!("the history cannot be laid out: {error}");
        let mut file = tempfile::spooled_tempfile_in(MOST_HISTORY_IN_MEMORY, spill_folder());
        generator.write_history(&mut file).map_err(|error| error.to_string())?;
        let bytes = file.stream_position().map_err(unwritable)?;
        file.rewind().map_err(unwritable)?;
        self.say(Message::History { bytes });
        loop {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let read = (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece).map_err(unwritable)?;
            if read == 0 {
                return Ok(());
            }
            let (written, is_written) = oneshot::channel();
            let _ = self.out.send(Output::Bytes(piece, written));
            let _ = is_written.await;
        }
    }
}

/// In an empty image there is no folder for temporary files.
fn spill_folder() -> std::path::PathBuf {
    let usual = std::env::temp_dir();
    if usual.is_dir() { usual } else { "/".into() }
}
