//! Compares the response times of a server that is frozen for exactly one second with the calculated ones.

use std::thread;
use std::time::{Duration, Instant};

use steadfast::load::{ConstantRate, Poisson, Ramp, Schedule, Spike, Stage, Stages, Starts, Step};

use super::nginx::Nginx;
use super::{Job, changed, fire_apart, workload};

const SECOND: u64 = 1_000_000_000;
const LENGTH_NS: u64 = 10 * SECOND;
const FROZEN_NS: u64 = SECOND;
/// Time from the start of the generator's process to the freeze, which is well inside the load.
const FREEZE_AFTER: Duration = Duration::from_millis(4500);

fn schedules() -> Vec<(&'static str, Schedule)> {
    let constant = Schedule::ConstantRate(ConstantRate::new(200.0));
    let ramp = Schedule::Ramp(Ramp { from: 100.0, to: 300.0, over_ns: LENGTH_NS });
    let stages = Stages {
        stages: vec![
            Stage { schedule: Schedule::Poisson(Poisson::new(150.0)), length_ns: 3 * SECOND },
            Stage { schedule: constant.clone(), length_ns: 7 * SECOND },
        ],
    };
    vec![
        ("constant-rate", constant),
        ("poisson", Schedule::Poisson(Poisson::new(200.0))),
        ("ramp", ramp),
        ("step", Schedule::Step(Step { from: 100.0, by: 50.0, every_ns: 2 * SECOND })),
        ("spike", Schedule::Spike(Spike { rate: 150.0, peak: 300.0, at_ns: 7 * SECOND, length_ns: SECOND })),
        ("stages", Schedule::Stages(stages)),
    ]
}

/// Calculated response times: each start during the freeze waits until its end. Returns p95, p99 and maximum in
/// milliseconds.
fn on_paper(schedule: &Schedule, frozen_from_ns: u64) -> [f64; 3] {
    let end = frozen_from_ns + FROZEN_NS;
    let waits = Starts::new(schedule, 0, LENGTH_NS, 1)
        .map(|start| if (frozen_from_ns..end).contains(&start) { (end - start) as f64 / 1e6 } else { 0.0 });
    highest(waits.collect())
}

fn highest(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get(((values.len() as f64 * share) as usize).min(values.len() - 1)).copied().unwrap();
    [at(0.95), at(0.99), at(1.0)]
}

/// Compares for each of [`schedules`].
pub fn against_paper(nginx: &Nginx) {
    println!("a server frozen for 1 s in 10 s, ms: measured, on paper, apart");
    for (name, schedule) in schedules() {
        let load = changed(workload(nginx, 400, LENGTH_NS / SECOND), |workload| {
            workload.timing.model = steadfast::load::LoadModel::Open(schedule.clone());
        });
        let job = Job { workload: load, wants_responses: true };
        let (fired, frozen) = thread::scope(|scope| {
            let freezes = scope.spawn(|| {
                thread::sleep(FREEZE_AFTER);
                nginx.signal("-STOP");
                let began = Instant::now();
                thread::sleep(Duration::from_nanos(FROZEN_NS).saturating_sub(began.elapsed()));
                nginx.signal("-CONT");
                began.elapsed()
            });
            (fire_apart(&job), freezes.join().unwrap())
        });
        // The operation with the longest response time shows when the freeze ended on the load's clock.
        let longest = fired.responses.iter().max_by_key(|(_, response)| *response).unwrap();
        let frozen_from_ns = (longest.0 + longest.1).saturating_sub(u64::try_from(frozen.as_nanos()).unwrap());
        let measured = highest(fired.responses.iter().map(|(_, response)| *response as f64 / 1e6).collect());
        let paper = on_paper(&schedule, frozen_from_ns);
        let apart: Vec<String> = ["p95", "p99", "max"]
            .iter()
            .zip(measured.iter().zip(paper))
            .map(|(name, (measured, paper))| {
                let within = (measured - paper).abs() <= paper * 0.01 + 2.0;
                format!("{name} {measured:.1} {paper:.1} {:+.1}{}", measured - paper, if within { "" } else { " (!)" })
            })
            .collect();
        println!("  {name:<14} {}", apart.join("   "));
    }
    println!();
}
