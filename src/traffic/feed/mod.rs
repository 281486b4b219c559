//! Feeds: who is to do what, and when. One file each. They know no sockets and no clock.

mod arrivals;
mod closed;
mod final_reads;
mod open;

use std::net::SocketAddr;

use super::user::SessionRef;
use crate::history::{Operation, OperationKind};

pub use arrivals::Arrivals;
pub use closed::ClosedFeed;
pub use final_reads::{FinalRead, FinalReads};
pub use open::{Mix, OpenFeed};

/// What a user is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// An operation of its session, or what must be done before it.
    Operation(OperationKind),
    /// Read a session through the balancer, or from a node itself.
    FinalRead {
        /// Which one.
        whose: SessionRef,
        /// Where.
        at: At,
    },
}

/// Where a session is read in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Through the balancer, to see whether it still changes.
    Settling,
    /// Through the balancer.
    Balancer,
    /// From a node itself.
    Node(SocketAddr),
}

/// Something that is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The place of the user among its worker's.
    pub user: usize,
    /// What.
    pub task: Task,
    /// When, in nanoseconds from the start of the load.
    pub scheduled_ns: u64,
}

/// An operation that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The place of the user among its worker's.
    pub user: usize,
    /// What came of it.
    pub operation: &'a Operation,
    /// Whether the user has nothing else to do.
    pub is_idle: bool,
    /// Whether the user's session has come to its end, and it would log in again.
    pub has_left: bool,
}

/// Hands out what is to start.
pub trait Feed {
    /// When something is to start next; none: not before an operation has ended, or never.
    fn next_ns(&self) -> Option<u64>;

    /// What was to start by now, the earliest first.
    fn take(&mut self, now_ns: u64) -> Option<Due>;

    /// Takes note of the end of an operation.
    fn ended(&mut self, _ended: Ended<'_>) {}
}

/// Which of all users belong to one of several workers: every n-th.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which worker, from 0.
    pub worker: usize,
    /// Of how many.
    pub workers: usize,
}

impl Shard {
    /// The place of user `index` among this worker's; none where it is another's.
    #[must_use]
    pub fn place(self, index: usize) -> Option<usize> {
        (index % self.workers == self.worker).then_some(index / self.workers)
    }

    /// The user in a place.
    #[must_use]
    pub const fn index(self, place: usize) -> usize {
        place * self.workers + self.worker
    }

    /// How many of `count` users are this worker's.
    #[must_use]
    pub const fn size(self, count: usize) -> usize {
        (count + self.workers - 1 - self.worker) / self.workers
    }
}

impl<F: Feed + ?Sized> Feed for Box<F> {
    fn next_ns(&self) -> Option<u64> {
        (**self).next_ns()
    }

    fn take(&mut self, now_ns: u64) -> Option<Due> {
        (**self).take(now_ns)
    }

    fn ended(&mut self, ended: Ended<'_>) {
        (**self).ended(ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_belongs_to_one_worker_and_has_a_place_there() {
        let parts: Vec<Shard> = (0..3).map(|worker| Shard { worker, workers: 3 }).collect();
        for index in 0..20 {
            let places: Vec<(Shard, usize)> =
                parts.iter().filter_map(|part| Some((*part, part.place(index)?))).collect();
            assert_eq!(places.len(), 1);
            assert_eq!(places[0].0.index(places[0].1), index);
        }
        assert_eq!(parts.iter().map(|part| part.size(20)).collect::<Vec<_>>(), [7, 7, 6]);
    }
}
