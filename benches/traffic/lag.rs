//! The lag of operations, compared with a bare loop on the same core that only waits in the same way.

use std::time::{Duration, Instant};

use steadfast::load::{ConstantRate, Pacing};
use steadfast::traffic::Reactor;

use super::nginx::Nginx;
use super::{Job, ROUNDS, at_rate, changed, fire_apart, median, quantiles, workload};

const RATE: f64 = 10_000.0;
const SECONDS: u64 = 3;

/// Median and 99th percentile, in nanoseconds.
type Lags = (u64, u64);

/// Waits for each instant and does nothing. Returns how late it was.
fn bare(pacing: Pacing) -> Lags {
    let mut reactor = Reactor::new(pacing).unwrap();
    let (schedule, zero, mut ready) = (ConstantRate::new(RATE), Instant::now(), Vec::new());
    let count = (RATE * SECONDS as f64) as u64;
    let lags = (0..count).map(|index| {
        let due = zero + Duration::from_nanos(schedule.start_ns(index).unwrap());
        while Instant::now() < due {
            reactor.wait(Some(due), false, &mut ready).unwrap();
        }
        u64::try_from(due.elapsed().as_nanos()).unwrap()
    });
    quantiles(lags.collect())
}

/// Compares with sleeping and with spinning.
pub fn beside_a_bare_loop(nginx: &Nginx) {
    for pacing in [Pacing::Sleep, Pacing::Spin] {
        let load = changed(workload(nginx, 32, SECONDS), |workload| {
            workload.timing.model = at_rate(RATE);
            workload.generator.pacing = pacing;
        });
        let job = Job { workload: load, wants_responses: true };
        let rounds: Vec<(Lags, Lags)> = (0..ROUNDS)
            .map(|_| {
                pin_to_core_0();
                (bare(pacing), fire_apart(&job).lag_ns)
            })
            .collect();
        let us =
            |ns: &dyn Fn(&(Lags, Lags)) -> u64| median(rounds.iter().map(|round| ns(round) as f64 / 1000.0).collect());
        println!("how late operations start at {RATE:.0}/s on one core, pacing {pacing:?}:");
        println!("  bare loop    p50 {:>8.1} µs, p99 {:>8.1} µs", us(&|round| round.0.0), us(&|round| round.0.1));
        println!("  steadfast    p50 {:>8.1} µs, p99 {:>8.1} µs", us(&|round| round.1.0), us(&|round| round.1.1));
        let ratios: Vec<f64> = rounds.iter().map(|(bare, own)| own.1 as f64 / bare.1.max(1) as f64).collect();
        let each: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        println!("  ratio of p99 {:>8.2}, of rounds {}\n", median(ratios.clone()), each.join(" "));
    }
}

/// Puts the bare loop on the core that the generator uses.
fn pin_to_core_0() {
    let mut core_0 = rustix::thread::CpuSet::new();
    core_0.set(0);
    rustix::thread::sched_setaffinity(None, &core_0).unwrap();
}
