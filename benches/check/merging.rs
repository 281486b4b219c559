//! The driver's cost of merging the histories of several agents.

use std::fs::File;
use std::time::{Duration, Instant};

use steadfast::history::{SessionHistories, Writer, merge};

use super::peak_resident_mb;
use super::sessions::{SESSION, answers, session};

const AGENTS: u32 = 4;

/// Prints how long it takes to merge the histories of four agents with `count` operations together, as a ratio to reading them
/// and to writing them as one. The driver needs no more than that of an agent, however long the trial was.
pub fn merging(count: u64) {
    let sessions = u32::try_from(count / u64::from(SESSION)).unwrap_or(u32::MAX);
    let began = Instant::now();
    let whole = written((0..sessions).collect());
    let writing = began.elapsed();
    let parts: Vec<File> =
        (0..AGENTS).map(|agent| written((agent..sessions).step_by(AGENTS as usize).collect())).collect();
    let reading = fastest(|| {
        assert_eq!(opened(&parts).into_iter().flatten().map(Result::unwrap).count(), sessions as usize);
    });
    let before_mb = peak_resident_mb();
    let mut merged = None;
    let merging = fastest(|| {
        merged = Some(merge(opened(&parts), tempfile::tempfile().unwrap()).unwrap());
    });
    let size = |file: &File| file.metadata().unwrap().len() as f64;
    println!(
        "merging {count} operations of {AGENTS} agents: {:.1} s, {:.2}M a second; {:.2} times reading them, {:.2} times making and writing one history; its size {:.3} of that; peak {} MB, {before_mb} MB before",
        merging.as_secs_f64(),
        count as f64 / merging.as_secs_f64() / 1e6,
        merging.as_secs_f64() / reading.as_secs_f64(),
        merging.as_secs_f64() / writing.as_secs_f64(),
        size(&merged.unwrap()) / size(&whole),
        peak_resident_mb()
    );
}

fn written(sessions: Vec<u32>) -> File {
    let answers = answers();
    let mut writer = Writer::new(tempfile::tempfile().unwrap()).unwrap();
    for number in sessions {
        writer.write(&session(number, &answers)).unwrap();
    }
    writer.finish().unwrap()
}

fn opened(parts: &[File]) -> Vec<SessionHistories> {
    parts.iter().map(|part| SessionHistories::of(part.try_clone().unwrap()).unwrap()).collect()
}

/// The fastest of three, because machines are noisy.
fn fastest(mut act: impl FnMut()) -> Duration {
    let one = |()| {
        let began = Instant::now();
        act();
        began.elapsed()
    };
    [(); 3].map(one).into_iter().min().unwrap_or_default()
}
