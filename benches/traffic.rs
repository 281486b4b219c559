//! What the traffic engine costs, beside other generators against the same nginx in the same run: ratios, because
//! machines differ and are noisy. `make bench` runs all of it; it needs nginx and wrk (Debian packages) and oha (a crate),
//! and says which is missing.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a bench prints, and stops where it cannot go on"
)]

use std::env;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use procfs::process::Process;
use steadfast::load::{Closed, Connections, LoadModel, Overload, Pacing, Popularity, Population, ThinkTime, Workload};
use steadfast::traffic::{Contract, Engine, Script};

const PORT: u16 = 18_080;
const STATE: &str = r#"{"node":"app-1","boot":"0123456789abcdef","owner":"s1","epoch":"fedcba9876543210","version":9,"digest":"0123456789abcdef","tail":["1.1.1","1.1.2","1.1.3","1.1.4","1.1.5","1.1.6","1.1.7","1.1.8"]}"#;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--engine") {
        engine(arguments[at + 1].parse().unwrap(), arguments[at + 2].parse().unwrap());
        return;
    }
    let nginx = nginx();
    for round in 0..3 {
        let wrk = measured(Command::new("taskset").args(["-c", "0", "wrk", "-t1", "-c32", "-d5s", &url()]), |output| {
            let line = output.lines().find(|line| line.contains("requests in")).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        });
        let own = measured(
            Command::new("taskset").args(["-c", "0"]).arg(env::current_exe().unwrap()).args(["--engine", "32", "5"]),
            |output| output.trim().parse().unwrap(),
        );
        println!("{round}: wrk {wrk:.2} µs, engine {own:.2} µs, ratio {:.3}", own / wrk);
    }
    drop(nginx);
}

fn url() -> String {
    format!("http://127.0.0.1:{PORT}/session")
}

struct Nginx(Child, tempfile::TempDir);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn nginx() -> Nginx {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid {path}/pid; error_log {path}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {path}; proxy_temp_path {path};
fastcgi_temp_path {path}; uwsgi_temp_path {path}; scgi_temp_path {path};
server {{ listen 127.0.0.1:{PORT}; default_type application/json;
location / {{ return 200 '{STATE}'; }} }} }}"
    );
    std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let child = Command::new("taskset")
        .args(["-c", "1", "nginx", "-c"])
        .arg(folder.path().join("nginx.conf"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while std::net::TcpStream::connect(("127.0.0.1", PORT)).is_err() {
        assert!(Instant::now() < deadline, "nginx does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Nginx(child, folder)
}

/// Runs a generator; returns its processor time for each request, in microseconds.
fn measured(command: &mut Command, requests: impl Fn(&str) -> f64) -> f64 {
    let before = children_cpu_us();
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    let used = children_cpu_us() - before;
    used / requests(&String::from_utf8_lossy(&output.stdout))
}

fn children_cpu_us() -> f64 {
    let stat = Process::myself().unwrap().stat().unwrap();
    (stat.cutime + stat.cstime) as f64 * 1e6 / procfs::ticks_per_second() as f64
}

fn engine(sessions: u32, seconds: u64) {
    let workload = Workload {
        entrance: format!("127.0.0.1:{PORT}").parse().unwrap(),
        population: Population::Fixed(sessions),
        payload_bytes: 0,
        write_bytes: 0,
        read_share: 1.0,
        lifetime: None,
        at_once: 1,
        popularity: Popularity::Uniform,
        addresses: Vec::new(),
        connections: Connections::PerSession,
        load: LoadModel::Closed(Closed { think: ThinkTime::default() }),
        think: ThinkTime::default(),
        warm_up_ns: 0,
        length_ns: seconds * 1_000_000_000,
        timeout_ns: 10_000_000_000,
        overload: Overload::Queue,
        pacing: Pacing::Sleep,
        threads: 1,
        seed: 1,
        nodes: Vec::new(),
    };
    let contract = Contract {
        headers: format!("Host: 127.0.0.1:{PORT}\r\n").into_bytes(),
        payload_bytes: 0,
        write_bytes: 0,
        lifetime: None,
    };
    let mut engine = Engine::new(workload, Script::Contract(contract)).unwrap();
    let mut bad = 0;
    let health =
        engine.load(|| {}, &mut |summary| bad += summary.fail + summary.indeterminate + summary.unknown).unwrap();
    if bad > 0 {
        eprintln!("{bad} bad");
    }
    println!("{}", health.started);
}
