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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::{Ipv4Addr, SocketAddrV4};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::LocalSet;

    use super::*;
    use crate::history::{History, Life, read_operations};
    use crate::load::{ConstantRate, LoadModel};

    /// An app of the contract, as far as the agent needs one, that can be told to misbehave.
    #[derive(Default)]
    struct App {
        versions: RefCell<HashMap<String, u64>>,
        created: Cell<u64>,
        requests: Cell<u64>,
        /// Does not know any session for so many requests, from this one on.
        forgets: Cell<Option<(u64, u64)>>,
        /// Answers nobody for so long, at this request.
        freezes: Cell<Option<(u64, Duration)>>,
        frozen_until: Cell<Option<Instant>>,
    }

    impl App {
        async fn serve(self: Rc<Self>, listener: TcpListener) {
            while let Ok((stream, _)) = listener.accept().await {
                spawn_local(Rc::clone(&self).serve_connection(stream));
            }
        }

        async fn serve_connection(self: Rc<Self>, mut stream: TcpStream) {
            let mut buffer = [0; 2048];
            while let Ok(read) = stream.read(&mut buffer).await {
                if read == 0 {
                    return;
                }
                let reply = self.answer(&String::from_utf8_lossy(&buffer[..read]));
                if let Some(until) = self.frozen_until.get() {
                    tokio::time::sleep_until(until.into()).await;
                }
                if stream.write_all(reply.as_bytes()).await.is_err() {
                    return;
                }
            }
        }

        fn answer(&self, request: &str) -> String {
            let number = self.requests.get() + 1;
            self.requests.set(number);
            if let Some((_, length)) = self.freezes.get().filter(|(at, _)| *at == number) {
                self.frozen_until.set(Some(Instant::now() + length));
            }
            let named = request.split("SID=").nth(1).and_then(|rest| rest.split(['\r', ';']).next());
            if request.starts_with("POST /session HTTP") {
                let owner = request.split("\"owner\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
                self.created.set(self.created.get() + 1);
                let id = format!("{owner}-{}", self.created.get());
                self.versions.borrow_mut().insert(id.clone(), 0);
                return reply(200, &format!("Set-Cookie: SID={id}\r\n"), &state(&id, 0));
            }
            let forgets = self.forgets.get().is_some_and(|(from, count)| (from..from + count).contains(&number));
            let mut versions = self.versions.borrow_mut();
            match named.and_then(|id| versions.get_mut(id)).filter(|_| !forgets) {
                Some(version) => {
                    *version += u64::from(request.starts_with("POST"));
                    reply(200, "", &state(named.unwrap(), *version))
                }
                None => reply(404, "", r#"{"node":"app-1","boot":"b","error":"unknown-session"}"#),
            }
        }
    }

    fn state(id: &str, version: u64) -> String {
        let owner = id.split('-').next().unwrap();
        format!(
            r#"{{"node":"app-1","boot":"b","owner":"{owner}","epoch":"{id}","version":{version},"digest":"0","tail":[]}}"#
        )
    }

    fn reply(status: u16, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
    }

    /// Half a second of traffic from five users, 200 operations a second, then the final read.
    async fn history_with(app: App) -> (History, Message) {
        LocalSet::new()
            .run_until(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let workload = Workload {
                    entrance: SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port()),
                    sessions: 5,
                    payload_bytes: 10,
                    read_share: 0.5,
                    load: LoadModel::ConstantRate(ConstantRate::new(200.0)),
                    length_ns: 500_000_000,
                    timeout_ns: 5_000_000_000,
                    seed: 1,
                    addresses: Vec::new(),
                };
                spawn_local(Rc::new(app).serve(listener));
                let generator = Generator::new(&workload).unwrap();
                let (say, _messages) = unbounded_channel();
                generator.load(&workload, &say).await.unwrap();
                let done = generator.final_read().await;
                let operations = read_operations(generator.history().unwrap().as_slice()).unwrap();
                (History { operations, ..History::default() }, done)
            })
            .await
    }

    #[tokio::test]
    async fn every_operation_of_the_schedule_is_performed_once_and_every_session_read_in_the_end() {
        let (history, done) = history_with(App::default()).await;
        assert_eq!(done, Message::FinalReadDone { sessions: 5, unanswered: 0 });
        assert_eq!(history.operations.len(), 100 + 5);
        assert!(history.operations.iter().all(Operation::is_ok));
        let lives = Life::all(&history);
        assert_eq!(lives.len(), 5, "nobody had to log in again");
        assert!(lives.iter().all(|life| life.operations.len() == 21), "a round gives everyone one operation");
    }

    #[tokio::test]
    async fn a_stall_is_felt_by_every_operation_that_should_have_started_meanwhile() {
        let stall = Duration::from_millis(400);
        let app = App::default();
        app.freezes.set(Some((20, stall)));
        let (history, _) = history_with(app).await;
        let felt = history.operations.iter().filter(|operation| operation.response_us() > 100_000).count();
        // Those of the stall's first 300 ms wait for more than 100 ms: 60 at 200/s.
        assert!(felt >= 40, "only {felt} operations felt the stall");
        let served = history.operations.iter().filter(|operation| operation.service_us() > Some(100_000)).count();
        assert!(served <= 10, "{served} were under way: the others waited for their session's turn");
        assert_eq!(history.operations.len(), 100 + 5, "and none was left out");
    }

    #[tokio::test]
    async fn a_session_that_is_unknown_for_a_while_is_given_up_and_found_again_in_the_end() {
        let app = App::default();
        app.forgets.set(Some((20, 30)));
        let (history, _) = history_with(app).await;
        let lives = Life::all(&history);
        assert!(lives.len() > 5, "users have logged in again");
        assert!(lives.iter().any(Life::was_forgotten));
        assert!(lives.iter().all(|life| life.loss().is_none()), "the last look found every session");
    }

    #[tokio::test]
    async fn a_session_that_is_unknown_to_the_last_is_lost() {
        let app = App::default();
        app.forgets.set(Some((20, 10_000)));
        let (history, done) = history_with(app).await;
        assert_eq!(done, Message::FinalReadDone { sessions: 5, unanswered: 0 });
        assert!(
            Life::all(&history)
                .iter()
                .filter(|life| life.creation().is_some())
                .all(|life| life.loss().is_some() || life.operations.len() == 1)
        );
    }
}
