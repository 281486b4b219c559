//! The pool that decides which connection an operation takes.

use std::collections::VecDeque;

/// The connections that one thread's users share.
#[derive(Debug, Default)]
pub struct Pool {
    idle: Vec<usize>,
    open: usize,
    most: usize,
    /// Users that wait for a connection, in the order of their requests.
    waiting: VecDeque<usize>,
}

/// The result for a user that asks for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// The user gets this idle connection.
    Idle(usize),
    /// The user may open a new connection.
    New,
    /// The user waits until [`Pool::turn`] returns it.
    Wait,
}

impl Pool {
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Lends the most recently used idle connection, lets the user open a new one, or makes the user wait.
    pub fn lend(&mut self, user: usize) -> Lease {
        if let Some(token) = self.idle.pop() {
            return Lease::Idle(token);
        }
        if self.open < self.most {
            self.open += 1;
            return Lease::New;
        }
        self.waiting.push_back(user);
        Lease::Wait
    }

    /// Returns a connection to the pool.
    pub fn give_back(&mut self, token: usize) {
        self.idle.push(token);
    }

    /// Removes a connection that was closed or could not be opened.
    pub fn lose(&mut self, token: usize) {
        self.idle.retain(|idle| *idle != token);
        self.open = self.open.saturating_sub(1);
    }

    /// Removes and returns the user that has waited longest, if a connection is available. If this user cannot use the
    /// connection now, the next call returns the next user.
    pub fn turn(&mut self) -> Option<usize> {
        if self.idle.is_empty() && self.open >= self.most { None } else { self.waiting.pop_front() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_opened_up_to_the_limit_and_then_the_longest_waiting_user_is_next() {
        let mut pool = Pool::new(2);
        assert_eq!([1, 2, 3, 4].map(|user| pool.lend(user)), [Lease::New, Lease::New, Lease::Wait, Lease::Wait]);
        assert_eq!(pool.turn(), None);
        pool.give_back(70);
        assert_eq!(pool.turn(), Some(3));
        assert_eq!((pool.lend(3), pool.turn()), (Lease::Idle(70), None));
        pool.lose(71);
        assert_eq!(pool.turn(), Some(4));
        assert_eq!((pool.lend(4), pool.turn()), (Lease::New, None));
    }

    #[test]
    fn a_user_that_cannot_use_a_connection_leaves_it_to_the_next() {
        let mut pool = Pool::new(1);
        assert_eq!([1, 2, 2, 3].map(|user| pool.lend(user)), [Lease::New, Lease::Wait, Lease::Wait, Lease::Wait]);
        pool.give_back(70);
        assert_eq!([pool.turn(), pool.turn(), pool.turn(), pool.turn()], [Some(2), Some(2), Some(3), None]);
    }
}
