//! Possible worlds: every instant at which a session may have ended, and every order of operations that a state may
//! stand for. A guarantee is broken if each of these worlds contradicts some reply.
//!
//! Written from docs/verdicts.md and docker/CONTRACT.md. Uses the types of a history but none of their methods, so that
//! a wrong helper is not wrong in both checkers.

use std::collections::BTreeSet;

use crate::history::{ErrorKind, Operation, OperationId, OperationKind, Outcome, State};

/// A whole order of operations, from the first one on.
pub type Sequence = Vec<OperationId>;

/// When an operation could first take effect: when it was sent, or if it was not, when it ended.
pub fn began(operation: &Operation) -> u64 {
    match operation.times.sent_ns {
        Some(sent) => sent,
        None => operation.times.completed_ns,
    }
}

/// When it ended.
pub fn ended(operation: &Operation) -> u64 {
    operation.times.completed_ns
}

/// The state that its reply showed.
pub fn shown(operation: &Operation) -> Option<&State> {
    if let Outcome::Ok(state) = &operation.outcome { Some(state) } else { None }
}

/// Whether the app certainly answered that it does not know the session.
pub fn is_unknown(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Fail(ErrorKind::UnknownSession))
}

/// Whether users request it through the balancer, or it shows what they would see at the end.
pub fn is_seen_by_users(operation: &Operation) -> bool {
    !matches!(operation.kind, OperationKind::NodeRead | OperationKind::SettleRead)
}

/// Whether it is an agent's request that does not carry the cookies of the session: it shows where other cookies lead, or what a
/// visitor had before the log-in.
pub fn is_beside(operation: &Operation) -> bool {
    use OperationKind::{BrowserRead, MadeUpRead, OldIdRead, Visit, VisitorRead, VisitorWrite};
    matches!(operation.kind, Visit | VisitorRead | VisitorWrite | BrowserRead | OldIdRead | MadeUpRead)
}

/// Whether it appends its id to the session.
pub fn writes(operation: &Operation) -> bool {
    matches!(operation.kind, OperationKind::Write | OperationKind::HeldWrite)
}

/// Whether a log-out may have ended the session.
fn can_end(operation: &Operation) -> bool {
    operation.kind == OperationKind::LogOut && !matches!(operation.outcome, Outcome::Fail(_))
}

/// From when on nobody can tell by which id the session is there: a change of its id had no reply.
pub fn id_is_unsure_from(operations: &[Operation]) -> Option<u64> {
    let unanswered = |operation: &&Operation| {
        operation.kind == OperationKind::NewId && matches!(operation.outcome, Outcome::Indeterminate(_))
    };
    operations.iter().filter(unanswered).map(began).min()
}

/// Whether a request was under way while the id of its session changed: it came with the id from before.
pub fn has_the_old_id(operation: &Operation, all: &[Operation]) -> bool {
    let changes = all.iter().filter(|one| one.kind == OperationKind::NewId && !matches!(one.outcome, Outcome::Fail(_)));
    let mut meets = changes.filter(|change| began(operation) < ended(change) && ended(operation) > began(change));
    operation.kind != OperationKind::NewId && meets.next().is_some()
}

/// Every instant at which its user may have ended a session, according to its log-outs; `u64::MAX` for never. Only the
/// starts and ends of operations count, because no other instants distinguish worlds.
pub fn endings(operations: &[Operation]) -> Vec<u64> {
    let log_outs: Vec<&Operation> = operations.iter().filter(|operation| can_end(operation)).collect();
    // The first acknowledged log-out ended the session by then at the latest.
    let latest = log_outs.iter().filter(|one| one.outcome == Outcome::Done).map(|one| ended(one)).min();
    let Some(earliest) = log_outs.iter().map(|one| began(one)).min() else { return vec![u64::MAX] };
    let mut instants: BTreeSet<u64> =
        operations.iter().flat_map(|operation| [began(operation), ended(operation)]).collect();
    instants.insert(u64::MAX);
    instants.retain(|instant| (earliest..=latest.unwrap_or(u64::MAX)).contains(instant));
    instants.into_iter().collect()
}

/// The order that a state stands for: a hidden sequence and then the tail, such that they give the state's digest.
/// `None` if the state shows no order, shows no operations although it counts some, shows more than it counts, or
/// matches no sequence.
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

/// The digest of docker/CONTRACT.md: 64-bit FNV-1a over the previous digest and the operation's id as text, for each
/// operation.
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

/// Every sequence of `length` operations, with repetitions.
fn every_sequence(vocabulary: &BTreeSet<OperationId>, length: usize) -> Vec<Sequence> {
    (0..length).fold(vec![Vec::new()], |shorter, _| {
        let longer = |sequence: &Sequence, op: OperationId| sequence.iter().copied().chain([op]).collect();
        shorter.iter().flat_map(|sequence| vocabulary.iter().map(move |op| longer(sequence, *op))).collect()
    })
}

/// All operations that states show.
pub fn vocabulary<'a>(states: impl Iterator<Item = &'a State>) -> BTreeSet<OperationId> {
    states.filter_map(|state| state.order.as_ref()).flat_map(|order| order.tail.iter().copied()).collect()
}

/// Whether a history is small enough to try every sequence.
pub fn is_small(operations: &[Operation]) -> bool {
    let states = || operations.iter().filter_map(shown);
    let hidden = |state: &State| state.version.saturating_sub(state.order.as_ref()?.tail.len() as u64).into();
    let longest: u64 = states().filter_map(hidden).max().unwrap_or(0);
    vocabulary(states()).len().saturating_pow(u32::try_from(longest).unwrap_or(u32::MAX)) <= 2_000
}
