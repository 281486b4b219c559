//! The agent's main loop: commands come in on standard input, messages go out on standard output. It ends
//! when the driver closes its input, so that it cannot outlive the driver.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

use super::generator::Generator;
use super::protocol::{Command, Message, Workload};
use super::{addresses, probe};

/// What goes out: a message, or the bytes that a message has announced.
enum Output {
    Message(Message),
    Bytes(Vec<u8>),
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
                Output::Bytes(bytes) => stdout.write_all(&bytes).await?,
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
            Command::History => self.send_history(),
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

    fn send_history(&self) -> Result<(), String> {
        let bytes = self.generator()?.history().map_err(|error| error.to_string())?;
        self.say(Message::History { bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX) });
        let _ = self.out.send(Output::Bytes(bytes));
        Ok(())
    }
}
