//! Cost of all reports of a long record: 20 trials of 60 s each, made from the example's trials, read from files and
//! rendered in every format. Required: at most 1 s, and a page of at most 1.5 MB.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::path::Path;
use std::time::Instant;

use steadfast::history::NodeSample;
use steadfast::measure::Interval;
use steadfast::record::{Evidence, Record};
use steadfast::report::Format;

const TRIALS: usize = 20;
const SECONDS: u64 = 60;
const ROUNDS: usize = 5;
const SECOND_NS: u64 = 1_000_000_000;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    lay_out(folder.path());
    let mut took: Vec<f64> = Vec::new();
    let mut sizes = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let evidence = Evidence::read(folder.path()).unwrap();
        let record = Record::existing(folder.path());
        sizes.clear();
        for format in Format::ALL {
            let text = format.render(&evidence).unwrap();
            sizes.push((format.file(), text.len()));
            record.save_rendering(format.file(), &text).unwrap();
        }
        took.push(began.elapsed().as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    let (median, slowest) = (took[ROUNDS / 2], took[ROUNDS - 1]);
    println!("{TRIALS} trials of {SECONDS} s, read, rendered in {} formats and saved:", Format::ALL.len());
    println!("  {median:.3} s median, {slowest:.3} s slowest of {ROUNDS}; asked: 1 s; ratio {:.2}", median / 1.0);
    for (file, bytes) in sizes {
        println!("  {file}: {:.3} MB", bytes as f64 / 1e6);
    }
}

/// Writes the example's record, extended to all trials and seconds.
fn lay_out(folder: &Path) {
    let mut evidence = Evidence::read(Path::new("reports/example")).unwrap();
    let write = |file: &str, value: &dyn erased::Json| {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, value.json()).unwrap();
    };
    evidence.summary.targets =
        (0..TRIALS).map(|number| evidence.summary.targets[number % evidence.summary.targets.len()].clone()).collect();
    for (number, target) in evidence.summary.targets.iter_mut().enumerate() {
        target.target = format!("{}-{number}", target.target);
    }
    write("summary.json", &evidence.summary);
    std::fs::copy("reports/example/plan.json", folder.join("plan.json")).unwrap();
    write("environment.json", &evidence.environment);
    for (number, target) in evidence.summary.targets.iter().enumerate() {
        let trial = &evidence.trials[number % evidence.trials.len()];
        let mut measurements = trial.measurements.clone().unwrap();
        let seen = measurements.intervals.clone();
        let at = |second: u64| Interval { at_s: second, ..seen[usize::try_from(second).unwrap() % seen.len()] };
        measurements.intervals = (0..SECONDS).map(at).collect();
        let samples: Vec<NodeSample> = (0..SECONDS)
            .flat_map(|second| trial.samples.iter().take(6).map(move |sample| (second, sample)))
            .map(|(second, sample)| NodeSample { unix_ns: sample.unix_ns + second * SECOND_NS, ..sample.clone() })
            .collect();
        let id = format!("trials/{:02}-{}", number + 1, target.target);
        write(&format!("{id}/measurements.json"), &measurements);
        write(&format!("{id}/samples.json"), &samples);
        write(&format!("{id}/course.json"), &trial.context.clone().unwrap());
    }
}

/// A trait for all types that can be written as JSON.
mod erased {
    pub trait Json {
        fn json(&self) -> Vec<u8>;
    }

    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> Vec<u8> {
            serde_json::to_vec_pretty(self).unwrap()
        }
    }
}
