//! Wakes the generator at each instant of the schedule. A thread of its own sleeps on the kernel's
//! high-resolution timer; the runtime's timer rounds up to a whole millisecond.

use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::load::Bursts;

/// One start that is due.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// When it was to be, from the start of the load.
    pub scheduled_ns: u64,
}

/// Sends a tick at each start of the schedule below `length_ns`, then closes the channel. A late wake-up
/// sends every tick that has become due meanwhile: none is dropped, none is moved.
pub fn start(load: Bursts, length_ns: u64, zero: Instant) -> std::io::Result<UnboundedReceiver<Tick>> {
    let (sender, receiver) = unbounded_channel();
    let pace = move || {
        for index in 0.. {
            let scheduled_ns = load.start_ns(index);
            if scheduled_ns >= length_ns {
                return;
            }
            let due = zero + Duration::from_nanos(scheduled_ns);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if sender.send(Tick { scheduled_ns }).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("pacer".into()).spawn(pace)?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{ConstantRate, LoadModel};

    #[tokio::test]
    async fn every_start_of_the_schedule_is_sent_once_and_never_early() {
        let zero = Instant::now();
        let mut ticks =
            start(LoadModel::ConstantRate(ConstantRate::new(1000.0)).in_bursts(1), 50_000_000, zero).unwrap();
        let mut seen = Vec::new();
        while let Some(tick) = ticks.recv().await {
            assert!(zero.elapsed() >= Duration::from_nanos(tick.scheduled_ns));
            seen.push(tick.scheduled_ns / 1_000_000);
        }
        assert_eq!(seen, (0..50).collect::<Vec<u64>>());
    }
}
