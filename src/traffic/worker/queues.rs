//! Many mostly empty queues in one store, because a separate queue would cost each of a million users a few hundred
//! bytes that it rarely needs.

use slab::Slab;

const NONE: u32 = u32::MAX;

/// One of the queues: its first and last entry.
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    first: u32,
    last: u32,
}

/// The entries of all queues.
#[derive(Debug)]
pub struct Queues<T> {
    entries: Slab<(T, u32)>,
}

impl Default for Queue {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

impl Queue {
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.first == NONE
    }
}

impl<T: Copy> Queues<T> {
    #[must_use]
    pub fn new() -> Self {
        Self { entries: Slab::new() }
    }

    /// Number of entries in all queues.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn push(&mut self, queue: &mut Queue, item: T) {
        let place = u32::try_from(self.entries.insert((item, NONE))).unwrap_or(NONE);
        match self.entries.get_mut(queue.last as usize).filter(|_| !queue.is_empty()) {
            Some((_, next)) => *next = place,
            None => queue.first = place,
        }
        queue.last = place;
    }

    /// The oldest entry of a queue.
    #[must_use]
    pub fn front(&self, queue: Queue) -> Option<T> {
        self.entries.get(queue.first as usize).filter(|_| !queue.is_empty()).map(|(item, _)| *item)
    }

    /// Removes and returns the oldest entry of a queue.
    pub fn pop(&mut self, queue: &mut Queue) -> Option<T> {
        let (item, next) = self.entries.try_remove(queue.first as usize).filter(|_| !queue.is_empty())?;
        queue.first = next;
        if next == NONE {
            queue.last = NONE;
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_queue_returns_its_items_in_order(
            steps in proptest::collection::vec((0usize..3, proptest::option::of(0u8..100)), 0..200),
        ) {
            let (mut queues, mut some) = (Queues::new(), [Queue::default(); 3]);
            let mut models: [VecDeque<u8>; 3] = Default::default();
            for (which, step) in steps {
                if let Some(item) = step {
                    queues.push(&mut some[which], item);
                    models[which].push_back(item);
                } else {
                    prop_assert_eq!(queues.pop(&mut some[which]), models[which].pop_front());
                }
                prop_assert_eq!(queues.front(some[which]), models[which].front().copied());
                prop_assert_eq!(some[which].is_empty(), models[which].is_empty());
            }
            prop_assert_eq!(queues.len(), models.iter().map(VecDeque::len).sum::<usize>());
        }
    }
}
