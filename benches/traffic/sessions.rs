//! CPU time and memory for very many sessions.

use steadfast::load::Connections;

use super::nginx::Nginx;
use super::{Job, ROUNDS, at_rate, changed, fire_apart, median, workload};

const MILLION: u32 = 1_000_000;

/// Compares few and many sessions, with the same number of connections and the same closed loop.
pub fn cost_by_their_number(nginx: &Nginx) {
    let job = |sessions| {
        let load =
            changed(workload(nginx, sessions, 5), |workload| workload.users.connections = Connections::Pooled(32));
        Job { workload: load, wants_responses: false }
    };
    let (few, many) = (job(100), job(100_000));
    let rounds: Vec<(f64, f64)> =
        (0..ROUNDS).map(|_| (fire_apart(&few).cpu_us_per_operation, fire_apart(&many).cpu_us_per_operation)).collect();
    println!("processor time a request over 32 connections:");
    println!("  100 sessions     {:>6.2} µs", median(rounds.iter().map(|round| round.0).collect()));
    println!("  100,000 sessions {:>6.2} µs", median(rounds.iter().map(|round| round.1).collect()));
    println!("  ratio            {:>6.3}\n", median(rounds.iter().map(|(few, many)| many / few).collect()));
}

/// Each session logs in once and then stays idle.
pub fn memory_of_a_million(nginx: &Nginx) {
    let load = changed(workload(nginx, MILLION, 20), |workload| {
        workload.destination.endpoints = vec![nginx.address_with_cookie()];
        workload.users.connections = Connections::Pooled(64);
        workload.timing.model = at_rate(50_000.0);
        workload.timing.timeout_ns = 60_000_000_000;
    });
    let fired = fire_apart(&Job { workload: load, wants_responses: false });
    let bytes = fired.resident_bytes - fired.resident_bytes_before;
    println!("{} of {MILLION} sessions have logged in over 64 connections:", fired.started);
    println!("  {} bytes a session, its first operation's history included\n", bytes / u64::from(MILLION));
}
