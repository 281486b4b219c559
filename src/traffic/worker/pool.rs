//! Which connection an operation takes.

use std::collections::VecDeque;

/// The connections that one thread's users share.
#[derive(Debug, Default)]
pub struct Pool {
    idle: Vec<usize>,
    open: usize,
    most: usize,
    /// Users that wait for one, the longest first.
    waiting: VecDeque<usize>,
}

/// What a user gets that asks for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// This one.
    Idle(usize),
    /// It may make one.
    New,
    /// It is told when there is one.
    Wait,
}

impl Pool {
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Lends the connection that was used last, or lets the user make one.
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

    /// Takes one back.
    pub fn give_back(&mut self, token: usize) {
        self.idle.push(token);
    }

    /// One is gone.
    pub fn lose(&mut self, token: usize) {
        self.idle.retain(|idle| *idle != token);
        self.open = self.open.saturating_sub(1);
    }

    /// The user that waits longest, as long as there is a connection to lend. Who cannot use it now leaves it to the
    /// next one.
    pub fn turn(&mut self) -> Option<usize> {
        if self.idle.is_empty() && self.open >= self.most { None } else { self.waiting.pop_front() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_made_as_allowed_and_then_who_waits_longest_is_next() {
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
    fn who_cannot_use_a_connection_leaves_it_to_the_next() {
        let mut pool = Pool::new(1);
        assert_eq!([1, 2, 2, 3].map(|user| pool.lend(user)), [Lease::New, Lease::Wait, Lease::Wait, Lease::Wait]);
        pool.give_back(70);
        assert_eq!([pool.turn(), pool.turn(), pool.turn(), pool.turn()], [Some(2), Some(2), Some(3), None]);
    }
}
