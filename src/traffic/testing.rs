//! Servers for tests: an app with the part of the contract that users need, which can misbehave on request, and a
//! server that sends given replies.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Contract, LoadGenerator, Script};
use crate::history::{GeneratorHealth, Operation, OperationKind, SessionHistories};
use crate::load::{ConstantRate, Destination, LoadModel, Population, Protocol, Schedule, Workload};
use crate::lock::lock;

/// A test app: how it misbehaves, its sessions and its counts.
#[derive(Default)]
pub struct App {
    /// Knows no session from this request on, for this number of requests.
    pub forgets: Option<(u64, u64)>,
    /// Sends no reply from this request on, for this duration.
    pub freezes: Option<(u64, Duration)>,
    /// Delay before each reply.
    pub delay: Duration,
    /// Delay between the headers and the body of a reply.
    pub pause_before_body: Duration,
    /// Sends `Connection: close` with each reply and closes the connection.
    pub closes: bool,
    /// Closes the connection instead of the second reply on it.
    pub hangs_up: bool,
    /// Sessions and counts.
    pub seen: Mutex<Seen>,
}

/// Sessions and counts of a test app.
#[derive(Default)]
pub struct Seen {
    versions: HashMap<String, u64>,
    requests: u64,
    connections: u64,
    frozen_until: Option<Instant>,
}

impl App {
    /// Serves on its own port until the process ends.
    pub fn serve(self) -> (SocketAddr, Arc<Self>) {
        self.serve_through(|stream| stream)
    }

    /// The same, with `wrap` around each connection.
    pub fn serve_through<S: Read + Write>(
        self,
        wrap: impl Fn(TcpStream) -> S + Clone + Send + 'static,
    ) -> (SocketAddr, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, app) = (listener.local_addr().unwrap(), Arc::new(self));
        let shared = Arc::clone(&app);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Without this, the kernel holds the body back until the headers are acknowledged, 40 ms later.
                let _ = stream.set_nodelay(true);
                let (app, wrap) = (Arc::clone(&shared), wrap.clone());
                app.count_connection();
                thread::spawn(move || app.serve_connection(wrap(stream)));
            }
        });
        (address, app)
    }

    /// Counts a new connection.
    pub fn count_connection(&self) {
        lock(&self.seen).connections += 1;
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> u64 {
        lock(&self.seen).connections
    }

    fn serve_connection(&self, mut stream: impl Read + Write) {
        let mut buffer = [0; 2048];
        let mut served = 0;
        while let Ok(read) = stream.read(&mut buffer) {
            if read == 0 || (self.hangs_up && served > 0) {
                return;
            }
            served += 1;
            let (head, body) = self.answer(&String::from_utf8_lossy(&buffer[..read]));
            thread::sleep(self.delay);
            let until = lock(&self.seen).frozen_until;
            thread::sleep(until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now())));
            if stream.write_all(head.as_bytes()).is_err() {
                return;
            }
            thread::sleep(self.pause_before_body);
            if stream.write_all(body.as_bytes()).is_err() || self.closes {
                return;
            }
        }
    }

    /// The headers and the body of the reply to a request.
    pub fn answer(&self, request: &str) -> (String, String) {
        let mut seen = lock(&self.seen);
        seen.requests += 1;
        let number = seen.requests;
        if let Some((_, length)) = self.freezes.filter(|(at, _)| *at == number) {
            seen.frozen_until = Some(Instant::now() + length);
        }
        let named = request.split("SID=").nth(1).and_then(|rest| rest.split(['\r', ';']).next());
        if request.starts_with("POST /session HTTP") {
            let owner = request.split("\"owner\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            let id = format!("{owner}-{number}");
            seen.versions.insert(id.clone(), 0);
            return self.reply(200, &format!("Set-Cookie: SID={id}; Path=/\r\n"), &state(&id, 0));
        }
        let forgets = self.forgets.is_some_and(|(from, count)| (from..from + count).contains(&number));
        if let Some(id) = named.filter(|_| request.starts_with("POST /session/log-out")) {
            seen.versions.remove(id);
            return self.reply(204, "Set-Cookie: SID=; Max-Age=0\r\n", "");
        }
        match named.and_then(|id| Some((id, seen.versions.get_mut(id)?))).filter(|_| !forgets) {
            Some((id, version)) => {
                *version += u64::from(request.starts_with("POST"));
                self.reply(200, "", &state(id, *version))
            }
            None => self.reply(404, "", r#"{"node":"app-1","boot":"b","error":"unknown-session"}"#),
        }
    }

    fn reply(&self, status: u16, headers: &str, body: &str) -> (String, String) {
        let closes = if self.closes { "Connection: close\r\n" } else { "" };
        (format!("HTTP/1.1 {status} X\r\n{headers}{closes}Content-Length: {}\r\n\r\n", body.len()), body.to_owned())
    }
}

fn state(id: &str, version: u64) -> String {
    let owner = id.split('-').next().unwrap();
    format!(
        r#"{{"node":"app-1","boot":"b","owner":"{owner}","epoch":"{id}","version":{version},"digest":"0000000000000000","tail":[]}}"#
    )
}

/// A server that sends the next of `replies` on each connection, and then closes it.
pub fn replies_with(replies: Vec<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut replies = replies.into_iter();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let Some(reply) = replies.next() else { return };
            let mut request = [0; 2048];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(&reply);
        }
    });
    address
}

/// Half a second of traffic from five users, 200 operations a second.
pub fn workload(endpoint: SocketAddr) -> Workload {
    let app = Destination { endpoints: vec![endpoint], protocol: Protocol::default(), host: "app".into() };
    changed(Workload::of_one_user(app), |workload| {
        workload.users.population = Population::Fixed(5);
        workload.sessions.payload_bytes = 10;
        workload.timing.model = LoadModel::Open(Schedule::ConstantRate(ConstantRate::new(200.0)));
        workload.timing.length_ns = 500_000_000;
        workload.timing.timeout_ns = 5_000_000_000;
    })
}

/// The workload with a change.
pub fn changed(mut workload: Workload, change: impl FnOnce(&mut Workload)) -> Workload {
    change(&mut workload);
    workload
}

/// A generator whose users have sessions of the contract.
pub fn generator(workload: Workload) -> LoadGenerator {
    let contract = Contract::of(&workload);
    LoadGenerator::new(workload, Script::Contract(contract)).unwrap()
}

/// The results of a load and its final read.
pub struct Done {
    /// All operations, in the order of a history.
    pub history: Vec<Operation>,
    /// How well the generator kept its schedule.
    pub health: GeneratorHealth,
    /// How many sessions the final read covered, and how many of them got no reply.
    pub read: (u32, u32),
}

impl Done {
    /// The operations of the load, without the final reads.
    pub fn of_the_load(&self) -> impl Iterator<Item = &Operation> {
        let is_final_read = |kind| matches!(kind, OperationKind::FinalRead | OperationKind::NodeRead);
        self.history.iter().filter(move |operation| !is_final_read(operation.kind))
    }
}

/// Runs a workload and the final read.
pub fn fire(workload: Workload) -> Done {
    let named = |(number, address): (usize, &SocketAddr)| (format!("app-{}", number + 1), *address);
    let nodes = workload.destination.endpoints.iter().enumerate().map(named).collect();
    let mut generator = generator(workload);
    let health = generator.load(Instant::now, &mut |_| {}).unwrap();
    let read = generator.final_read(&nodes).unwrap();
    Done { history: operations(&generator), health, read }
}

/// Every operation of a generator, written as a history file and read back.
pub fn operations(generator: &LoadGenerator) -> Vec<Operation> {
    let mut bytes = Vec::new();
    generator.write_history(&mut bytes).unwrap();
    let histories = SessionHistories::of(Bytes::from(bytes)).unwrap();
    histories.flat_map(|history| history.unwrap().operations).collect()
}
