//! Cost of judging: operations judged per second from a history file, for different numbers of operations. The columns of the
//! file are decoded on a thread of their own; `taskset -c 0 cargo bench --bench check` shows what one processor can do. Also
//! the agent's cost of recording an operation, compared with the cheapest way to keep it, and the driver's cost of merging
//! the histories of four agents, compared with writing one. Each figure is printed as a ratio to a measurement in the same
//! run.
//!
//! `cargo bench --bench check` goes up to ten million operations; `cargo bench --bench check -- 100000000` to a
//! hundred million, which takes some minutes and a few gigabytes of disk.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and ends where it cannot go on")]

mod merging;
mod sessions;

use std::fs::File;
use std::hint::black_box;
use std::time::{Duration, Instant};

use steadfast::check::{Checker, Guarantee, Verdict};
use steadfast::history::compact::{Answers, Encoder};
use steadfast::history::{Operation, SessionHistories, SessionOutcome, Timeline, Writer};

use sessions::{SESSION, answers, session};

fn main() {
    let most: u64 = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10_000_000);
    // First, because the peak of its memory is told.
    merging::merging(most.min(10_000_000));
    recording();
    let [operations, judged, each, reading, to_first, peak, bytes] =
        ["operations", "judged/s", "ns/op", "reading", "to 10^5", "peak MB", "bytes/op"];
    println!("\n{operations:>12} {judged:>9} {each:>11} {reading:>9} {to_first:>9} {peak:>8} {bytes:>9}");
    let mut first = None;
    let mut count = 100_000;
    while count <= most {
        let (took, reading, bytes) = judging(count);
        let each = took.as_secs_f64() * 1e9 / count as f64;
        let base = *first.get_or_insert(each);
        println!(
            "{count:>12} {:>8.2}M {each:>11.1} {:>8.0}% {:>8.2}x {:>8} {:>9.1}",
            1e3 / each,
            reading.as_secs_f64() / took.as_secs_f64() * 100.0,
            each / base,
            peak_resident_mb(),
            bytes as f64 / count as f64
        );
        count *= 10;
    }
}

/// Writes a history and judges it from its file. Returns how long judging took, how long only reading took, and the
/// size of the file in bytes.
fn judging(count: u64) -> (Duration, Duration, u64) {
    let answers = answers();
    let mut writer = Writer::new(tempfile::tempfile().unwrap()).unwrap();
    for number in 0..u32::try_from(count / u64::from(SESSION)).unwrap() {
        writer.write(&session(number, &answers)).unwrap();
    }
    let file: File = writer.finish().unwrap();
    let bytes = file.metadata().unwrap().len();
    let timeline = Timeline::default();
    // These users do not log out.
    let can_show = |guarantee: &Guarantee| guarantee.is_of_every_load() && *guarantee != Guarantee::LogoutIsFinal;
    let asked: Vec<Guarantee> = Guarantee::ALL.into_iter().filter(can_show).collect();
    let (mut took, mut reading) = (Duration::MAX, Duration::MAX);
    // The best of five, because machines are noisy; only one for more than ten million operations.
    for _ in 0..if count > 10_000_000 { 1 } else { 5 } {
        let began = Instant::now();
        for history in SessionHistories::of(file.try_clone().unwrap()).unwrap() {
            black_box(history.unwrap());
        }
        reading = reading.min(began.elapsed());
        let began = Instant::now();
        let mut checker = Checker::new(&timeline, &asked, 1);
        for history in SessionHistories::of(file.try_clone().unwrap()).unwrap() {
            let history = history.unwrap();
            checker.examine(&history, &SessionOutcome::of(&history));
        }
        let judgement = checker.finish();
        took = took.min(began.elapsed());
        assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    }
    (took, reading, bytes)
}

/// Prints the agent's cost of keeping an operation, compared with pushing a copy of it onto a list.
fn recording() {
    let answers = answers();
    let operations: Vec<Operation> = (0..2_000).flat_map(|number| session(number, &answers)).collect();
    let (mut kept, mut copied) = (Duration::MAX, Duration::MAX);
    let mut bytes = 0;
    for _ in 0..5 {
        let began = Instant::now();
        let (mut encoder, mut known, mut into) = (Encoder::default(), Answers::default(), Vec::new());
        for operation in &operations {
            encoder.write(operation, &mut known, &mut into);
        }
        kept = kept.min(began.elapsed());
        bytes = black_box(into).len();
        let began = Instant::now();
        let mut list = Vec::new();
        for operation in &operations {
            list.push(operation.clone());
        }
        copied = copied.min(began.elapsed());
        black_box(list);
    }
    let each = |took: Duration| took.as_secs_f64() * 1e9 / operations.len() as f64;
    println!(
        "keeping an operation: {:.0} ns of CPU and {:.1} bytes; a copy on a list: {:.0} ns and {} bytes; ratio {:.2}",
        each(kept),
        bytes as f64 / operations.len() as f64,
        each(copied),
        size_of::<Operation>(),
        each(kept) / each(copied)
    );
}

/// Peak resident memory of this process, in MB.
fn peak_resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().to_owned();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() / 1024
}
