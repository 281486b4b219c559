//! Sessions that arrive on a schedule that does not depend on replies. Each session then behaves as people do: a reply,
//! a think time, the next request, until its user logs out for good.

use super::closed::Turns;
use super::{Due, Ended, Feed, Shard};
use crate::load::{Closed, Starts};

/// A feed with a new user for each arrival.
#[derive(Debug)]
pub struct Arrivals {
    starts: Starts,
    shard: Shard,
    /// Number of arrivals so far, including those of other workers.
    arrived: usize,
    next: Option<(u64, usize)>,
    turns: Turns,
}

impl Arrivals {
    /// Sessions that arrive at `starts` and then behave like those of a closed load.
    #[must_use]
    pub fn new(starts: Starts, closed: Closed, pace: (u32, f64), length_ns: u64, seed: u64, shard: Shard) -> Self {
        let turns = Turns::new(closed, pace, length_ns, seed, &shard);
        let mut arrivals = Self { starts, shard, arrived: 0, next: None, turns };
        arrivals.next = arrivals.find_next();
        arrivals
    }

    fn find_next(&mut self) -> Option<(u64, usize)> {
        loop {
            let start_ns = self.starts.next()?;
            let index = self.arrived;
            self.arrived += 1;
            if let Some(place) = self.shard.place(index) {
                return Some((start_ns, place));
            }
        }
    }
}

impl Feed for Arrivals {
    fn next_ns(&self) -> Option<u64> {
        let arrival = self.next.map(|(start_ns, _)| start_ns);
        [arrival, self.turns.next_ns()].into_iter().flatten().min()
    }

    fn take(&mut self, now_ns: u64) -> Option<Due> {
        while let Some((start_ns, place)) = self.next.filter(|(start_ns, _)| *start_ns <= now_ns) {
            self.turns.add(start_ns, place);
            self.next = self.find_next();
        }
        self.turns.take(now_ns)
    }

    fn ended(&mut self, ended: Ended<'_>) {
        if ended.is_idle && !ended.has_left {
            self.turns.think(ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{HistoryBuilder, history};
    use crate::load::{ConstantRate, Schedule, ThinkTime};

    #[test]
    fn each_arrival_is_a_new_user_and_a_user_that_has_left_does_not_come_back() {
        let starts = Starts::new(&Schedule::ConstantRate(ConstantRate::new(10.0)), 0, 1_000_000_000, 1);
        let closed = Closed { think: ThinkTime { least_ns: 7, most_ns: 7 } };
        let mut arrivals = Arrivals::new(starts, closed, (1, 0.5), 1_000_000_000, 1, Shard::alone());
        assert_eq!(arrivals.take(0).map(|due| (due.user, due.scheduled_ns)), Some((0, 0)));
        assert_eq!(arrivals.next_ns(), Some(100_000_000));
        let mut operation = history(HistoryBuilder::create).remove(0);
        operation.times.completed_ns = 1000;
        arrivals.ended(Ended { user: 0, operation: &operation, is_idle: true, has_left: false });
        assert_eq!(arrivals.take(2000).map(|due| (due.user, due.scheduled_ns)), Some((0, 1007)));
        arrivals.ended(Ended { user: 0, operation: &operation, is_idle: true, has_left: true });
        assert_eq!(arrivals.take(150_000_000).map(|due| (due.user, due.scheduled_ns)), Some((1, 100_000_000)));
    }
}
