//! A second checker, for small histories only, that shares nothing with the first but the words: it tries every
//! order of operations, and for what a reply may have meant it tries every fate. It decides each guarantee
//! straight from its definition (docs/verdicts.md), by quantifiers over whole histories, without trees,
//! positions or instants kept aside. Where the two disagree, one of them is wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::{Guarantee, Verdict};
use crate::history::{Identity, Operation, OperationId, OperationKind, Outcome, State};

/// A sequence of operations: a whole order, from the first one on.
type Sequence = Vec<OperationId>;

/// A reply that shows the session, with the whole order that it stands for; none where there is no such order.
struct Seen<'a> {
    operation: &'a Operation,
    state: &'a State,
    order: Option<Sequence>,
}

/// What the oracle says of one session's operations.
pub fn decide(operations: &[Operation]) -> BTreeMap<Guarantee, Verdict> {
    let session = Session::of(operations);
    Guarantee::ALL.into_iter().map(|guarantee| (guarantee, session.decide(guarantee))).collect()
}

struct Session<'a> {
    operations: &'a [Operation],
    /// Who it is and from when its user knew; none where it was never seen.
    known: Option<(&'a Identity, u64)>,
    seen: Vec<Seen<'a>>,
}

impl<'a> Session<'a> {
    fn of(operations: &'a [Operation]) -> Self {
        let known = known(operations);
        let states = || {
            operations.iter().filter_map(|operation| {
                let state = operation.state()?;
                (Some(state.identity.as_ref()) == known.map(|(identity, _)| identity)).then_some((operation, state))
            })
        };
        let vocabulary = vocabulary(states().map(|(_, state)| state));
        let seen =
            states().map(|(operation, state)| Seen { operation, state, order: order_of(state, &vocabulary) }).collect();
        Self { operations, known, seen }
    }

    fn decide(&self, guarantee: Guarantee) -> Verdict {
        let (broken, exercised, doubtful) = match guarantee {
            Guarantee::SessionSurvives => self.session_survives(),
            Guarantee::Owned => self.owned(),
            Guarantee::ReadYourWrites => self.fresh(&Self::acknowledges),
            Guarantee::MonotonicReads => self.fresh(&Self::reads),
            Guarantee::NoLostUpdate => self.no_lost_update(),
            Guarantee::AppliedOnce => self.applied_once(),
            Guarantee::NoPhantom => self.no_phantom(),
            Guarantee::OneHistory => self.one_history(),
            Guarantee::LogoutIsFinal => self.logout_is_final(),
        };
        match (broken, exercised && !doubtful) {
            (true, _) => Verdict::Violated,
            (false, true) => Verdict::Pass,
            (false, false) => Verdict::Unknown,
        }
    }

    fn through(&self) -> impl Iterator<Item = &Seen<'a>> {
        self.seen.iter().filter(|seen| seen.operation.kind != OperationKind::NodeRead)
    }

    /// Log-outs that may have happened.
    fn log_outs(&self) -> impl Iterator<Item = &'a Operation> {
        self.operations.iter().filter(|operation| {
            operation.kind == OperationKind::LogOut && !matches!(operation.outcome, Outcome::Fail(_))
        })
    }

    /// Whether, whenever each log-out took effect, the session must still have been there for this reply.
    fn must_be_there(&self, operation: &Operation) -> bool {
        self.known.is_some_and(|(_, from)| from <= operation.began_ns())
            && operation.kind != OperationKind::NodeRead
            && self.log_outs().all(|log_out| log_out.began_ns() >= operation.times.completed_ns)
    }

    fn replaces(&self, operation: &Operation) -> bool {
        let Some((identity, _)) = self.known else { return false };
        operation
            .state()
            .is_some_and(|state| state.identity.owner == identity.owner && state.identity.epoch != identity.epoch)
    }

    fn session_survives(&self) -> (bool, bool, bool) {
        let is_missed = |operation: &&Operation| {
            self.must_be_there(operation) && (operation.session_was_unknown() || self.replaces(operation))
        };
        let later = self.operations.iter().any(|operation| {
            !matches!(operation.kind, OperationKind::Create | OperationKind::NodeRead)
                && (operation.is_ok() || operation.session_was_unknown())
        });
        (self.operations.iter().any(|operation| is_missed(&operation)), self.known.is_some() && later, false)
    }

    /// Whether it was there to the end, or until it was logged out.
    fn is_lost(&self) -> bool {
        let mut missed = false;
        for operation in self.operations {
            if operation.kind == OperationKind::NodeRead {
                missed &= !self.seen.iter().any(|seen| seen.operation.id == operation.id);
                continue;
            }
            if self.known.is_none_or(|(_, from)| operation.began_ns() < from) {
                continue;
            }
            if self.must_be_there(operation) && self.replaces(operation) {
                return true;
            }
            if operation.is_ok() {
                missed = false;
            }
            missed |= self.must_be_there(operation) && operation.session_was_unknown();
        }
        missed
    }

    fn owned(&self) -> (bool, bool, bool) {
        let states = || self.operations.iter().filter_map(|operation| Some((operation, operation.state()?)));
        let is_foreign = |(operation, state): (&Operation, &State)| {
            let mine = |op: &OperationId| (op.session, op.life) == (operation.id.session, operation.id.life);
            state.identity.owner != format!("s{}", operation.id.session)
                || !state.order.as_ref().unwrap().tail.iter().all(mine)
        };
        (states().any(is_foreign), states().next().is_some(), false)
    }

    fn last(&self) -> Option<&Seen<'a>> {
        self.seen.iter().rfind(|seen| seen.operation.kind == OperationKind::FinalRead)
    }

    /// The order that stands in the end: the final read's, or the longest that anyone was shown, and of several
    /// as long the latest.
    fn standing(&self) -> Sequence {
        let longest = || {
            let explained = self.through().filter_map(|seen| Some((seen, seen.order.as_ref()?)));
            let longest = explained.max_by_key(|(seen, order)| (order.len(), seen.operation.began_ns()));
            longest.map(|(_, order)| order.clone())
        };
        self.last().and_then(|last| last.order.clone()).or_else(longest).unwrap_or_default()
    }

    /// Writes that were acknowledged and of which it is certain that they must be in the standing order.
    fn due(&self) -> Option<Vec<&'a Operation>> {
        if self.is_lost() {
            return None;
        }
        let until = if let Some(last) = self.last() {
            last.order.as_ref().map(|_| u64::MAX)?
        } else {
            self.log_outs().next()?;
            let standing = self.standing();
            let length = standing.len() as u64;
            if self.seen.iter().any(|seen| seen.order.is_none() && seen.state.version >= length) {
                return None;
            }
            let shows = self.through().filter(|seen| seen.order.as_ref() == Some(&standing));
            shows.map(|seen| seen.operation.began_ns()).max()?
        };
        let writes = self.seen.iter().map(|seen| seen.operation).filter(|write| write.kind == OperationKind::Write);
        Some(writes.filter(|write| write.times.completed_ns <= until).collect())
    }

    fn lost(&self) -> BTreeSet<OperationId> {
        let standing = self.standing();
        let due = self.due().unwrap_or_default().into_iter().map(|write| write.id);
        due.filter(|id| !standing.contains(id)).collect()
    }

    fn no_lost_update(&self) -> (bool, bool, bool) {
        let writes = self.seen.iter().any(|seen| seen.operation.kind == OperationKind::Write);
        if !writes || self.is_lost() {
            return (false, false, false);
        }
        match self.due() {
            Some(due) => (!self.lost().is_empty(), !due.is_empty(), false),
            None => (false, false, true),
        }
    }

    fn acknowledges(seen: &Seen) -> Vec<OperationId> {
        (seen.operation.kind == OperationKind::Write).then_some(seen.operation.id).into_iter().collect()
    }

    fn reads(seen: &Seen) -> Vec<OperationId> {
        if matches!(seen.operation.kind, OperationKind::Read | OperationKind::FinalRead) {
            seen.order.clone().unwrap_or_default()
        } else {
            Vec::new()
        }
    }

    /// Every reply has every operation that an earlier one made known, lost ones excepted.
    fn fresh(&self, makes_known: &dyn Fn(&Seen) -> Vec<OperationId>) -> (bool, bool, bool) {
        let lost = self.lost();
        let (mut broken, mut exercised) = (false, false);
        for earlier in self.through().filter(|seen| seen.order.is_some()) {
            for op in makes_known(earlier).into_iter().filter(|op| !lost.contains(op)) {
                for later in self.through() {
                    let Some(order) = &later.order else { continue };
                    if earlier.operation.times.completed_ns <= later.operation.began_ns() {
                        exercised = true;
                        broken |= !order.contains(&op);
                    }
                }
            }
        }
        (broken, exercised, self.through().any(|seen| seen.order.is_none()))
    }

    /// Everything that is shown: whole orders, and where there is none, the tails.
    fn shown(&self) -> impl Iterator<Item = Sequence> + '_ {
        self.seen.iter().map(|seen| {
            let tail = || seen.state.order.as_ref().unwrap().tail.to_vec();
            seen.order.clone().unwrap_or_else(tail)
        })
    }

    fn is_any_unexplained(&self) -> bool {
        self.seen.iter().any(|seen| seen.order.is_none())
    }

    fn shows_any_operation(&self) -> bool {
        self.seen.iter().any(|seen| seen.order.as_ref().is_some_and(|order| !order.is_empty()))
    }

    fn applied_once(&self) -> (bool, bool, bool) {
        let repeats = |order: Sequence| order.iter().collect::<BTreeSet<_>>().len() < order.len();
        (self.shown().any(repeats), self.shows_any_operation(), self.is_any_unexplained())
    }

    fn no_phantom(&self) -> (bool, bool, bool) {
        let is_phantom = |op: &OperationId| {
            let mine =
                self.operations.first().is_some_and(|first| (first.id.session, first.id.life) == (op.session, op.life));
            let sent = self.operations.iter().find(|operation| operation.id == *op);
            mine && sent
                .is_none_or(|sent| sent.kind != OperationKind::Write || matches!(sent.outcome, Outcome::Fail(_)))
        };
        let broken = self.shown().any(|order| order.iter().any(is_phantom));
        (broken, self.shows_any_operation(), self.is_any_unexplained())
    }

    fn one_history(&self) -> (bool, bool, bool) {
        let lost = self.lost();
        let kept = |order: &Sequence| order.iter().filter(|op| !lost.contains(op)).copied().collect::<Sequence>();
        let orders: Vec<Sequence> = self.seen.iter().filter_map(|seen| seen.order.as_ref()).map(kept).collect();
        let apart = |one: &Sequence, other: &Sequence| !one.starts_with(other) && !other.starts_with(one);
        let any_apart = orders.iter().any(|one| orders.iter().any(|other| apart(one, other)));
        let end = self.last().and_then(|last| last.order.as_ref());
        let in_the_end = self.seen.iter().filter(|seen| seen.operation.kind == OperationKind::NodeRead);
        let apart_in_the_end =
            in_the_end.filter_map(|seen| seen.order.as_ref()).any(|order| end.is_some_and(|end| apart(order, end)));
        (any_apart || apart_in_the_end, self.seen.len() > 1, self.is_any_unexplained())
    }

    /// Under every fate of the log-outs without a reply, something is wrong: either the session was unknown
    /// while it was there, or it answered after it was gone.
    fn logout_is_final(&self) -> (bool, bool, bool) {
        let owner = self.operations.first().map(|first| format!("s{}", first.id.session));
        let answers = |operation: &&Operation| {
            operation.state().is_some_and(|state| Some(&state.identity.owner) == owner.as_ref())
        };
        let Some(asked) = self.log_outs().map(Operation::began_ns).min() else { return (false, false, false) };
        // The latest instant at which the session must have been gone, over all fates that explain the replies.
        let acknowledged = self.log_outs().filter(|log_out| log_out.outcome == Outcome::Done);
        let gone = self.operations.iter().filter(|operation| {
            operation.session_was_unknown()
                && operation.kind != OperationKind::NodeRead
                && operation.began_ns() >= asked
        });
        let Some(from) = acknowledged.chain(gone).map(|operation| operation.times.completed_ns).min() else {
            return (false, false, false);
        };
        let later = || self.operations.iter().filter(|operation| operation.began_ns() >= from);
        let broken = later().any(|operation| answers(&operation));
        (broken, broken || later().any(Operation::session_was_unknown), false)
    }
}

/// Which session it is, and from when its user knew: by the reply to its creation, or if that was lost, by the
/// first that showed it.
fn known(operations: &[Operation]) -> Option<(&Identity, u64)> {
    let created = operations.iter().find(|operation| operation.kind == OperationKind::Create)?;
    let shows = |operation: &'_ &Operation| match &created.outcome {
        Outcome::Ok(_) => operation.id == created.id,
        Outcome::Fail(_) | Outcome::Done => false,
        Outcome::Indeterminate(_) => {
            operation.state().is_some_and(|state| state.identity.owner == format!("s{}", created.id.session))
        }
    };
    let first = operations.iter().filter(shows).min_by_key(|operation| operation.times.completed_ns)?;
    Some((first.state()?.identity.as_ref(), first.times.completed_ns))
}

/// The order that a state stands for: what its tail shows, after whatever sequence of operations gives the
/// state's digest.
fn order_of(state: &State, vocabulary: &BTreeSet<OperationId>) -> Option<Sequence> {
    let order = state.order.as_ref().unwrap();
    let before = usize::try_from(state.version).unwrap().checked_sub(order.tail.len())?;
    let with_tail = |before: Sequence| before.into_iter().chain(order.tail.iter().copied()).collect::<Sequence>();
    let digest =
        |order: &Sequence| order.iter().fold(super::orders::EMPTY, |digest, op| super::orders::append(digest, *op));
    every_sequence(vocabulary, before).into_iter().map(with_tail).find(|whole| digest(whole) == order.digest)
}

/// Every sequence of some operations, with repetitions, of a length.
fn every_sequence(vocabulary: &BTreeSet<OperationId>, length: usize) -> Vec<Sequence> {
    (0..length).fold(vec![Vec::new()], |shorter, _| {
        let longer = |sequence: &Sequence, op: OperationId| sequence.iter().copied().chain([op]).collect();
        shorter.iter().flat_map(|sequence| vocabulary.iter().map(move |op| longer(sequence, *op))).collect()
    })
}

/// Whether a history is small enough for all of that.
fn is_small(operations: &[Operation]) -> bool {
    let states: Vec<&State> = operations.iter().filter_map(Operation::state).collect();
    let vocabulary = vocabulary(states.iter().copied()).len();
    let hidden = |state: &&State| state.version - state.order.as_ref().unwrap().tail.len() as u64;
    let longest = u32::try_from(states.iter().map(hidden).max().unwrap_or(0)).unwrap();
    vocabulary.saturating_pow(longest) <= 2_000
}

fn vocabulary<'a>(states: impl Iterator<Item = &'a State>) -> BTreeSet<OperationId> {
    states.flat_map(|state| state.order.as_ref().unwrap().tail.iter().copied()).collect()
}

mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

    use super::super::testing::stores::{Move, any_moves, play};
    use super::super::{Judgement, judge};
    use super::*;
    use crate::history::{Life, Timeline};

    /// Histories that are tried in each of the two properties below.
    const HISTORIES: u32 = 100_000;

    fn fast(operations: &[Operation]) -> Judgement {
        judge(Life::all(operations.to_vec()), &Timeline::default(), &Guarantee::ALL)
    }

    /// Tries many histories from a seed that is printed, and that `STEADFAST_SEED` repeats.
    #[expect(clippy::print_stdout, reason = "a failure has to be repeated")]
    fn try_many(of_tail: usize, agrees: impl Fn(&Judgement, &BTreeMap<Guarantee, Verdict>) -> bool) {
        let seed: u64 =
            std::env::var("STEADFAST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
        println!("seed {seed}; STEADFAST_SEED={seed} repeats it");
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let max_global_rejects = HISTORIES;
        let config = Config { cases: HISTORIES, failure_persistence: None, max_global_rejects, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let mut seen: std::cell::RefCell<BTreeMap<(Guarantee, Verdict), u32>> = std::cell::RefCell::default();
        let result = runner.run(&any_moves(), |moves: Vec<Move>| {
            let operations = play(&moves, of_tail);
            prop_assume!(is_small(&operations));
            let (fast, oracle) = (fast(&operations), decide(&operations));
            for (guarantee, says) in &oracle {
                *seen.borrow_mut().entry((*guarantee, *says)).or_default() += 1;
            }
            prop_assert!(
                agrees(&fast, &oracle),
                "the checker says {fast:#?}, the oracle {oracle:#?}, of {operations:#?}"
            );
            Ok(())
        });
        match result {
            Ok(()) => {}
            Err(TestError::Fail(reason, moves)) => panic!("{reason}\nseed {seed}, shrunk to {moves:#?}"),
            Err(error) => panic!("{error}"),
        }
        // Each verdict on each guarantee was tried, and often: the histories are worth something.
        for guarantee in Guarantee::ALL {
            for verdict in [Verdict::Pass, Verdict::Violated] {
                let count = seen.get_mut().get(&(guarantee, verdict)).copied().unwrap_or_default();
                assert!(count > HISTORIES / 500, "only {count} histories were {verdict} on {guarantee}");
            }
        }
    }

    #[test]
    fn the_checker_decides_as_the_oracle_does() {
        try_many(crate::history::TAIL, |fast, oracle| {
            oracle.iter().all(|(guarantee, says)| fast.guarantees[guarantee].verdict == *says)
        });
    }

    #[test]
    fn where_states_show_little_of_their_order_the_checker_is_never_wrong_but_may_not_know() {
        // Which guarantee an anomaly counts under may differ then: whether an update is lost cannot always be told.
        try_many(2, |fast, oracle| {
            let found = fast.guarantees.values().map(|finding| finding.verdict).max();
            found == oracle.values().max().copied() || found == Some(Verdict::Unknown)
        });
    }
}
