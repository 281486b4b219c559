//! Feeds decide which user does which task, and when. Each feed has its own file. They know no sockets and no clock.

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

/// A task for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// An operation of its session, or the action that must come first, such as a log-in.
    Operation(OperationKind),
    /// Read a session through the balancer, or from a node itself.
    FinalRead {
        /// The session to read.
        session: SessionRef,
        /// Through the balancer, or from a node.
        at: At,
    },
}

/// Where a session is read after the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Through the balancer, to see whether its state still changes.
    Settling,
    /// Through the balancer.
    Balancer,
    /// From a node itself.
    Node(SocketAddr),
}

/// A task that is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The user's place in its worker.
    pub user: usize,
    /// The task.
    pub task: Task,
    /// When it is to start, in nanoseconds from the start of the load.
    pub scheduled_ns: u64,
}

/// An operation that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The user's place in its worker.
    pub user: usize,
    /// The operation with its outcome.
    pub operation: &'a Operation,
    /// Whether the user has no other operation waiting or in flight.
    pub is_idle: bool,
    /// Whether the user's session has ended, so that its next operation would be a log-in.
    pub has_left: bool,
}

/// Provides the tasks that are to start.
pub trait Feed {
    /// When the next task is to start; `None`: not before an operation has ended, or never.
    fn next_ns(&self) -> Option<u64>;

    /// Takes a task that is due by `now_ns`, the earliest first.
    fn take(&mut self, now_ns: u64) -> Option<Due>;

    /// Called when an operation has ended.
    fn ended(&mut self, _ended: Ended<'_>) {}
}

/// The users of one of several workers: every n-th of all users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Index of the worker, from 0.
    pub worker: usize,
    /// Number of workers.
    pub workers: usize,
}

impl Shard {
    /// The place of user `index` in this worker; `None` if it belongs to another worker.
    #[must_use]
    pub fn place(self, index: usize) -> Option<usize> {
        (index % self.workers == self.worker).then_some(index / self.workers)
    }

    /// The index of the user in a place.
    #[must_use]
    pub const fn index(self, place: usize) -> usize {
        place * self.workers + self.worker
    }

    /// How many of `count` users belong to this worker.
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
        let shards: Vec<Shard> = (0..3).map(|worker| Shard { worker, workers: 3 }).collect();
        for index in 0..20 {
            let places: Vec<(Shard, usize)> =
                shards.iter().filter_map(|shard| Some((*shard, shard.place(index)?))).collect();
            assert_eq!(places.len(), 1);
            assert_eq!(places[0].0.index(places[0].1), index);
        }
        assert_eq!(shards.iter().map(|shard| shard.size(20)).collect::<Vec<_>>(), [7, 7, 6]);
    }
}
