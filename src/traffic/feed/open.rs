//! Operations on a schedule that does not depend on replies.

use std::iter::Peekable;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Due, Feed, Shard, Task};
use crate::history::OperationKind;
use crate::load::random::{Draw, stream};
use crate::load::{Choice, Popularity, Starts};

/// The users of an open load and the kinds of their operations.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Number of users of all workers.
    pub users: usize,
    /// How unequally they are active.
    pub popularity: Popularity,
    /// How many operations of one user start at the same instant. The total number does not change.
    pub at_once: u32,
    /// The share of reads, 0 to 1.
    pub read_share: f64,
    /// Seed of the random choices.
    pub seed: u64,
}

/// Each worker draws every choice and skips those of other workers, so that the same seed gives the same traffic with
/// any number of threads.
#[derive(Debug)]
pub struct OpenFeed {
    starts: Peekable<Starts>,
    choice: Choice,
    kinds: ChaCha8Rng,
    mix: Mix,
    shard: Shard,
    /// The current turn: its user, its instant in nanoseconds, and how many of its operations are left.
    turn: (usize, u64, u32),
    next: Option<Due>,
}

impl OpenFeed {
    #[must_use]
    pub fn new(starts: Starts, mix: Mix, shard: Shard) -> Self {
        let choice = Choice::new(mix.popularity, mix.users, stream(mix.seed, Draw::Users));
        let kinds = stream(mix.seed, Draw::Kinds);
        let mut feed = Self { starts: starts.peekable(), choice, kinds, mix, shard, turn: (0, 0, 0), next: None };
        feed.next = feed.find_next();
        feed
    }

    fn find_next(&mut self) -> Option<Due> {
        loop {
            let start_ns = self.starts.next()?;
            if self.turn.2 == 0 {
                self.turn = (self.choice.draw(), start_ns, self.mix.at_once.max(1));
            }
            self.turn.2 -= 1;
            let is_read = self.kinds.random_bool(self.mix.read_share);
            let (index, scheduled_ns, _) = self.turn;
            if let Some(user) = self.shard.place(index) {
                let kind = if is_read { OperationKind::Read } else { OperationKind::Write };
                return Some(Due { user, task: Task::Operation(kind), scheduled_ns });
            }
        }
    }
}

impl Feed for OpenFeed {
    fn next_ns(&self) -> Option<u64> {
        self.next.map(|due| due.scheduled_ns)
    }

    fn take(&mut self, now_ns: u64) -> Option<Due> {
        let due = self.next.filter(|due| due.scheduled_ns <= now_ns)?;
        self.next = self.find_next();
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::load::{ConstantRate, Schedule, Share};

    fn feed(at_once: u32, shard: Shard) -> Vec<Due> {
        let schedule = Schedule::ConstantRate(ConstantRate::new(1000.0));
        let starts = Starts::new(&schedule, 0, 100_000_000, 1);
        let mix = Mix { users: 10, popularity: Popularity::Uniform, at_once, read_share: 0.5, seed: 9 };
        let mut feed = OpenFeed::new(starts, mix, shard);
        std::iter::from_fn(|| feed.take(u64::MAX)).collect()
    }

    #[test]
    fn operations_of_a_turn_start_together_and_their_total_does_not_change() {
        let dues = feed(4, Shard::alone());
        assert_eq!(dues.len(), 100);
        for turn in dues.chunks(4) {
            assert!(turn.iter().all(|due| (due.user, due.scheduled_ns) == (turn[0].user, turn[0].scheduled_ns)));
        }
        assert_eq!(dues[4].scheduled_ns - dues[0].scheduled_ns, 4_000_000);
    }

    #[test]
    fn several_agents_with_several_workers_make_the_same_traffic_as_one() {
        let mut together: Vec<Due> = Vec::new();
        for agent in 0..2 {
            for shard in Shard::all(3, &Arc::new(Share::of(agent, &[1, 0, 1]))) {
                together
                    .extend(feed(2, shard.clone()).into_iter().map(|due| Due { user: shard.index(due.user), ..due }));
            }
        }
        let mut alone = feed(2, Shard::alone());
        let key = |due: &Due| (due.scheduled_ns, due.user, format!("{:?}", due.task));
        together.sort_by_key(key);
        alone.sort_by_key(key);
        assert_eq!(together, alone);
    }

    #[test]
    fn no_operation_is_due_before_its_scheduled_instant() {
        let schedule = Schedule::ConstantRate(ConstantRate::new(10.0));
        let mix = Mix { users: 1, popularity: Popularity::Uniform, at_once: 1, read_share: 1.0, seed: 9 };
        let mut feed = OpenFeed::new(Starts::new(&schedule, 0, 1_000_000_000, 1), mix, Shard::alone());
        assert_eq!(feed.take(0).map(|due| due.scheduled_ns), Some(0));
        assert_eq!((feed.take(99_999_999), feed.next_ns()), (None, Some(100_000_000)));
        assert!(feed.take(100_000_000).is_some());
    }
}
