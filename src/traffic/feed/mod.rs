//! Feeds decide which user does which task, and when. Each feed has its own file. They know no sockets and no clock.

mod arrivals;
mod closed;
mod final_reads;
mod open;

use std::net::SocketAddr;
use std::sync::Arc;

use super::user::SessionRef;
use crate::history::{Operation, OperationKind};
use crate::load::Share;

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

/// The users of one of an agent's workers: every n-th of the agent's users.
#[derive(Clone, Debug)]
pub struct Shard {
    worker: usize,
    workers: usize,
    share: Arc<Share>,
}

impl Shard {
    /// The shards of an agent with this number of workers.
    pub fn all(workers: usize, share: &Arc<Share>) -> impl Iterator<Item = Self> {
        (0..workers).map(move |worker| Self { worker, workers, share: Arc::clone(share) })
    }

    /// The only shard there is.
    #[cfg(test)]
    #[must_use]
    pub fn alone() -> Self {
        Self { worker: 0, workers: 1, share: Arc::default() }
    }

    /// The number of the worker among those of all agents, from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.share.agent() * self.workers + self.worker
    }

    /// The place of user `index` in this worker; `None` if it belongs to another worker.
    #[must_use]
    pub fn place(&self, index: usize) -> Option<usize> {
        let rank = self.share.rank(index)?;
        (rank % self.workers == self.worker).then_some(rank / self.workers)
    }

    /// The index of the user in a place.
    #[must_use]
    pub fn index(&self, place: usize) -> usize {
        self.share.user(place * self.workers + self.worker)
    }

    /// How many of `count` users belong to this worker.
    #[must_use]
    pub fn size(&self, count: usize) -> usize {
        self.part(self.share.size(count))
    }

    /// This worker's part of what an agent's workers divide among themselves.
    #[must_use]
    pub const fn part(&self, count: usize) -> usize {
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
        let shares = [0, 1].map(|agent| Arc::new(Share::of(agent, &[0, 0, 1, 0, 1])));
        let shards: Vec<Shard> = shares.iter().flat_map(|share| Shard::all(2, share)).collect();
        for index in 0..23 {
            let places: Vec<(&Shard, usize)> =
                shards.iter().filter_map(|shard| Some((shard, shard.place(index)?))).collect();
            assert_eq!(places.len(), 1);
            assert_eq!(places[0].0.index(places[0].1), index);
        }
        assert_eq!(shards.iter().map(Shard::number).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(shards.iter().map(|shard| shard.size(20)).collect::<Vec<_>>(), [6, 6, 4, 4]);
    }
}
