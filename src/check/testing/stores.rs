//! Small histories of one session on a store that is right or wrong: a list of moves is played on a model of a
//! store, with several requests under way at once, replies that are lost, effects that come late, and any of
//! the anomalies that the checker must find.

use std::sync::Arc;

use proptest::prelude::*;

use super::state;
use crate::history::{Answer, ErrorKind, Moved, Operation, OperationId, OperationKind, Outcome, State, Tail, Times};

/// The most operations of a history: what the oracle can try all orders of.
const MOST_MOVES: usize = 9;
/// The most writes among them.
const MOST_WRITES: usize = 5;

/// One operation, and what the store makes of it.
#[derive(Clone, Debug)]
pub struct Move {
    kind: OperationKind,
    /// How many operations after this one are sent before it is answered.
    lasts: u8,
    /// What becomes of its reply.
    reply: Reply,
    /// When a write takes effect, if not at once.
    effect: Effect,
    /// What the store does wrong.
    anomaly: Anomaly,
    /// Which of several possibilities, where an anomaly has some.
    choice: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    Comes,
    IsLost,
    Refuses,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    AtOnce,
    /// After so many further operations.
    Late(u8),
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anomaly {
    None,
    /// Answers from an old copy.
    Stale,
    /// Writes onto an old copy, so that what came after is overwritten.
    Overwrites,
    /// Acknowledges, and keeps nothing.
    Drops,
    /// Applies twice, as when a balancer sends a request again.
    Twice,
    /// Refuses, and applies all the same.
    Phantom,
    /// Shows an operation that was never sent.
    Invents,
    /// Answers with the last two operations in the other order.
    Forks,
    /// The same, for good.
    ForksForGood,
    /// Does not know the session.
    Forgets,
    /// Answers with a new session.
    IsReborn,
    /// Answers with another user's.
    Foreign,
    /// Has another session's operation.
    ForeignOperation,
    /// Shows a digest that fits nothing.
    WrongDigest,
    /// Answers although the session was logged out.
    Revives,
}

/// Some moves; more than half of the histories are those of a store that is right.
pub fn any_moves() -> impl Strategy<Value = Vec<Move>> {
    let right = proptest::collection::vec(any_move(Just(Anomaly::None).boxed()), 1..MOST_MOVES);
    let one = (right.clone(), any::<prop::sample::Index>(), any_anomaly(), any::<u8>()).prop_map(
        |(mut moves, index, anomaly, choice)| {
            let at = index.index(moves.len());
            (moves[at].anomaly, moves[at].choice) = (anomaly, choice);
            moves
        },
    );
    let mostly = prop_oneof![2 => Just(Anomaly::None), 1 => any_anomaly()].boxed();
    let wrong = proptest::collection::vec(any_move(mostly), 1..MOST_MOVES);
    prop_oneof![2 => right, 3 => one, 2 => wrong]
}

fn any_anomaly() -> impl Strategy<Value = Anomaly> + Clone {
    prop_oneof![
        4 => Just(Anomaly::Stale),
        1 => Just(Anomaly::Overwrites),
        1 => Just(Anomaly::Drops),
        1 => Just(Anomaly::Twice),
        1 => Just(Anomaly::Phantom),
        1 => Just(Anomaly::Invents),
        1 => Just(Anomaly::Forks),
        1 => Just(Anomaly::ForksForGood),
        1 => Just(Anomaly::Forgets),
        1 => Just(Anomaly::IsReborn),
        1 => Just(Anomaly::Foreign),
        1 => Just(Anomaly::ForeignOperation),
        1 => Just(Anomaly::WrongDigest),
        1 => Just(Anomaly::Revives),
    ]
}

fn any_move(anomaly: BoxedStrategy<Anomaly>) -> impl Strategy<Value = Move> + Clone {
    let kind = prop_oneof![
        5 => Just(OperationKind::Write),
        4 => Just(OperationKind::Read),
        1 => Just(OperationKind::LogOut),
        2 => Just(OperationKind::FinalRead),
        1 => Just(OperationKind::NodeRead),
    ];
    let reply = prop_oneof![6 => Just(Reply::Comes), 1 => Just(Reply::IsLost), 1 => Just(Reply::Refuses)];
    let effect = prop_oneof![4 => Just(Effect::AtOnce), 1 => (1u8..4).prop_map(Effect::Late), 1 => Just(Effect::Never)];
    (kind, prop_oneof![2 => Just(0u8), 1 => 0u8..4], reply, effect, anomaly, any::<u8>())
        .prop_map(|(kind, lasts, reply, effect, anomaly, choice)| Move { kind, lasts, reply, effect, anomaly, choice })
}

/// The store's session.
#[derive(Default)]
struct Store {
    applied: Vec<OperationId>,
    /// Everything that it ever held.
    past: Vec<Vec<OperationId>>,
    is_logged_out: bool,
    /// Effects to come: after which operation, and what.
    late: Vec<(usize, Change)>,
}

#[derive(Clone, Copy)]
enum Change {
    Append(OperationId),
    LogOut,
}

impl Store {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Append(id) => self.applied.push(id),
            Change::LogOut => self.is_logged_out = true,
        }
        self.past.push(self.applied.clone());
    }

    fn old(&self, choice: u8) -> Vec<OperationId> {
        match self.past.len() {
            0 => Vec::new(),
            many => self.past[usize::from(choice) % many].clone(),
        }
    }

    fn swapped(&self) -> Vec<OperationId> {
        let mut ops = self.applied.clone();
        if let [.., one, other] = ops.as_mut_slice() {
            std::mem::swap(one, other);
        }
        ops
    }

    /// What a request finds, after it has changed what it changes.
    fn answer(&mut self, id: OperationId, change: Option<Change>, step: &Move) -> Outcome {
        if step.anomaly == Anomaly::Forgets || (self.is_logged_out && step.anomaly != Anomaly::Revives) {
            return Outcome::Fail(ErrorKind::UnknownSession);
        }
        match step.anomaly {
            Anomaly::Overwrites => self.applied = self.old(step.choice),
            Anomaly::Twice => change.into_iter().for_each(|change| self.apply(change)),
            Anomaly::Invents => self.applied.push(OperationId { number: 70 + u32::from(step.choice % 2), ..id }),
            Anomaly::ForeignOperation => self.applied.push(OperationId { session: 9, ..id }),
            Anomaly::ForksForGood => self.applied = self.swapped(),
            _ => {}
        }
        let before = self.applied.clone();
        if let Some(change) = change {
            self.apply(change);
        }
        let mut shown = show("s1", "first", &self.applied);
        match step.anomaly {
            Anomaly::Stale => shown = show("s1", "first", &self.old(step.choice)),
            Anomaly::Forks => shown = show("s1", "first", &self.swapped()),
            Anomaly::Drops => self.applied = before,
            Anomaly::IsReborn => shown = show("s1", "second", &[]),
            Anomaly::Foreign => shown = show("s9", "first", &self.applied),
            Anomaly::WrongDigest => {
                if let Some(order) = &mut shown.order {
                    order.digest ^= 1;
                }
            }
            _ => {}
        }
        if matches!(change, Some(Change::LogOut)) { Outcome::Done } else { Outcome::Ok(shown) }
    }
}

fn show(owner: &str, epoch: &str, ops: &[OperationId]) -> State {
    state(owner, epoch, ops, true)
}

/// The history that comes of some moves, after the session's creation; states show the last `of_tail`
/// operations.
pub fn play(moves: &[Move], of_tail: usize) -> Vec<Operation> {
    let mut store = Store { past: vec![Vec::new()], ..Store::default() };
    let mut operations: Vec<Operation> = Vec::new();
    let first = moves.first().map_or(Reply::Comes, |first| first.reply);
    let lost_creation = first == Reply::IsLost;
    let created =
        if lost_creation { Outcome::Indeterminate(ErrorKind::Timeout) } else { Outcome::Ok(show("s1", "first", &[])) };
    operations.push(operation(0, OperationKind::Create, 0, created));
    let mut writes = 0;
    for (index, step) in moves.iter().enumerate() {
        let at = index + 1;
        let is_due = |(due, _): &(usize, Change)| *due <= at;
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut store.late).into_iter().partition(is_due);
        store.late = later;
        for (_, change) in due {
            store.apply(change);
        }
        writes += usize::from(step.kind == OperationKind::Write);
        let kind =
            if writes > MOST_WRITES && step.kind == OperationKind::Write { OperationKind::Read } else { step.kind };
        let number = u32::try_from(at).unwrap();
        let id = OperationId { session: 1, life: 1, number };
        let change = match kind {
            OperationKind::Write => Some(Change::Append(id)),
            OperationKind::LogOut => Some(Change::LogOut),
            _ => None,
        };
        let outcome = match step.reply {
            Reply::Comes => store.answer(id, change, step),
            Reply::Refuses => {
                if let Some(change) = change.filter(|_| step.anomaly == Anomaly::Phantom) {
                    store.apply(change);
                }
                Outcome::Fail(ErrorKind::Refused)
            }
            Reply::IsLost => {
                match step.effect {
                    Effect::AtOnce => drop(store.answer(id, change, step)),
                    Effect::Late(after) => store.late.extend(change.map(|change| (at + usize::from(after), change))),
                    Effect::Never => {}
                }
                Outcome::Indeterminate(ErrorKind::Timeout)
            }
        };
        operations.push(operation(number, kind, step.lasts, outcome));
    }
    for operation in &mut operations {
        if let Outcome::Ok(State { order: Some(order), .. }) = &mut operation.outcome {
            let newest = order.tail.len().saturating_sub(of_tail);
            order.tail = order.tail[newest..].iter().copied().collect::<Tail>();
        }
    }
    operations
}

fn operation(number: u32, kind: OperationKind, lasts: u8, outcome: Outcome) -> Operation {
    let sent = u64::from(number) * 10;
    let times = Times { sent_ns: Some(sent), completed_ns: sent + 5 + u64::from(lasts) * 10, ..Times::default() };
    let answer = Some(Arc::new(Answer { node: format!("app-{}", number % 3), boot: "b".into() }));
    let id = OperationId { session: 1, life: 1, number };
    Operation { id, kind, times, moved: Moved::default(), outcome, status: None, answer }
}
