//! One child process: a reference node or the agent.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::cluster::unix_ns;
use crate::lock::lock;
use crate::reference::counters::Counts;
use crate::reference::supervised::ASK_COUNTS;
use crate::topology::CoreSet;

/// A stopped process does not report its counters; they do not change.
const COUNTS_TIMEOUT: Duration = Duration::from_millis(200);

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// By the wall clock, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// Its exit status, as text.
    pub status: String,
}

/// A child process. It ends when its standard input is closed.
#[derive(Clone)]
pub struct Child {
    pid: u32,
    ended: watch::Receiver<Option<End>>,
}

/// The pipes between a child and its owner.
pub struct Pipes {
    /// To its standard input.
    pub input: ChildStdin,
    /// From its standard output.
    pub output: ChildStdout,
}

/// A node's standard error and exit statuses, over all its starts.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Log {
    /// Adds a line.
    pub fn push(&self, line: &str) {
        let mut text = lock(&self.0);
        text.push_str(line);
        text.push('\n');
    }

    /// The whole log.
    pub fn text(&self) -> String {
        lock(&self.0).clone()
    }
}

impl Child {
    /// Starts this program with other arguments. Its standard error goes to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        program: &Path,
        arguments: &[&str],
        log: &Log,
        cores: Option<&CoreSet>,
    ) -> std::io::Result<(Self, Pipes)> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Only the driver gets Ctrl-C from the terminal. If the driver ends while a member of the group is stopped,
            // the kernel sends SIGHUP and SIGCONT to the group, so a stopped node ends as well.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = affinity::with(cores, || command.spawn())?;
        let missing = || std::io::Error::other("it has no pipes");
        let pid = child.id().ok_or_else(missing)?;
        let input = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        let errors = child.stderr.take().ok_or_else(missing)?;
        let (sender, ended) = watch::channel(None);
        let log = log.clone();
        tokio::spawn(async move {
            let printed = tokio::spawn(keep_log(errors, log.clone()));
            let status = child.wait().await;
            let unix_ns = unix_ns();
            let _ = timeout(COUNTS_TIMEOUT, printed).await;
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            log.push(&format!("ended: {status}"));
            let _ = sender.send(Some(End { unix_ns, status }));
        });
        Ok((Self { pid, ended }, Pipes { input, output }))
    }

    /// Its process id.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<End> {
        self.ended.borrow().clone()
    }

    /// Sends a signal unless the child has ended.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&self, signal: Signal) -> std::io::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        match pid {
            Some(pid) if self.end().is_none() => Ok(kill_process(pid, signal)?),
            _ => Ok(()),
        }
    }

    /// Waits until it has ended.
    pub async fn wait(&self) -> Option<End> {
        let mut ended = self.ended.clone();
        ended.wait_for(Option::is_some).await.ok().and_then(|end| end.clone())
    }
}

async fn keep_log(errors: ChildStderr, log: Log) {
    let mut lines = BufReader::new(errors).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.push(&line);
    }
}

/// Asks a node for its counters over its standard input.
pub struct Asker {
    questions: mpsc::UnboundedSender<String>,
    answers: watch::Receiver<(u64, Counts)>,
    asked: u64,
}

impl Asker {
    /// Takes a node's pipes and sends its configuration. The node's input closes when this is dropped.
    pub fn new(pipes: Pipes, config: &str) -> Self {
        let (questions, mut queue) = mpsc::unbounded_channel::<String>();
        let (sender, answers) = watch::channel((0, Counts::default()));
        let Pipes { mut input, output } = pipes;
        let _ = questions.send(serde_json::Value::from(config).to_string());
        tokio::spawn(async move {
            while let Some(question) = queue.recv().await {
                if input.write_all(format!("{question}\n").as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(counts) = serde_json::from_str(&line) {
                    sender.send_modify(|(number, last)| (*number, *last) = (*number + 1, counts));
                }
            }
        });
        Self { questions, answers, asked: 0 }
    }

    /// The node's counters, or the last known ones if it does not answer in time.
    pub async fn counts(&mut self) -> Counts {
        if self.questions.send(ASK_COUNTS.to_owned()).is_ok() {
            self.asked += 1;
            let asked = self.asked;
            let _ = timeout(COUNTS_TIMEOUT, self.answers.wait_for(|(answered, _)| *answered >= asked)).await;
        }
        self.answers.borrow().1
    }
}
/// A process inherits the cores of the thread that starts it.
#[cfg(target_os = "linux")]
mod affinity {
    use std::io;

    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    use crate::topology::CoreSet;

    pub fn with<T>(cores: Option<&CoreSet>, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some(cores) = cores else { return start() };
        let mut set = CpuSet::new();
        cores.cores().iter().for_each(|core| set.set(usize::from(*core)));
        let before = sched_getaffinity(None)?;
        sched_setaffinity(None, &set)
            .map_err(|error| io::Error::other(format!("this machine does not have the cores {cores}: {error}")))?;
        let started = start();
        sched_setaffinity(None, &before)?;
        started
    }
}

#[cfg(not(target_os = "linux"))]
mod affinity {
    use std::io;

    use crate::topology::CoreSet;

    pub fn with<T>(cores: Option<&CoreSet>, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match cores {
            None => start(),
            Some(_) => Err(io::Error::other("sets of cores need Linux")),
        }
    }
}
