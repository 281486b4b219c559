//! The highest version that was known before an instant: what both freshness guarantees compare with.

use crate::history::Operation;

/// Versions by the instant from which they were known.
pub(super) struct SeenBefore<'a> {
    /// In the order of time; the version is the highest so far.
    known: Vec<(u64, u64, &'a Operation)>,
}

impl<'a> SeenBefore<'a> {
    /// `replies` gives each operation with the version that its reply showed.
    pub(super) fn new(replies: impl Iterator<Item = (&'a Operation, u64)>) -> Self {
        let mut known: Vec<_> =
            replies.map(|(operation, version)| (operation.times.completed_ns, version, operation)).collect();
        known.sort_by_key(|(completed_ns, version, _)| (*completed_ns, *version));
        for index in 1..known.len() {
            if known[index].1 < known[index - 1].1 {
                (known[index].1, known[index].2) = (known[index - 1].1, known[index - 1].2);
            }
        }
        Self { known }
    }

    /// The highest version in a reply that was complete before `at_ns`, and the operation it came with.
    pub(super) fn at(&self, at_ns: u64) -> Option<(u64, &'a Operation)> {
        let index = self.known.partition_point(|(completed_ns, ..)| *completed_ns <= at_ns).checked_sub(1)?;
        self.known.get(index).map(|(_, version, operation)| (*version, *operation))
    }
}
