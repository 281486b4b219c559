//! Reads every session after the load, a few at a time, and again if there is no reply.

use super::{At, Due, Ended, Feed, Task};
use crate::history::{Operation, Owners, State};
use crate::traffic::user::SessionRef;
use std::collections::{BTreeMap, VecDeque};

/// Most attempts of a final read without a complete reply, including the first one.
const TRIES: u32 = 5;
/// Pause between two attempts.
const PAUSE_NS: u64 = 300_000_000;
/// A system that has answered nobody for so long is not read to the end: with thousands of sessions that would take hours.
const MAX_SILENCE_NS: u64 = 60_000_000_000;
/// How many sessions all workers together read at the same time.
const AT_ONCE: usize = 16;

/// One session to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalRead {
    /// The user's place in its worker.
    pub user: usize,
    /// The session to read.
    pub session: SessionRef,
    /// Through the balancer, or from a node.
    pub at: At,
}

/// A feed of reads, in their order.
#[derive(Debug)]
pub struct FinalReads {
    /// Reads to start, with their attempts so far and their earliest start in nanoseconds.
    owners: Owners,
    waiting: VecDeque<(FinalRead, u32, u64)>,
    again: VecDeque<(FinalRead, u32, u64)>,
    under_way: Vec<(FinalRead, u32)>,
    most_under_way: usize,
    now_ns: u64,
    /// When a read was last answered, or when the reads began.
    last_answer_ns: u64,
    /// Number of reads without a complete reply after all attempts, or not tried any more because nobody was answered.
    pub unanswered: u32,
    /// Version and digest that each session showed while settling; `None` if it showed no state.
    pub seen: BTreeMap<(usize, SessionRef), Option<(u64, u64)>>,
}

impl FinalReads {
    /// A feed of `reads` for one of `workers` workers that read at the same time.
    #[must_use]
    pub fn new(reads: impl IntoIterator<Item = FinalRead>, owners: Owners, workers: usize, now_ns: u64) -> Self {
        Self {
            owners,
            waiting: reads.into_iter().map(|read| (read, 0, 0)).collect(),
            again: VecDeque::new(),
            under_way: Vec::new(),
            most_under_way: (AT_ONCE / workers).max(1),
            now_ns,
            last_answer_ns: now_ns,
            unanswered: 0,
            seen: BTreeMap::new(),
        }
    }
}

impl FinalReads {
    fn give_up(&mut self) {
        let left = self.waiting.drain(..).chain(self.again.drain(..));
        let through_the_balancer = left.filter(|(read, ..)| read.at == At::Balancer).count();
        self.unanswered += u32::try_from(through_the_balancer).unwrap_or(u32::MAX);
    }
}

impl Feed for FinalReads {
    fn next_ns(&self) -> Option<u64> {
        if self.under_way.len() >= self.most_under_way {
            return None;
        }
        let again = self.again.front().map(|(_, _, not_before_ns)| *not_before_ns);
        if self.waiting.is_empty() { again } else { Some(self.now_ns) }
    }

    fn take(&mut self, now_ns: u64) -> Option<Due> {
        self.now_ns = now_ns;
        if now_ns.saturating_sub(self.last_answer_ns) > MAX_SILENCE_NS {
            self.give_up();
        }
        if self.under_way.len() >= self.most_under_way {
            return None;
        }
        let is_due = self.again.front().is_some_and(|(_, _, not_before_ns)| *not_before_ns <= now_ns);
        let (read, tries, _) = if is_due { self.again.pop_front() } else { self.waiting.pop_front() }?;
        self.under_way.push((read, tries + 1));
        let FinalRead { user, session, at } = read;
        Some(Due { user, task: Task::FinalRead { session, at }, scheduled_ns: now_ns })
    }

    fn ended(&mut self, ended: Ended<'_>) {
        // A user reads one session at a time, in the order of its tasks.
        let Some(at) = self.under_way.iter().position(|(read, _)| read.user == ended.user) else { return };
        let (read, tries) = self.under_way.remove(at);
        if ended.operation.is_ok() || ended.operation.session_was_unknown() {
            self.last_answer_ns = ended.operation.times.completed_ns;
        }
        if read.at == At::Settling {
            let digest = |state: &State| state.order.as_ref().map_or(0, |order| order.digest);
            let shown = ended.operation.state().map(|state| (state.version, digest(state)));
            self.seen.insert((read.user, read.session), shown);
            return;
        }
        // A node that does not answer is not asked again: it may be the one that was killed. A reply that shows another
        // user's session does not count as a reply.
        let shows_own = ended.operation.is_ok() && !shows_another(ended.operation, self.owners);
        if shows_own || ended.operation.session_was_unknown() || read.at != At::Balancer {
            return;
        }
        if tries < TRIES {
            self.again.push_back((read, tries, ended.operation.times.completed_ns + PAUSE_NS));
        } else {
            self.unanswered += 1;
        }
    }
}

/// A session that has lost its user is nobody's, and that is an answer.
fn shows_another(operation: &Operation, owners: Owners) -> bool {
    let is_of_another = |owner: &str| !owner.is_empty() && !owners.is_name(owner, operation.id.session);
    operation.state().is_some_and(|state| is_of_another(&state.identity.owner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{HistoryBuilder, history};
    use crate::history::{ErrorKind, Outcome};

    #[test]
    fn a_session_without_a_reply_is_read_again_and_then_counted_as_unanswered() {
        let read = FinalRead { user: 3, session: SessionRef::Current, at: At::Balancer };
        let mut reads = FinalReads::new([read], Owners::default(), 1, 0);
        let mut operation = history(HistoryBuilder::create).remove(0);
        operation.outcome = Outcome::Indeterminate(ErrorKind::Timeout);
        operation.times.completed_ns = 10;
        for attempt in 1..=TRIES {
            let now_ns = u64::from(attempt) * PAUSE_NS * 2;
            assert_eq!(reads.take(now_ns).map(|due| due.user), Some(3), "{attempt}");
            assert_eq!(reads.unanswered, 0);
            reads.ended(Ended { user: 3, operation: &operation, is_idle: true, has_left: false });
        }
        assert_eq!((reads.take(u64::MAX), reads.next_ns(), reads.unanswered), (None, None, 1));
    }

    #[test]
    fn a_final_read_that_shows_another_users_session_is_repeated() {
        let mut reads = FinalReads::new(
            [FinalRead { user: 1, session: SessionRef::Current, at: At::Balancer }],
            Owners::default(),
            1,
            0,
        );
        let own = history(HistoryBuilder::create).remove(0);
        let mut foreign = own.clone();
        foreign.outcome = Outcome::Ok(crate::check::testing::state("s99", "e", &[], true));
        assert!(reads.take(0).is_some());
        reads.ended(Ended { user: 1, operation: &foreign, is_idle: true, has_left: false });
        assert!(reads.take(10 * PAUSE_NS).is_some());
        let mut nobodys = own.clone();
        nobodys.outcome = Outcome::Ok(crate::check::testing::state("", "e", &[], true));
        assert!(!shows_another(&nobodys, Owners::default()));
        reads.ended(Ended { user: 1, operation: &own, is_idle: true, has_left: false });
        assert_eq!((reads.next_ns(), reads.unanswered), (None, 0));
    }

    #[test]
    fn a_system_that_answers_nobody_is_not_read_to_the_end() {
        let reads = (0..40).map(|user| FinalRead { user, session: SessionRef::Current, at: At::Balancer });
        let mut reads = FinalReads::new(reads, Owners::default(), 1, 0);
        let mut operation = history(HistoryBuilder::create).remove(0);
        operation.times.completed_ns = MAX_SILENCE_NS;
        assert!(reads.take(0).is_some() && reads.take(MAX_SILENCE_NS).is_some());
        reads.ended(Ended { user: 0, operation: &operation, is_idle: true, has_left: false });
        operation.outcome = Outcome::Indeterminate(ErrorKind::Timeout);
        operation.times.completed_ns = 2 * MAX_SILENCE_NS;
        assert!(reads.take(2 * MAX_SILENCE_NS).is_some(), "one was answered in the meantime");
        reads.ended(Ended { user: 1, operation: &operation, is_idle: true, has_left: false });
        assert!(reads.take(2 * MAX_SILENCE_NS + 1).is_none());
        assert_eq!((reads.next_ns(), reads.unanswered), (None, 38));
    }

    #[test]
    fn only_a_few_sessions_are_read_at_once() {
        let reads = (0..40).map(|user| FinalRead { user, session: SessionRef::Current, at: At::Balancer });
        let mut reads = FinalReads::new(reads, Owners::default(), 1, 0);
        let begun = std::iter::from_fn(|| reads.take(0)).count();
        assert_eq!((begun, reads.next_ns()), (AT_ONCE, None));
    }
}
