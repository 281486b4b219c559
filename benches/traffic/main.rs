//! CPU cost and lag of the traffic generator, compared with other generators and bare loops in the same run. It prints
//! ratios, because machines differ and are noisy. `make bench` runs all parts; `cargo bench --bench traffic -- wrk lag`
//! runs some.
//!
//! It needs nginx and, for comparison, wrk (Debian packages) and oha (`cargo install oha --locked`). It reports missing
//! programs.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench prints, stops where it cannot go on, and counts nothing beyond 2^53"
)]

mod cost;
mod freeze;
mod lag;
mod nginx;
mod sessions;

use std::env;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use steadfast::load::{ConstantRate, Destination, LoadModel, Population, Protocol, Schedule, Workload};
use steadfast::traffic::{LoadGenerator, Script};

/// Measurements of each kind; the median of their ratios counts.
const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [role, job] = arguments.as_slice()
        && role == "--generator"
    {
        println!("{}", serde_json::to_string(&fire(serde_json::from_str(job).unwrap())).unwrap());
        return;
    }
    let wants = |name: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == name);
    let nginx = nginx::Nginx::start();
    if wants("wrk") {
        cost::beside_wrk(&nginx);
    }
    if wants("mapped") {
        cost::of_a_mapping(&nginx);
    }
    if wants("oha") {
        cost::beside_oha(&nginx);
    }
    if wants("lag") {
        lag::beside_a_bare_loop(&nginx);
    }
    if wants("freeze") {
        freeze::against_paper(&nginx);
    }
    if wants("sessions") {
        sessions::cost_by_their_number(&nginx);
        sessions::memory_of_a_million(&nginx);
    }
}

/// The result of a load in its own process.
#[derive(Serialize, Deserialize)]
struct Fired {
    started: u64,
    ok: u64,
    cpu_us_per_operation: f64,
    busiest_core: f64,
    /// How late operations were, in nanoseconds: p50, p99.
    lag_ns: (u64, u64),
    /// Scheduled instants and response times in nanoseconds, if the job wants them.
    responses: Vec<(u64, u64)>,
    resident_bytes_before: u64,
    resident_bytes: u64,
}

/// A load to run, and whether each response time is wanted.
#[derive(Serialize, Deserialize)]
struct Job {
    workload: Workload,
    wants_responses: bool,
}

/// Reads of `sessions` sessions against nginx, each over its own connection, in a closed loop without think time.
fn workload(nginx: &nginx::Nginx, sessions: u32, seconds: u64) -> Workload {
    let destination = Destination {
        endpoints: vec![nginx.address()],
        protocol: Protocol::default(),
        host: nginx.address().to_string(),
    };
    changed(Workload::of_one_user(destination), |workload| {
        workload.users.population = Population::Fixed(sessions);
        workload.users.read_share = 1.0;
        workload.timing.length_ns = seconds * 1_000_000_000;
    })
}

/// The workload with a change.
fn changed(mut workload: Workload, change: impl FnOnce(&mut Workload)) -> Workload {
    change(&mut workload);
    workload
}

fn at_rate(per_second: f64) -> LoadModel {
    LoadModel::Open(Schedule::ConstantRate(ConstantRate::new(per_second)))
}

/// Runs a load in this process.
fn fire(job: Job) -> Fired {
    let resident_bytes_before = resident_bytes();
    let script = Script::of(&job.workload);
    let mut generator = LoadGenerator::new(job.workload, script).unwrap();
    let mut ok = 0;
    let health = generator.load(std::time::Instant::now, &mut |summary| ok += summary.ok).unwrap();
    let resident_bytes = resident_bytes();
    let (lag_ns, responses) = if job.wants_responses { lags_and_responses(&generator) } else { ((0, 0), Vec::new()) };
    Fired {
        started: health.started,
        ok,
        cpu_us_per_operation: health.cpu_ns as f64 / 1000.0 / health.started.max(1) as f64,
        busiest_core: health.busiest_core,
        lag_ns,
        responses,
        resident_bytes_before,
        resident_bytes,
    }
}

fn lags_and_responses(generator: &LoadGenerator) -> ((u64, u64), Vec<(u64, u64)>) {
    let mut file = tempfile::tempfile().unwrap();
    generator.write_history(&mut file).unwrap();
    let histories = steadfast::history::SessionHistories::of(file).unwrap();
    let operations: Vec<_> = histories.flat_map(|history| history.unwrap().operations).collect();
    let lags = operations.iter().map(|one| one.times.dispatched_ns - one.times.scheduled_ns).collect();
    let responses = operations
        .iter()
        .map(|one| (one.times.scheduled_ns, one.times.completed_ns - one.times.scheduled_ns))
        .collect();
    (quantiles(lags), responses)
}

/// The median and the 99th percentile.
fn quantiles(mut values: Vec<u64>) -> (u64, u64) {
    values.sort_unstable();
    let at = |share: f64| values.get((values.len() as f64 * share) as usize).copied().unwrap_or_default();
    (at(0.5), at(0.99))
}

/// Runs a load in its own process, on the first core.
fn fire_apart(job: &Job) -> Fired {
    let output = Command::new("taskset")
        .args(["-c", "0"])
        .arg(env::current_exe().unwrap())
        .args(["--generator", &serde_json::to_string(job).unwrap()])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn resident_bytes() -> u64 {
    procfs::process::Process::myself().unwrap().stat().unwrap().rss * procfs::page_size()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
