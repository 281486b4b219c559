//! Starts operations on schedule and deals them out to the sessions.
//!
//! Each round gives every session one operation, in a new random order: a fixed order would beat in step
//! with a round-robin balancer and lead each session to the same node every time. A session that is
//! still busy keeps its operation waiting, and the wait counts in the response time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, spawn_local};

use super::pacer::{self, Tick};
use super::protocol::{GeneratorHealth, Message, Workload};
use super::recorder::Recorder;
use super::session::{Settings, VirtualSession};
use crate::history::{Operation, OperationKind};

/// How often a final read without a complete reply is made again.
const FINAL_READ_TRIES: u32 = 5;
/// Between two of them.
const FINAL_READ_PAUSE: Duration = Duration::from_millis(300);
/// How many sessions are read at once in the end.
const FINAL_READS_AT_ONCE: usize = 16;

/// An operation on its way to its session.
struct Dispatch {
    kind: OperationKind,
    tick: Tick,
    at_ns: u64,
}

/// The traffic of one trial.
pub struct Generator {
    settings: Settings,
    recorder: RefCell<Recorder>,
    /// After this no waiting operation is started any more.
    give_up: Cell<Option<Instant>>,
    started: Cell<u64>,
    sessions: RefCell<Vec<VirtualSession>>,
}

impl Generator {
    /// Readies the sessions and takes the start of the load as time zero.
    pub fn new(workload: &Workload) -> Result<Rc<Self>, hdrhistogram::CreationError> {
        let settings = Settings {
            entrance: workload.entrance,
            payload_bytes: workload.payload_bytes,
            timeout: Duration::from_nanos(workload.timeout_ns),
            zero: Instant::now(),
        };
        let source = |index: u32| {
            let turn = usize::try_from(index).ok()?.checked_rem(workload.addresses.len())?;
            workload.addresses.get(turn).copied()
        };
        let session = |index| VirtualSession::new(settings.clone(), index, source(index));
        let sessions = (0..workload.sessions).map(session).collect();
        Ok(Rc::new(Self {
            recorder: RefCell::new(Recorder::new()?),
            give_up: Cell::new(None),
            started: Cell::new(0),
            sessions: RefCell::new(sessions),
            settings,
        }))
    }

    /// Performs the load: returns when its last operation has ended or was given up.
    pub async fn load(
        self: &Rc<Self>,
        workload: &Workload,
        say: &UnboundedSender<Message>,
    ) -> Result<(), std::io::Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix = now.saturating_sub(self.settings.zero.elapsed());
        let _ = say.send(Message::Started { unix_ns: u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX) });
        let ticks = pacer::start(workload.load.clone(), workload.length_ns, self.settings.zero)?;
        let summaries = spawn_local(Rc::clone(self).send_summaries(say.clone()));
        let sessions = std::mem::take(&mut *self.sessions.borrow_mut());
        let (queues, tasks): (Vec<_>, Vec<_>) = sessions.into_iter().map(|session| self.run_session(session)).unzip();
        let offered = self.dispatch(ticks, queues, workload).await;
        self.give_up.set(Some(Instant::now() + self.settings.timeout));
        let mut sessions = Vec::with_capacity(tasks.len());
        for task in tasks {
            sessions.extend(task.await.ok());
        }
        *self.sessions.borrow_mut() = sessions;
        summaries.abort();
        let _ = say.send(Message::LoadDone(GeneratorHealth { offered, started: self.started.get() }));
        Ok(())
    }

    /// Reads every session, those that were given up included, and tries again where there is no reply.
    pub async fn final_read(self: &Rc<Self>) -> Message {
        let sessions = std::mem::take(&mut *self.sessions.borrow_mut());
        let count = u32::try_from(sessions.len()).unwrap_or(u32::MAX);
        let read: Vec<(VirtualSession, bool)> = futures::stream::iter(sessions)
            .map(|session| self.read_until_answered(session))
            .buffer_unordered(FINAL_READS_AT_ONCE)
            .collect()
            .await;
        let unanswered = read.iter().filter(|(_, answered)| !answered).count();
        self.sessions.borrow_mut().extend(read.into_iter().map(|(session, _)| session));
        Message::FinalReadDone { sessions: count, unanswered: u32::try_from(unanswered).unwrap_or(u32::MAX) }
    }

    /// Every operation so far, as the history's lines.
    pub fn history(&self) -> Result<Vec<u8>, crate::history::HistoryError> {
        let mut bytes = Vec::new();
        crate::history::write_operations(self.recorder.borrow_mut().operations(), &mut bytes)?;
        Ok(bytes)
    }

    fn run_session(
        self: &Rc<Self>,
        mut session: VirtualSession,
    ) -> (UnboundedSender<Dispatch>, JoinHandle<VirtualSession>) {
        let (sender, mut queue) = unbounded_channel::<Dispatch>();
        let generator = Rc::clone(self);
        let task = spawn_local(async move {
            while let Some(next) = queue.recv().await {
                if generator.give_up.get().is_some_and(|give_up| give_up <= Instant::now()) {
                    break;
                }
                generator.started.set(generator.started.get() + 1);
                let operation = session.perform(next.kind, next.tick, next.at_ns).await;
                generator.recorder.borrow_mut().record(operation);
            }
            session
        });
        (sender, task)
    }

    async fn dispatch(
        &self,
        mut ticks: UnboundedReceiver<Tick>,
        queues: Vec<UnboundedSender<Dispatch>>,
        workload: &Workload,
    ) -> u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(workload.seed);
        let mut round: Vec<usize> = Vec::new();
        let mut offered = 0;
        while let Some(tick) = ticks.recv().await {
            if round.is_empty() {
                round.extend(0..queues.len());
                round.shuffle(&mut rng);
            }
            let kind = if rng.random_bool(workload.read_share) { OperationKind::Read } else { OperationKind::Write };
            let at_ns = self.settings.ns(Instant::now());
            if let Some(queue) = round.pop().and_then(|session| queues.get(session)) {
                let _ = queue.send(Dispatch { kind, tick, at_ns });
                offered += 1;
            }
        }
        offered
    }

    /// Reads the user's session, and then each one that it has given up. Says whether all were answered.
    async fn read_until_answered(&self, mut session: VirtualSession) -> (VirtualSession, bool) {
        let mut all = true;
        if session.is_logged_in() {
            all &= self
                .try_until(&mut session, async |session, tick| {
                    let operation = session.perform(OperationKind::FinalRead, tick, tick.scheduled_ns).await;
                    let answered = operation.is_ok() || !session.is_logged_in();
                    (Some(operation), answered)
                })
                .await;
        }
        for which in 0..session.given_up() {
            all &= self
                .try_until(&mut session, async |session, tick| {
                    let operation = session.look_again(which, tick).await;
                    let answered =
                        operation.as_ref().is_none_or(|operation| operation.is_ok() || operation.session_was_unknown());
                    (operation, answered)
                })
                .await;
        }
        (session, all)
    }

    /// Makes a final read until it is answered, or so often that it is given up.
    async fn try_until(
        &self,
        session: &mut VirtualSession,
        read: impl AsyncFn(&mut VirtualSession, Tick) -> (Option<Operation>, bool),
    ) -> bool {
        for attempt in 1..=FINAL_READ_TRIES {
            let (operation, answered) = read(session, Tick { scheduled_ns: self.settings.ns(Instant::now()) }).await;
            if let Some(operation) = operation {
                self.recorder.borrow_mut().record(operation);
            }
            if answered {
                return true;
            }
            if attempt < FINAL_READ_TRIES {
                tokio::time::sleep(FINAL_READ_PAUSE).await;
            }
        }
        false
    }

    async fn send_summaries(self: Rc<Self>, say: UnboundedSender<Message>) {
        let mut interval = tokio::time::interval(Duration::from_secs(1));
        interval.tick().await;
        loop {
            interval.tick().await;
            let at_ns = self.settings.ns(Instant::now());
            let summary = self.recorder.borrow_mut().take_summary(at_ns);
            if say.send(Message::Summary(summary)).is_err() {
                return;
            }
        }
    }
}
