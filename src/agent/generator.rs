//! Starts operations on schedule and deals them out to the users.
//!
//! Each round gives every user its turn, in a new random order: a fixed order would beat in step with a
//! round-robin balancer and lead each session to the same node every time. A user who is still busy keeps
//! its operation waiting, and the wait counts in the response time.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::SocketAddrV4;
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
use super::recorder::{Recorder, RecorderError};
use super::user::{Lane, Settings, Start, User, Whose};
use crate::history::{Operation, OperationKind};

/// How often a final read without a complete reply is made again.
const FINAL_READ_TRIES: u32 = 5;
/// Between two of them.
const FINAL_READ_PAUSE: Duration = Duration::from_millis(300);
/// How many users' sessions are read at once in the end.
const FINAL_READS_AT_ONCE: usize = 16;

/// An operation on its way to its user.
struct Dispatch {
    kind: OperationKind,
    start: Start,
}

/// A user and the lanes over which it works.
struct Seat {
    user: User,
    lanes: Vec<Lane>,
}

/// The traffic of one trial.
pub struct Generator {
    settings: Rc<Settings>,
    recorder: RefCell<Recorder>,
    /// After this no waiting operation is started any more.
    give_up: Cell<Option<Instant>>,
    started: Cell<u64>,
    seats: Vec<Seat>,
    nodes: Vec<SocketAddrV4>,
}

impl Generator {
    /// Readies the users and takes the start of the load as time zero.
    pub fn new(workload: &Workload) -> Result<Rc<Self>, hdrhistogram::CreationError> {
        let settings = Rc::new(Settings {
            entrance: workload.entrance,
            payload_bytes: workload.payload_bytes,
            log_out_after: workload.log_out_after,
            timeout: Duration::from_nanos(workload.timeout_ns),
            zero: Instant::now(),
            answers: RefCell::default(),
        });
        let source = |index: u32| {
            let turn = usize::try_from(index).ok()?.checked_rem(workload.addresses.len())?;
            workload.addresses.get(turn).copied()
        };
        let seat = |index| Seat {
            user: User::new(Rc::clone(&settings), index, source(index)),
            lanes: (0..workload.at_once.max(1)).map(|_| Lane::default()).collect(),
        };
        Ok(Rc::new(Self {
            recorder: RefCell::new(Recorder::new(workload.sessions)?),
            give_up: Cell::new(None),
            started: Cell::new(0),
            seats: (0..workload.sessions).map(seat).collect(),
            nodes: workload.nodes.clone(),
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
        let load = workload.load.clone().in_bursts(workload.at_once);
        let ticks = pacer::start(load, workload.length_ns, self.settings.zero)?;
        let summaries = spawn_local(Rc::clone(self).send_summaries(say.clone()));
        let mut queues = Vec::with_capacity(self.seats.len());
        let mut tasks = Vec::new();
        for seat in 0..self.seats.len() {
            let lanes = 0..self.seats.get(seat).map_or(0, |seat| seat.lanes.len());
            let (senders, work): (Vec<_>, Vec<_>) = lanes.map(|lane| self.run_lane(seat, lane)).unzip();
            queues.push(senders);
            tasks.extend(work);
        }
        let offered = self.dispatch(ticks, queues, workload).await;
        self.give_up.set(Some(Instant::now() + self.settings.timeout));
        for task in tasks {
            let _ = task.await;
        }
        summaries.abort();
        let _ = say.send(Message::LoadDone(GeneratorHealth { offered, started: self.started.get() }));
        Ok(())
    }

    /// Reads every session, those that were left behind included, and tries again where there is no reply;
    /// then asks each node itself what it holds.
    pub async fn final_read(self: &Rc<Self>) -> Message {
        let all: Vec<(u32, u32)> = futures::stream::iter(&self.seats)
            .map(|seat| self.read_sessions(seat))
            .buffer_unordered(FINAL_READS_AT_ONCE)
            .collect()
            .await;
        futures::stream::iter(&self.seats).for_each_concurrent(FINAL_READS_AT_ONCE, |seat| self.ask_nodes(seat)).await;
        let (sessions, unanswered) = all.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        Message::FinalReadDone { sessions, unanswered }
    }

    /// Writes every operation so far as a history. Those that are under way are in it, as unfinished.
    pub fn write_history(&self, sink: impl Write + Send) -> Result<(), RecorderError> {
        let now_ns = self.settings.ns(Instant::now());
        let lanes = self.seats.iter().flat_map(|seat| &seat.lanes);
        let unfinished: Vec<Operation> = lanes.filter_map(|lane| lane.unfinished(now_ns)).collect();
        self.recorder.borrow().write(sink, &self.settings.answers.borrow(), &unfinished)
    }

    fn run_lane(self: &Rc<Self>, seat: usize, lane: usize) -> (UnboundedSender<Dispatch>, JoinHandle<()>) {
        let (sender, mut queue) = unbounded_channel::<Dispatch>();
        let generator = Rc::clone(self);
        let task = spawn_local(async move {
            let Some(Seat { user, lanes }) = generator.seats.get(seat) else { return };
            let Some(lane) = lanes.get(lane) else { return };
            while let Some(next) = queue.recv().await {
                if generator.give_up.get().is_some_and(|give_up| give_up <= Instant::now()) {
                    break;
                }
                generator.started.set(generator.started.get() + 1);
                let operation = user.perform(lane, next.kind, next.start).await;
                generator.record(&operation);
            }
        });
        (sender, task)
    }

    fn record(&self, operation: &Operation) {
        self.recorder.borrow_mut().record(operation, &mut self.settings.answers.borrow_mut());
    }

    /// A turn is as many operations of one user as start at once.
    async fn dispatch(
        &self,
        mut ticks: UnboundedReceiver<Tick>,
        queues: Vec<Vec<UnboundedSender<Dispatch>>>,
        workload: &Workload,
    ) -> u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(workload.seed);
        let mut round: Vec<usize> = Vec::new();
        let mut offered = 0;
        let mut turn: Option<(usize, usize)> = None;
        while let Some(tick) = ticks.recv().await {
            let (seat, lane) = turn.take().unwrap_or_else(|| {
                if round.is_empty() {
                    round.extend(0..queues.len());
                    round.shuffle(&mut rng);
                }
                (round.pop().unwrap_or_default(), 0)
            });
            let kind = if rng.random_bool(workload.read_share) { OperationKind::Read } else { OperationKind::Write };
            let dispatched_ns = self.settings.ns(Instant::now());
            let Some(lanes) = queues.get(seat) else { continue };
            if let Some(queue) = lanes.get(lane) {
                let start = Start { scheduled_ns: tick.scheduled_ns, dispatched_ns };
                let _ = queue.send(Dispatch { kind, start });
                offered += 1;
            }
            turn = Some((seat, lane + 1)).filter(|(_, next)| *next < lanes.len());
        }
        offered
    }

    fn now(&self) -> Start {
        let now_ns = self.settings.ns(Instant::now());
        Start { scheduled_ns: now_ns, dispatched_ns: now_ns }
    }

    /// Reads a user's sessions. Says how many there are, and how many were not answered.
    async fn read_sessions(&self, seat: &Seat) -> (u32, u32) {
        let (mut sessions, mut unanswered) = (0, 0);
        for whose in seat.user.sessions() {
            sessions += 1;
            unanswered += u32::from(!self.read_until_answered(seat, whose).await);
        }
        (sessions, unanswered)
    }

    async fn read_until_answered(&self, seat: &Seat, whose: Whose) -> bool {
        let Some(lane) = seat.lanes.first() else { return false };
        for attempt in 1..=FINAL_READ_TRIES {
            let operation = seat.user.look_at(lane, whose, None, self.now()).await;
            self.record(&operation);
            if operation.is_ok() || operation.session_was_unknown() {
                return true;
            }
            if attempt < FINAL_READ_TRIES {
                tokio::time::sleep(FINAL_READ_PAUSE).await;
            }
        }
        false
    }

    async fn ask_nodes(&self, seat: &Seat) {
        let Some(lane) = seat.lanes.first() else { return };
        for whose in seat.user.sessions().into_iter().filter(|whose| seat.user.is_worth_comparing(*whose)) {
            for node in &self.nodes {
                let operation = seat.user.look_at(lane, whose, Some(*node), self.now()).await;
                self.record(&operation);
            }
        }
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

    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::LocalSet;

    use super::*;
    use crate::history::file::Detail;
    use crate::history::{ErrorKind, Fate, Life, Lives, Outcome};
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
        /// How long each answer takes.
        delay: Cell<Duration>,
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
                if !self.delay.get().is_zero() {
                    tokio::time::sleep(self.delay.get()).await;
                }
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
            if let Some(id) = named.filter(|_| request.starts_with("DELETE")) {
                versions.remove(id);
                return reply(204, "Set-Cookie: SID=; Max-Age=0\r\n", "");
            }
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
            r#"{{"node":"app-1","boot":"b","owner":"{owner}","epoch":"{id}","version":{version},"digest":"0000000000000000","tail":[]}}"#
        )
    }

    fn reply(status: u16, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
    }

    /// Half a second of traffic from five users, 200 operations a second, then the final read.
    async fn history_with(app: App) -> (Vec<Operation>, Message) {
        history_of(app, |_| {}).await
    }

    async fn history_of(app: App, change: impl FnOnce(&mut Workload)) -> (Vec<Operation>, Message) {
        LocalSet::new()
            .run_until(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let entrance = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port());
                let mut workload = Workload {
                    entrance,
                    sessions: 5,
                    payload_bytes: 10,
                    read_share: 0.5,
                    load: LoadModel::ConstantRate(ConstantRate::new(200.0)),
                    length_ns: 500_000_000,
                    timeout_ns: 5_000_000_000,
                    seed: 1,
                    addresses: Vec::new(),
                    at_once: 1,
                    log_out_after: None,
                    nodes: vec![entrance],
                };
                change(&mut workload);
                spawn_local(Rc::new(app).serve(listener));
                let generator = Generator::new(&workload).unwrap();
                let (say, _messages) = unbounded_channel();
                generator.load(&workload, &say).await.unwrap();
                let done = generator.final_read().await;
                (operations_of(&generator), done)
            })
            .await
    }

    fn operations_of(generator: &Generator) -> Vec<Operation> {
        let mut bytes = Vec::new();
        generator.write_history(&mut bytes).unwrap();
        let lives = Lives::of(Bytes::from(bytes), Detail::Everything).unwrap();
        lives.flat_map(|life| life.unwrap().operations).collect()
    }

    fn of_the_load(history: &[Operation]) -> usize {
        let is_last_look = |kind| matches!(kind, OperationKind::FinalRead | OperationKind::NodeRead);
        history.iter().filter(|operation| !is_last_look(operation.kind)).count()
    }

    #[tokio::test]
    async fn every_operation_of_the_schedule_is_performed_once_and_every_session_read_in_the_end() {
        let (history, done) = history_with(App::default()).await;
        assert_eq!(done, Message::FinalReadDone { sessions: 5, unanswered: 0 });
        assert_eq!(history.len(), 100 + 5 + 5, "and once from the one node");
        assert!(history.iter().all(Operation::is_ok));
        let lives = Life::all(history);
        assert_eq!(lives.len(), 5, "nobody had to log in again");
        assert!(lives.iter().all(|life| life.operations.len() == 22), "a round gives everyone one operation");
    }

    #[tokio::test]
    async fn a_stall_is_felt_by_every_operation_that_should_have_started_meanwhile() {
        let stall = Duration::from_millis(400);
        let app = App::default();
        app.freezes.set(Some((20, stall)));
        let (history, _) = history_with(app).await;
        let felt = history.iter().filter(|operation| operation.response_us() > 100_000).count();
        // Those of the stall's first 300 ms wait for more than 100 ms: 60 at 200/s.
        assert!(felt >= 40, "only {felt} operations felt the stall");
        let served = history.iter().filter(|operation| operation.service_us() > Some(100_000)).count();
        assert!(served <= 10, "{served} were under way: the others waited for their session's turn");
        assert_eq!(of_the_load(&history), 100, "and none was left out");
    }

    #[tokio::test]
    async fn a_session_that_is_unknown_for_a_while_is_given_up_and_found_again_in_the_end() {
        let app = App::default();
        app.forgets.set(Some((20, 30)));
        let (history, _) = history_with(app).await;
        let lives = Life::all(history);
        assert!(lives.len() > 5, "users have logged in again");
        let fates: Vec<Fate> = lives.iter().map(Fate::of).collect();
        assert!(fates.iter().any(Fate::was_forgotten));
        assert!(fates.iter().all(|fate| fate.loss.is_none()), "the last look found every session");
    }

    #[tokio::test]
    async fn a_session_that_is_unknown_to_the_last_is_lost() {
        let app = App::default();
        app.forgets.set(Some((20, 10_000)));
        let (history, done) = history_with(app).await;
        assert!(matches!(done, Message::FinalReadDone { unanswered: 0, .. }), "{done:?}");
        let lives = Life::all(history);
        let created = lives.iter().filter(|life| Fate::of(life).creation.is_some());
        assert!(created.clone().count() >= 5);
        for life in created {
            let asked_again = life.operations.iter().any(|operation| operation.kind != OperationKind::Create);
            assert_eq!(Fate::of(life).loss.is_some(), asked_again, "{life:?}");
        }
    }

    #[tokio::test]
    async fn a_user_logs_out_comes_back_once_and_logs_in_again() {
        let (history, _) = history_of(App::default(), |workload| workload.log_out_after = Some(5)).await;
        let lives = Life::all(history);
        assert!(lives.len() >= 10, "{} lives", lives.len());
        let first = &lives[0].operations;
        assert_eq!(first[0].kind, OperationKind::Create);
        assert_eq!((first[5].kind, &first[5].outcome), (OperationKind::LogOut, &Outcome::LoggedOut));
        assert_eq!(first[6].kind, OperationKind::Read);
        assert!(first[6..].iter().all(Operation::session_was_unknown), "the app has ended it");
        assert!(lives.iter().all(|life| Fate::of(life).loss.is_none()), "a log-out is no loss");
    }

    #[tokio::test]
    async fn operations_of_one_session_go_on_at_once_and_logging_in_is_done_alone() {
        let app = App::default();
        app.delay.set(Duration::from_millis(2));
        let (history, _) = history_of(app, |workload| workload.at_once = 4).await;
        assert_eq!(of_the_load(&history), 100);
        let lives = Life::all(history);
        assert_eq!(lives.len(), 5, "one log-in each");
        let under_way = |life: &Life, at: &Operation| {
            let overlaps =
                |other: &&Operation| other.began_ns() <= at.began_ns() && at.began_ns() < other.times.completed_ns;
            life.operations.iter().filter(overlaps).count()
        };
        let most = lives.iter().flat_map(|life| life.operations.iter().map(|at| under_way(life, at))).max();
        assert_eq!(most, Some(4));
        for life in &lives {
            assert_eq!(under_way(life, &life.operations[0]), 1, "nothing else while it logs in");
        }
    }

    #[tokio::test]
    async fn what_is_under_way_when_the_history_is_taken_is_in_it_as_unfinished() {
        LocalSet::new()
            .run_until(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let entrance = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port());
                let app = App::default();
                app.delay.set(Duration::from_secs(60));
                spawn_local(Rc::new(app).serve(listener));
                let workload = Workload {
                    entrance,
                    sessions: 2,
                    payload_bytes: 0,
                    read_share: 0.0,
                    load: LoadModel::ConstantRate(ConstantRate::new(1000.0)),
                    length_ns: 10_000_000,
                    timeout_ns: 120_000_000_000,
                    seed: 1,
                    addresses: Vec::new(),
                    at_once: 1,
                    log_out_after: None,
                    nodes: Vec::new(),
                };
                let generator = Generator::new(&workload).unwrap();
                let (say, _messages) = unbounded_channel();
                let _ = tokio::time::timeout(Duration::from_millis(300), generator.load(&workload, &say)).await;
                let operations = operations_of(&generator);
                assert_eq!(operations.len(), 2);
                let unfinished = Outcome::Indeterminate(ErrorKind::Unfinished);
                assert!(operations.iter().all(|operation| operation.outcome == unfinished));
            })
            .await;
    }
}
