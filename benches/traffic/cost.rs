//! CPU time of the generator per request, measured from outside: the kernel's count for the process.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use procfs::process::Process;
use steadfast::files::Source;
use steadfast::load::Pacing;
use steadfast::mapping::MappingFile;

use super::nginx::Nginx;
use super::{Job, ROUNDS, at_rate, changed, fire_apart, median, workload};

const SECONDS: u64 = 5;

/// Runs a closure. Returns the CPU time of its child processes in microseconds, and its result.
fn measured<T>(run: impl FnOnce() -> T) -> (f64, T) {
    let before = children_cpu_us();
    let result = run();
    (children_cpu_us() - before, result)
}

fn children_cpu_us() -> f64 {
    let stat = Process::myself().unwrap().stat().unwrap();
    (stat.cutime + stat.cstime) as f64 * 1e6 / procfs::ticks_per_second() as f64
}

fn is_there(program: &str, how: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("{program} is not installed: {how}\n");
    }
    found
}

fn on_core_0(arguments: &[&str]) -> String {
    let output = Command::new("taskset").args(["-c", "0"]).args(arguments).stderr(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn show(title: &str, other: &str, rounds: &[(f64, f64)]) {
    let ratios: Vec<String> = rounds.iter().map(|(theirs, own)| format!("{:.3}", own / theirs)).collect();
    println!("{title}:");
    println!("  {other:<12} {:>7.2} µs", median(rounds.iter().map(|round| round.0).collect()));
    println!("  {:<12} {:>7.2} µs", "steadfast", median(rounds.iter().map(|round| round.1).collect()));
    let ratio = median(rounds.iter().map(|(theirs, own)| own / theirs).collect());
    println!("  ratio        {ratio:>7.3}, of rounds {}\n", ratios.join(" "));
}

/// A closed loop over 32 connections: a verified session request compared with a plain one.
pub fn beside_wrk(nginx: &Nginx) {
    if !is_there("wrk", "apt-get install wrk") {
        return;
    }
    let job = Job { workload: workload(nginx, 32, SECONDS), wants_responses: false };
    let duration = format!("-d{SECONDS}s");
    let rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|_| {
            let (cpu, output) = measured(|| on_core_0(&["wrk", "-t1", "-c32", &duration, &nginx.url()]));
            let line = output.lines().find(|line| line.contains("requests in")).unwrap();
            let requests: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
            let (own_cpu, fired) = measured(|| fire_apart(&job));
            assert!(fired.ok > fired.started / 2, "{} of {} were ok", fired.ok, fired.started);
            (cpu / requests, own_cpu / fired.started as f64)
        })
        .collect();
    show("processor time a request, closed loop, 32 connections, one core", "wrk", &rounds);
}

/// How a read of nginx's reply would be mapped: the owner and a counter out of its JSON.
const MAPPING: &str = r#"
unknown = [{ status = 404 }]
[[login]]
get = "/session"
[[write]]
get = "/session"
[[read]]
get = "/session"
owner = 'jsonpath "$.owner"'
counter = 'jsonpath "$.version"'
"#;

/// The same closed loop by users of a session mapping and by users of the contract.
pub fn of_a_mapping(nginx: &Nginx) {
    let file: MappingFile = toml::from_str(MAPPING).unwrap();
    let source = Source { name: "mapping".into(), file: "mapping".into(), text: MAPPING.into() };
    let mapping = file.check(&source, 0..0).unwrap();
    let contract = Job { workload: workload(nginx, 32, SECONDS), wants_responses: false };
    let load = changed(workload(nginx, 32, SECONDS), |workload| {
        workload.mapped = Some(Box::new(mapping.for_the_agent(BTreeMap::new())));
    });
    let mapped = Job { workload: load, wants_responses: false };
    let cost = |job: &Job| {
        let (cpu, fired) = measured(|| fire_apart(job));
        assert!(fired.ok > fired.started / 2, "{} of {} were ok", fired.ok, fired.started);
        cpu / fired.started as f64
    };
    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (cost(&contract), cost(&mapped))).collect();
    show("processor time a request through a session mapping, closed loop, one core", "contract", &rounds);
}

/// An open loop at 5,000 requests a second.
pub fn beside_oha(nginx: &Nginx) {
    if !is_there("oha", "cargo install oha --locked") {
        return;
    }
    let duration = format!("{SECONDS}s");
    // With a sleep until each start, and at ticks, as oha starts its requests.
    for pacing in [Pacing::Sleep, Pacing::Tick] {
        let load = changed(workload(nginx, 32, SECONDS), |workload| {
            workload.timing.model = at_rate(5000.0);
            workload.generator.pacing = pacing;
        });
        let job = Job { workload: load, wants_responses: false };
        let rounds: Vec<(f64, f64)> = (0..ROUNDS)
            .map(|_| {
                let arguments = [
                    "oha",
                    "-q",
                    "5000",
                    "--latency-correction",
                    "-c",
                    "32",
                    "-z",
                    &duration,
                    "--no-tui",
                    &nginx.url(),
                ];
                let (cpu, _) = measured(|| on_core_0(&arguments));
                let (own_cpu, fired) = measured(|| fire_apart(&job));
                (cpu / (5000 * SECONDS) as f64, own_cpu / fired.started as f64)
            })
            .collect();
        show(
            &format!("processor time a request, open loop, 5000/s, 32 connections, one core, pacing {pacing:?}"),
            "oha",
            &rounds,
        );
    }
}
