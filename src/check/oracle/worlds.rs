//! What may have been: every instant at which a session can have ended, and every order of operations that a state can
//! stand for. A guarantee is broken where each of these worlds contradicts some reply.
//!
//! It is written from docs/verdicts.md and docker/CONTRACT.md, and uses the types of a history and none of their methods: a
//! helper that is wrong must not be wrong twice.

use std::collections::BTreeSet;

use crate::history::{ErrorKind, Operation, OperationId, OperationKind, Outcome, State};

/// A sequence of operations: a whole order, from the first one on.
pub type Sequence = Vec<OperationId>;

/// When an operation began to matter: when it was sent, or where it never was, when that was known.
pub fn began(operation: &Operation) -> u64 {
    match operation.times.sent_ns {
        Some(sent) => sent,
        None => operation.times.completed_ns,
    }
}

/// When it was over.
pub fn ended(operation: &Operation) -> u64 {
    operation.times.completed_ns
}

/// The state that it showed.
pub fn shown(operation: &Operation) -> Option<&State> {
    if let Outcome::Ok(state) = &operation.outcome { Some(state) } else { None }
}

/// Whether the app said for certain that it knows no such session.
pub fn is_unknown(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Fail(ErrorKind::UnknownSession))
}

/// Whether users ask for it, through the balancer, or it stands for what they would see in the end.
pub fn is_seen_by_users(operation: &Operation) -> bool {
    !matches!(operation.kind, OperationKind::NodeRead | OperationKind::SettleRead)
}

/// A log-out that can have ended the session.
fn can_end(operation: &Operation) -> bool {
    operation.kind == OperationKind::LogOut && !matches!(operation.outcome, Outcome::Fail(_))
}

/// Every instant at which a session can have ended by its user's will, as far as its log-outs say; `u64::MAX` for never.
/// Only instants at which something begins or is over tell worlds apart.
pub fn endings(operations: &[Operation]) -> Vec<u64> {
    let log_outs: Vec<&Operation> = operations.iter().filter(|operation| can_end(operation)).collect();
    // The first one that is acknowledged has ended it by then, if none had before.
    let latest = log_outs.iter().filter(|one| one.outcome == Outcome::Done).map(|one| ended(one)).min();
    let Some(earliest) = log_outs.iter().map(|one| began(one)).min() else { return vec![u64::MAX] };
    let mut instants: BTreeSet<u64> =
        operations.iter().flat_map(|operation| [began(operation), ended(operation)]).collect();
    instants.insert(u64::MAX);
    instants.retain(|instant| (earliest..=latest.unwrap_or(u64::MAX)).contains(instant));
    instants.into_iter().collect()
}

/// The order that a state stands for: what it shows of it, after whatever sequence gives the state's digest. None where it
/// shows nothing although it counts something, or more than it counts, or something else than its digest stands for.
pub fn order_of(state: &State, vocabulary: &BTreeSet<OperationId>) -> Option<Sequence> {
    let order = state.order.as_ref()?;
    let hidden = usize::try_from(state.version).ok()?.checked_sub(order.tail.len())?;
    if order.tail.is_empty() && state.version > 0 {
        return None;
    }
    let whole = |mut before: Sequence| {
        before.extend(order.tail.iter().copied());
        before
    };
    every_sequence(vocabulary, hidden).into_iter().map(whole).find(|whole| digest_of(whole) == order.digest)
}

/// docker/CONTRACT.md: FNV-1a with 64 bits over the digest before and the text of the operation, for each of them.
pub fn digest_of(sequence: &[OperationId]) -> u64 {
    let mut digest: u64 = 14_695_981_039_346_656_037;
    for operation in sequence {
        let text = format!("{}.{}.{}", operation.session, operation.life, operation.number);
        let mut hash: u64 = 14_695_981_039_346_656_037;
        for byte in (0..8).rev().map(|place| (digest >> (8 * place)) & 0xff).chain(text.bytes().map(u64::from)) {
            hash ^= byte;
            hash = hash.wrapping_mul(1_099_511_628_211);
        }
        digest = hash;
    }
    digest
}

/// Every sequence of some operations, with repetitions, of a length.
fn every_sequence(vocabulary: &BTreeSet<OperationId>, length: usize) -> Vec<Sequence> {
    (0..length).fold(vec![Vec::new()], |shorter, _| {
        let longer = |sequence: &Sequence, op: OperationId| sequence.iter().copied().chain([op]).collect();
        shorter.iter().flat_map(|sequence| vocabulary.iter().map(move |op| longer(sequence, *op))).collect()
    })
}

/// Everything that states show.
pub fn vocabulary<'a>(states: impl Iterator<Item = &'a State>) -> BTreeSet<OperationId> {
    states.filter_map(|state| state.order.as_ref()).flat_map(|order| order.tail.iter().copied()).collect()
}

/// Whether a history is small enough for all of that.
pub fn is_small(operations: &[Operation]) -> bool {
    let states = || operations.iter().filter_map(shown);
    let hidden = |state: &State| state.version.saturating_sub(state.order.as_ref()?.tail.len() as u64).into();
    let longest: u64 = states().filter_map(hidden).max().unwrap_or(0);
    vocabulary(states()).len().saturating_pow(u32::try_from(longest).unwrap_or(u32::MAX)) <= 2_000
}
