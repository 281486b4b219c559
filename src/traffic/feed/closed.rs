//! Users that send their next request after a reply and a think time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Due, Ended, Feed, Shard, Task};
use crate::history::OperationKind;
use crate::load::Closed;
use crate::load::random::{Draw, stream_of};

/// A fixed number of users, each with its own next start.
#[derive(Debug)]
pub struct ClosedFeed {
    turns: Turns,
}

/// Users and when each starts its next operations; also used by [`super::Arrivals`].
#[derive(Debug)]
pub(super) struct Turns {
    closed: Closed,
    at_once: u32,
    read_share: f64,
    /// No operation starts from this instant on.
    length_ns: u64,
    kinds: ChaCha8Rng,
    thoughts: ChaCha8Rng,
    waiting: BinaryHeap<Reverse<(u64, usize)>>,
    /// How many operations are left in the current turn, which is that of the first user in `waiting`.
    left: u32,
}

impl Turns {
    pub fn new(closed: Closed, (at_once, read_share): (u32, f64), length_ns: u64, seed: u64, shard: &Shard) -> Self {
        let worker = u32::try_from(shard.number()).unwrap_or(u32::MAX);
        let (kinds, thoughts) = (stream_of(seed, Draw::Kinds, worker), stream_of(seed, Draw::ThinkTimes, worker));
        let waiting = BinaryHeap::new();
        Self { closed, at_once: at_once.max(1), read_share, length_ns, kinds, thoughts, waiting, left: 0 }
    }

    pub fn add(&mut self, start_ns: u64, user: usize) {
        if start_ns < self.length_ns {
            self.waiting.push(Reverse((start_ns, user)));
        }
    }

    pub fn next_ns(&self) -> Option<u64> {
        self.waiting.peek().map(|Reverse((start_ns, _))| *start_ns)
    }

    pub fn take(&mut self, now_ns: u64) -> Option<Due> {
        let Reverse((scheduled_ns, user)) = *self.waiting.peek().filter(|turn| turn.0.0 <= now_ns)?;
        if self.left == 0 {
            self.left = self.at_once;
        }
        self.left -= 1;
        if self.left == 0 {
            self.waiting.pop();
        }
        let kind = if self.kinds.random_bool(self.read_share) { OperationKind::Read } else { OperationKind::Write };
        Some(Due { user, task: Task::Operation(kind), scheduled_ns })
    }

    /// Schedules the user's next start: its last operation's end plus a think time.
    pub fn think(&mut self, ended: Ended<'_>) {
        let think_ns = self.closed.think.draw_ns(&mut self.thoughts);
        self.add(ended.operation.times.completed_ns.saturating_add(think_ns), ended.user);
    }
}

impl ClosedFeed {
    /// A feed for this shard of `users` users. Their first starts are spread over one think time.
    #[must_use]
    pub fn new(closed: Closed, users: usize, pace: (u32, f64), length_ns: u64, seed: u64, shard: &Shard) -> Self {
        let mut turns = Turns::new(closed, pace, length_ns, seed, shard);
        for place in 0..shard.size(users) {
            turns.add(closed.first_ns(shard.index(place), users), place);
        }
        Self { turns }
    }
}

impl Feed for ClosedFeed {
    fn next_ns(&self) -> Option<u64> {
        self.turns.next_ns()
    }

    fn take(&mut self, now_ns: u64) -> Option<Due> {
        self.turns.take(now_ns)
    }

    fn ended(&mut self, ended: Ended<'_>) {
        if ended.is_idle {
            self.turns.think(ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{HistoryBuilder, history};
    use crate::load::ThinkTime;

    #[test]
    fn a_user_continues_after_its_last_operation_and_a_think_time() {
        let closed = Closed { think: ThinkTime { least_ns: 100, most_ns: 100 } };
        let mut feed = ClosedFeed::new(closed, 1, (2, 0.5), 10_000_000_000, 1, &Shard::alone());
        assert_eq!(feed.take(0).map(|due| due.scheduled_ns), Some(0));
        assert!(feed.take(0).is_some() && feed.take(0).is_none(), "two at once, and then none");
        let mut operation = history(HistoryBuilder::create).remove(0);
        operation.times.completed_ns = 5000;
        let ended = |is_idle| Ended { user: 0, operation: &operation, is_idle, has_left: false };
        feed.ended(ended(false));
        assert_eq!(feed.next_ns(), None);
        feed.ended(ended(true));
        assert_eq!(feed.next_ns(), Some(5100));
    }

    #[test]
    fn nobody_starts_after_the_end() {
        let mut feed = ClosedFeed::new(Closed { think: ThinkTime::default() }, 1, (1, 0.5), 1000, 1, &Shard::alone());
        assert!(feed.take(0).is_some());
        let mut operation = history(HistoryBuilder::create).remove(0);
        operation.times.completed_ns = 1000;
        feed.ended(Ended { user: 0, operation: &operation, is_idle: true, has_left: false });
        assert_eq!(feed.next_ns(), None);
    }
}
