//! All threads of the generator: one worker per thread, each with its own users. They share nothing while they send
//! requests; their records are merged.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::Waker;
use thiserror::Error;

use super::feed::{Arrivals, At, ClosedFeed, Feed, FinalRead, FinalReads, Mix, OpenFeed, Shard};
use super::http::client::{ClientError, Clients};
use super::reactor::{Clock, Reactor, thread_cpu_ns};
use super::recorder::{Interval, Recorder, RecorderError, Summary, write_history};
use super::user::Script;
use super::worker::{Settings, Worker};
use crate::history::{GeneratorHealth, Operation, Settled};
use crate::load::{Closed, LoadModel, Population, Settle, Share, Starts, Users, Workload};

/// Most sessions that each thread reads per round of settling.
const MAX_SETTLING: usize = 1000;

/// The generator cannot run.
#[derive(Debug, Error)]
pub enum GeneratorError {
    /// The system has no sockets or threads left, or cannot wait for sockets.
    #[error("the generator cannot continue: {0}")]
    System(#[from] io::Error),
    /// A histogram cannot be created.
    #[error("the generator cannot make a histogram: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
    /// TLS or the HTTP library cannot be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A thread panicked: a defect of this program.
    #[error("a thread of the generator crashed")]
    Crashed,
    /// The workload contradicts itself.
    #[error("{0}")]
    Workload(&'static str),
}

/// Stops a load from another thread.
#[derive(Clone)]
pub struct Stopper {
    stop: Arc<AtomicBool>,
    wakers: Arc<Vec<Arc<Waker>>>,
}

impl Stopper {
    /// Whether the load was stopped.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Stops all threads as soon as possible. Operations in flight stay unfinished.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        for waker in self.wakers.iter() {
            // A thread that cannot be woken checks by itself within a second.
            let _ = waker.wake();
        }
    }
}

/// The generator of one trial.
pub struct LoadGenerator {
    workload: Workload,
    share: Arc<Share>,
    workers: Vec<Worker>,
    intervals: Receiver<Interval>,
    clock: Clock,
    stopper: Stopper,
}

impl LoadGenerator {
    /// Prepares users that follow `script`.
    ///
    /// # Errors
    /// When the system has no more file descriptors or threads, or TLS cannot be set up.
    pub fn new(workload: Workload, script: Script) -> Result<Self, GeneratorError> {
        let settings = Arc::new(Settings {
            script,
            destination: workload.destination.clone(),
            users: workload.users.clone(),
            timeout_ns: workload.timing.timeout_ns,
            end_ns: workload.timing.end_ns(),
            overload: workload.timing.overload,
        });
        let (sender, intervals) = channel();
        let users = match workload.users.population {
            Population::Fixed(count) => count as usize,
            Population::Arriving => 0,
        };
        let workers = workload.generator.threads.max(1) as usize;
        let (mut made, mut wakers) = (Vec::new(), Vec::new());
        let share = Arc::new(workload.share.clone());
        for shard in Shard::all(workers, &share) {
            let reactor = Reactor::new(workload.generator.pacing)?;
            let waker = Arc::new(reactor.waker()?);
            let clients = if settings.destination.protocol.is_plain() {
                None
            } else {
                Some(Clients::start(settings.destination.clone(), Arc::clone(&waker))?)
            };
            wakers.push(waker);
            let recorder = Recorder::new(sender.clone(), workload.sessions.transitions.owners)?;
            made.push(Worker::new(Arc::clone(&settings), shard, users, recorder, reactor, clients));
        }
        let stopper = Stopper { stop: Arc::default(), wakers: Arc::new(wakers) };
        Ok(Self { workload, share, workers: made, intervals, clock: Clock::start(), stopper })
    }

    /// A handle that stops the load early.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Runs the load until its last operation has ended or timed out, or the load is stopped. Calls `start` when all is ready,
    /// which may wait and returns the start of the load, time zero; and `each_second` with the summary of each second.
    ///
    /// # Errors
    /// When the system cannot wait for sockets, or the workload contradicts itself.
    pub fn load(
        &mut self,
        start: impl FnOnce() -> Instant,
        each_second: &mut (dyn FnMut(Summary) + Send),
    ) -> Result<GeneratorHealth, GeneratorError> {
        let mut feeds = self.feeds()?;
        self.clock = Clock::from(start());
        for worker in &mut self.workers {
            worker.set_clock(self.clock);
        }
        let timing = &self.workload.timing;
        let give_up_ns = timing.end_ns().saturating_add(timing.timeout_ns);
        let cpu_ns = self.run(&mut feeds, give_up_ns, each_second)?;
        let wall_ns = self.clock.now_ns().max(1);
        let mut health = GeneratorHealth {
            cpu_ns: cpu_ns.iter().sum(),
            busiest_core: cpu_ns.iter().max().map_or(0.0, |most| *most as f64 / wall_ns as f64),
            ..GeneratorHealth::default()
        };
        for counts in self.workers.iter().map(Worker::counts) {
            health.offered += counts.offered;
            health.started += counts.started;
            health.shed += counts.shed;
        }
        Ok(health)
    }

    fn feeds(&self) -> Result<Vec<Box<dyn Feed + Send>>, GeneratorError> {
        let Workload { timing, users, seed, .. } = &self.workload;
        let Users { population, at_once, read_share, popularity, .. } = *users;
        let (seed, end_ns) = (*seed, timing.end_ns());
        let pace = (at_once, read_share);
        Shard::all(self.workers.len(), &self.share)
            .map(|shard| {
                Ok(match (&timing.model, population) {
                    (LoadModel::Open(schedule), Population::Fixed(users)) => {
                        let starts = Starts::new(schedule, timing.warm_up_ns, timing.length_ns, seed);
                        let mix = Mix { users: users as usize, popularity, at_once, read_share, seed };
                        Box::new(OpenFeed::new(starts, mix, shard)) as Box<dyn Feed + Send>
                    }
                    (LoadModel::Open(schedule), Population::Arriving) => {
                        let starts = Starts::new(schedule, timing.warm_up_ns, timing.length_ns, seed);
                        let closed = Closed { think: timing.think };
                        Box::new(Arrivals::new(starts, closed, pace, end_ns, seed, shard))
                    }
                    (LoadModel::Closed(closed), Population::Fixed(users)) => {
                        Box::new(ClosedFeed::new(*closed, users as usize, pace, end_ns, seed, &shard))
                    }
                    (LoadModel::Closed(_), Population::Arriving) => {
                        return Err(GeneratorError::Workload(
                            "sessions that arrive need a schedule, not a closed load",
                        ));
                    }
                })
            })
            .collect()
    }

    /// Runs all workers, each with its feed. Returns the CPU time of each, in nanoseconds.
    fn run<F: Feed + Send>(
        &mut self,
        feeds: &mut [F],
        give_up_ns: u64,
        each_second: &mut (dyn FnMut(Summary) + Send),
    ) -> Result<Vec<u64>, GeneratorError> {
        let stop = Arc::clone(&self.stopper.stop);
        let (intervals, workers) = (&self.intervals, &mut self.workers);
        let count = workers.len();
        let (done, is_done) = channel::<()>();
        thread::scope(|scope| {
            let running: Vec<_> = workers
                .iter_mut()
                .zip(feeds)
                .map(|(worker, feed)| {
                    let (stop, done) = (&stop, done.clone());
                    scope.spawn(move || {
                        let before = thread_cpu_ns() + worker.clients_cpu_ns();
                        let result = worker.run(feed, give_up_ns, stop);
                        let after = thread_cpu_ns() + worker.clients_cpu_ns();
                        drop(done);
                        result.map(|()| after.saturating_sub(before))
                    })
                })
                .collect();
            drop(done);
            let mut merger = Merger::new(count);
            // Until every worker has dropped its sender.
            while !matches!(is_done.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected)) {
                if let Ok(interval) = intervals.recv_timeout(Duration::from_millis(50)) {
                    merger.add(interval).into_iter().for_each(&mut *each_second);
                }
            }
            for interval in intervals.try_iter() {
                merger.add(interval).into_iter().for_each(&mut *each_second);
            }
            let ended = running.into_iter().map(|thread| match thread.join() {
                Ok(result) => result.map_err(GeneratorError::System),
                Err(_) => Err(GeneratorError::Crashed),
            });
            ended.collect()
        })
    }

    /// Reads sessions through the balancer in rounds, until a round shows no new state, or the limit is over. It does
    /// not wait for two equal rounds, because nodes may differ permanently. Of very many sessions it reads a sample.
    ///
    /// # Errors
    /// When the system cannot wait for sockets.
    pub fn settle(&mut self, settle: Settle) -> Result<Settled, GeneratorError> {
        let began_ns = self.clock.now_ns();
        let elapsed_ns = |clock: Clock| clock.now_ns().saturating_sub(began_ns);
        let (mut rounds, mut known) = (0, BTreeSet::new());
        loop {
            let settling = |(user, session)| FinalRead { user, session, at: At::Settling };
            let mut feeds =
                self.final_reads(|worker| worker.some_sessions(MAX_SETTLING).into_iter().map(settling).collect());
            self.run(&mut feeds, u64::MAX, &mut |_| {})?;
            rounds += 1;
            let before = known.len();
            for (worker, reads) in feeds.into_iter().enumerate() {
                known.extend(reads.seen.into_iter().map(|seen| (worker, seen)));
            }
            let has_settled = rounds > 1 && known.len() == before;
            if has_settled || self.stopper.has_stopped() || elapsed_ns(self.clock) > settle.limit_ns {
                return Ok(Settled { rounds, took_ms: elapsed_ns(self.clock) / 1_000_000, has_settled });
            }
            self.pause(Duration::from_nanos(settle.pause_ns));
        }
    }

    /// Sleeps for `how_long`, or until the load is stopped.
    fn pause(&self, how_long: Duration) {
        let until = Instant::now() + how_long;
        while !self.stopper.has_stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// The final read: reads every session through the balancer, including those that users have left, and again if
    /// there is no reply. Then reads those worth comparing from each of `nodes` itself, first from the node that
    /// answered the final read, because reads from other nodes may change the state that it holds.
    ///
    /// # Returns
    /// The number of sessions, and how many of them got no reply.
    ///
    /// # Errors
    /// When the system cannot wait for sockets.
    pub fn final_read(&mut self, nodes: &BTreeMap<String, SocketAddr>) -> Result<(u32, u32), GeneratorError> {
        let sessions: usize = self.workers.iter().map(|worker| worker.sessions().count()).sum();
        let through = |(user, session, _)| FinalRead { user, session, at: At::Balancer };
        let mut through_the_balancer = self.final_reads(|worker| worker.sessions().map(through).collect());
        self.run(&mut through_the_balancer, u64::MAX, &mut |_| {})?;
        let unanswered = through_the_balancer.iter().map(|reads| reads.unanswered).sum();
        let mut from_nodes = self.final_reads(|worker| {
            let worth_comparing = worker.sessions().filter(|(_, _, is_worth_comparing)| *is_worth_comparing);
            let of_session = |(user, session, _)| {
                let first = worker.answered_by(user, session);
                let mut nodes: Vec<(&String, &SocketAddr)> = nodes.iter().collect();
                nodes.sort_by_key(|(name, _)| Some(name.as_str()) != first);
                nodes.into_iter().map(move |(_, address)| FinalRead { user, session, at: At::Node(*address) })
            };
            worth_comparing.flat_map(of_session).collect()
        });
        self.run(&mut from_nodes, u64::MAX, &mut |_| {})?;
        Ok((u32::try_from(sessions).unwrap_or(u32::MAX), unanswered))
    }

    /// Makes a feed of reads for each worker.
    fn final_reads(&self, of: impl Fn(&Worker) -> Vec<FinalRead>) -> Vec<FinalReads> {
        // Agents read at the same time, as workers do.
        let (now_ns, count) = (self.clock.now_ns(), self.workers.len() * self.share.agents());
        let owners = self.workload.sessions.transitions.owners;
        self.workers.iter().map(|worker| FinalReads::new(of(worker), owners, count, now_ns)).collect()
    }

    /// Writes every operation so far as a history, including operations in flight, as unfinished.
    ///
    /// # Errors
    /// When the sink fails, or spilled operations cannot be read.
    pub fn write_history(&self, sink: impl Write + Send) -> Result<(), RecorderError> {
        let unfinished: Vec<Operation> = self.workers.iter().flat_map(Worker::unfinished).collect();
        let recorders: Vec<&Recorder> = self.workers.iter().map(Worker::recorder).collect();
        write_history(sink, &recorders, &self.share, &unfinished)
    }
}

/// Merges the threads' summaries of each second.
struct Merger {
    workers: usize,
    seconds: BTreeMap<u64, (usize, Summary, Option<Histogram<u64>>)>,
}

impl Merger {
    const fn new(workers: usize) -> Self {
        Self { workers, seconds: BTreeMap::new() }
    }

    /// Adds one thread's interval. Returns the summary of its second if all threads have reported it.
    fn add(&mut self, interval: Interval) -> Option<Summary> {
        let Interval { summary: one, response_us } = interval;
        let (count, summary, histogram) = self.seconds.entry(one.at_ns).or_default();
        *count += 1;
        *summary = summary.and(one);
        match histogram {
            // Cannot fail, because both have the same bounds.
            Some(histogram) => drop(histogram.add(&response_us)),
            None => *histogram = Some(response_us),
        }
        if *count < self.workers {
            return None;
        }
        let (_, summary, histogram) = self.seconds.remove(&one.at_ns)?;
        Some(Summary { p99_us: histogram?.value_at_quantile(0.99), ..summary })
    }
}
