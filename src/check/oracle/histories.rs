//! Small random histories of a correct or faulty store. A plan of moves is played on a model of a store, with several
//! requests in flight at once, lost replies, late effects, equal instants, log-outs that a balancer sends twice,
//! several users and sessions, apps that only count, copies on nodes, and any anomaly that the checker must find.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::testing::state;
use crate::history::{
    Answer, ErrorKind, Moved, Operation, OperationId, OperationKind, Outcome, Payload, State, Tail, Times,
};

/// The most operations of a session before its end, with its creation; the oracle can try all their orders.
const MAX_MOVES: usize = 9;
/// The most writes among them.
const MAX_WRITES: usize = 5;
/// Between the starts of two sessions.
const SESSION_NS: u64 = 10_000;

/// Everything that happens in a history.
#[derive(Clone, Debug)]
pub struct Plan {
    sessions: Vec<SessionPlan>,
    /// Whether the second session belongs to the user of the first.
    is_same_user: bool,
}

/// One session.
#[derive(Clone, Debug)]
struct SessionPlan {
    moves: Vec<Move>,
    ending: Option<Ending>,
    /// Whether states show only the number of operations.
    counts: bool,
    /// Whether replies to writes show no state.
    is_silent: bool,
    /// Whether replies complete at instants at which other requests are sent.
    has_ties: bool,
}

/// One operation, and how the store handles it.
#[derive(Clone, Debug)]
struct Move {
    kind: OperationKind,
    /// How many later operations are sent before it is answered.
    lasts: u8,
    reply: Reply,
    effect: Effect,
    anomaly: Anomaly,
    /// Selects a variant of the anomaly, if it has several.
    choice: u8,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reply {
    Comes,
    IsLost,
    Refuses,
    /// For a log-out: a balancer sent it twice, and the second time the session was gone.
    IsOfTheSecondTime,
}

/// When a change takes effect whose reply is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    AtOnce,
    /// Just before the n-th operation after it.
    Late(u8),
    Never,
}

/// The final read, and the copies on nodes at that time.
#[derive(Clone, Debug)]
struct Ending {
    /// Whether the final read returns an old copy.
    is_stale: bool,
    choice: u8,
    nodes: Vec<Held>,
}

/// The copy on a node at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Held {
    AsItIs,
    Old,
    Nothing,
    /// It does not answer.
    Silent,
    Foreign,
    /// An order that the store never held.
    Swapped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Anomaly {
    None,
    /// Returns an old copy.
    Stale,
    /// Writes onto an old copy, and so overwrites newer operations.
    Overwrites,
    /// Acknowledges a write, but does not keep it.
    Drops,
    /// Applies a write twice.
    Twice,
    /// Refuses a write, but applies it.
    Phantom,
    /// Shows an operation that was never sent.
    Invents,
    /// Answers once with the last two operations swapped.
    Forks,
    /// The same, permanently.
    ForksForGood,
    /// Does not know the session.
    Forgets,
    /// Answers with a new session.
    IsReborn,
    /// Answers with a new session that has no owner.
    IsAnonymous,
    /// Answers with another user's session.
    Foreign,
    /// Contains an operation of another session.
    ForeignOperation,
    /// Shows a digest that matches no operations.
    WrongDigest,
    /// Shows the right digest with an operation that was never sent.
    MadeUpTail,
    /// Shows the right digest with one operation twice.
    RepeatedTail,
    /// Shows the right digest with the operations in another order.
    SwappedTail,
    /// Shows the right digest without operations.
    EmptyTail,
    /// Shows a wrong payload.
    WrongPayload,
    /// Answers although the session was logged out.
    Revives,
}

const ANOMALIES: [Anomaly; 20] = [
    Anomaly::Stale,
    Anomaly::Overwrites,
    Anomaly::Drops,
    Anomaly::Twice,
    Anomaly::Phantom,
    Anomaly::Invents,
    Anomaly::Forks,
    Anomaly::ForksForGood,
    Anomaly::Forgets,
    Anomaly::IsReborn,
    Anomaly::IsAnonymous,
    Anomaly::Foreign,
    Anomaly::ForeignOperation,
    Anomaly::WrongDigest,
    Anomaly::MadeUpTail,
    Anomaly::RepeatedTail,
    Anomaly::SwappedTail,
    Anomaly::EmptyTail,
    Anomaly::WrongPayload,
    Anomaly::Revives,
];

/// The kinds of event in a history; each must be tried often.
pub type Kinds = BTreeSet<String>;

/// Every kind that must be tried.
pub fn every_kind() -> Kinds {
    let held = [Held::AsItIs, Held::Old, Held::Nothing, Held::Silent, Held::Foreign, Held::Swapped];
    let replies = [Reply::Comes, Reply::IsLost, Reply::Refuses, Reply::IsOfTheSecondTime];
    let words = [
        "ties",
        "counter",
        "counter beside order",
        "silent write",
        "two lives",
        "two users",
        "late effect",
        "stale final read",
    ];
    let debugged = ANOMALIES.iter().map(|one| format!("{one:?}")).chain(held.iter().map(|one| format!("node {one:?}")));
    let debugged = debugged.chain(replies.iter().map(|one| format!("reply {one:?}")));
    debugged.chain(words.map(str::to_owned)).collect()
}

/// Random plans. Of seven sessions, two have no anomaly, three have one, and two have any number.
pub fn any_plan() -> impl Strategy<Value = Plan> {
    let sessions = prop_oneof![3 => Just(1usize), 1 => Just(2usize)];
    let sessions = sessions.prop_flat_map(|count| proptest::collection::vec(any_session(), count));
    (sessions, any::<bool>()).prop_map(|(sessions, is_same_user)| Plan { sessions, is_same_user })
}

fn any_session() -> impl Strategy<Value = SessionPlan> + Clone {
    let ending = prop_oneof![1 => Just(None), 2 => any_ending().prop_map(Some)];
    let shows = (prop::bool::weighted(0.12), prop::bool::weighted(0.2));
    (any_moves(), ending, shows, prop::bool::weighted(0.3)).prop_map(
        |(moves, ending, (counts, is_silent), has_ties)| SessionPlan { moves, ending, counts, is_silent, has_ties },
    )
}

fn any_ending() -> impl Strategy<Value = Ending> + Clone {
    let held = prop_oneof![
        6 => Just(Held::AsItIs),
        3 => Just(Held::Old),
        3 => Just(Held::Nothing),
        1 => Just(Held::Silent),
        1 => Just(Held::Foreign),
        1 => Just(Held::Swapped),
    ];
    (prop::bool::weighted(0.2), any::<u8>(), proptest::collection::vec(held, 0..=3))
        .prop_map(|(is_stale, choice, nodes)| Ending { is_stale, choice, nodes })
}

fn any_moves() -> impl Strategy<Value = Vec<Move>> + Clone {
    let right = proptest::collection::vec(any_move(Just(Anomaly::None).boxed()), 1..MAX_MOVES);
    let one = (right.clone(), any::<prop::sample::Index>(), any_anomaly(), any::<u8>()).prop_map(
        |(mut moves, index, anomaly, choice)| {
            let at = index.index(moves.len());
            (moves[at].anomaly, moves[at].choice) = (anomaly, choice);
            moves
        },
    );
    let mostly = prop_oneof![2 => Just(Anomaly::None), 1 => any_anomaly()].boxed();
    let wrong = proptest::collection::vec(any_move(mostly), 1..MAX_MOVES);
    prop_oneof![2 => right, 3 => one, 2 => wrong]
}

fn any_anomaly() -> impl Strategy<Value = Anomaly> + Clone {
    prop_oneof![4 => Just(Anomaly::Stale), 20 => prop::sample::select(ANOMALIES.to_vec())]
}

fn any_move(anomaly: BoxedStrategy<Anomaly>) -> impl Strategy<Value = Move> + Clone {
    let kind = prop_oneof![
        10 => Just(OperationKind::Write),
        8 => Just(OperationKind::Read),
        2 => Just(OperationKind::LogOut),
        2 => Just(OperationKind::FinalRead),
        1 => Just(OperationKind::NodeRead),
        1 => Just(OperationKind::SettleRead),
    ];
    let reply = prop_oneof![
        12 => Just(Reply::Comes),
        2 => Just(Reply::IsLost),
        2 => Just(Reply::Refuses),
        1 => Just(Reply::IsOfTheSecondTime),
    ];
    let effect = prop_oneof![4 => Just(Effect::AtOnce), 1 => (1u8..4).prop_map(Effect::Late), 1 => Just(Effect::Never)];
    (kind, prop_oneof![2 => Just(0u8), 1 => 0u8..4], reply, effect, anomaly, any::<u8>())
        .prop_map(|(kind, lasts, reply, effect, anomaly, choice)| Move { kind, lasts, reply, effect, anomaly, choice })
}

/// The model of the store, for one session.
struct Store {
    owner: String,
    counts: bool,
    applied: Vec<OperationId>,
    /// Every order that it has held.
    past: Vec<Vec<OperationId>>,
    is_logged_out: bool,
    /// Effects to come: before which operation, and the change.
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

    fn show(&self, ops: &[OperationId]) -> State {
        state(&self.owner, "first", ops, !self.counts)
    }

    fn foreign(&self) -> State {
        state("s9", "first", &self.applied, !self.counts)
    }

    /// The reply to a request, after its change has been applied.
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
        let mut shown = self.show(&self.applied);
        match step.anomaly {
            Anomaly::Stale => shown = self.show(&self.old(step.choice)),
            Anomaly::Forks => shown = self.show(&self.swapped()),
            Anomaly::Drops => self.applied = before,
            Anomaly::IsReborn => shown = state(&self.owner, "second", &[], !self.counts),
            Anomaly::IsAnonymous => shown = state("", "fresh", &[], !self.counts),
            Anomaly::Foreign => shown = self.foreign(),
            Anomaly::WrongPayload => shown.payload = Payload::Wrong,
            _ => spoil(&mut shown, step.anomaly, id),
        }
        if matches!(change, Some(Change::LogOut)) { Outcome::Done } else { Outcome::Ok(shown) }
    }
}

/// Makes a state show something other than its digest stands for.
fn spoil(shown: &mut State, anomaly: Anomaly, id: OperationId) {
    let Some(order) = &mut shown.order else { return };
    let mut tail = order.tail.to_vec();
    match (anomaly, tail.as_mut_slice()) {
        (Anomaly::WrongDigest, _) => order.digest ^= 1,
        (Anomaly::MadeUpTail, [.., last]) => *last = OperationId { number: 80, ..id },
        (Anomaly::RepeatedTail, [.., one, last]) => *last = *one,
        (Anomaly::SwappedTail, [.., one, last]) => std::mem::swap(one, last),
        (Anomaly::EmptyTail, _) => tail.clear(),
        _ => {}
    }
    order.tail = tail.into();
}

/// Plays a plan. Returns the history, in which states show the last `of_tail` operations, and the kinds of event in it.
pub fn play(plan: &Plan, of_tail: usize) -> (Vec<Operation>, Kinds) {
    let (mut history, mut kinds) = (Vec::new(), Kinds::new());
    for (index, session) in (0u32..).zip(&plan.sessions) {
        let (user, life) = if plan.is_same_user { (1, 1 + index) } else { (1 + index, 1) };
        let begins_ns = u64::from(index) * SESSION_NS;
        history.extend(play_session(session, (user, life), begins_ns, &mut kinds));
    }
    if plan.sessions.len() > 1 {
        kinds.insert(if plan.is_same_user { "two lives" } else { "two users" }.to_owned());
        if plan.sessions[0].counts != plan.sessions[1].counts {
            kinds.insert("counter beside order".to_owned());
        }
    }
    for operation in &mut history {
        if let Outcome::Ok(State { order: Some(order), .. }) = &mut operation.outcome {
            let newest = order.tail.len().saturating_sub(of_tail);
            order.tail = order.tail[newest..].iter().copied().collect::<Tail>();
        }
    }
    (history, kinds)
}

fn play_session(plan: &SessionPlan, (session, life): (u32, u32), begins_ns: u64, kinds: &mut Kinds) -> Vec<Operation> {
    let owner = format!("s{session}");
    let counts = plan.counts;
    let mut store =
        Store { owner, counts, applied: Vec::new(), past: vec![Vec::new()], is_logged_out: false, late: Vec::new() };
    let mut operations: Vec<Operation> = Vec::new();
    let mut add = |number: u32, kind: OperationKind, lasts: u8, node: u32, outcome: Outcome| {
        let sent = begins_ns + u64::from(number) * 10;
        // With ties, exactly when another request is sent; otherwise between two.
        let completed_ns = sent + if plan.has_ties { 10 } else { 5 } + u64::from(lasts) * 10;
        let times = Times { sent_ns: Some(sent), completed_ns, ..Times::default() };
        let answer = Some(Arc::new(Answer { node: format!("app-{node}"), boot: "b".into() }));
        let id = OperationId { session, life, number };
        let moved = Moved::default();
        operations.push(Operation { id, kind, times, moved, outcome, status: None, answer, is_resent: false });
    };
    let lost_creation = plan.moves.first().is_some_and(|first| first.reply == Reply::IsLost);
    let created = if lost_creation { Outcome::Indeterminate(ErrorKind::Timeout) } else { Outcome::Ok(store.show(&[])) };
    add(0, OperationKind::Create, 0, 0, created);
    kinds.extend(plan.has_ties.then(|| "ties".to_owned()));
    kinds.extend(counts.then(|| "counter".to_owned()));
    let mut writes = 0;
    for (index, step) in plan.moves.iter().enumerate() {
        let at = index + 1;
        let is_due = |(due, _): &(usize, Change)| *due <= at;
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut store.late).into_iter().partition(is_due);
        store.late = later;
        for (_, change) in due {
            store.apply(change);
        }
        writes += usize::from(step.kind == OperationKind::Write);
        let kind =
            if writes > MAX_WRITES && step.kind == OperationKind::Write { OperationKind::Read } else { step.kind };
        let number = u32::try_from(at).unwrap();
        let outcome = match outcome_of(&mut store, step, kind, OperationId { session, life, number }, at, kinds) {
            Outcome::Ok(_) if plan.is_silent && kind == OperationKind::Write => {
                kinds.insert("silent write".to_owned());
                Outcome::Done
            }
            outcome => outcome,
        };
        add(number, kind, step.lasts, number % 3, outcome);
    }
    if let Some(ending) = &plan.ending {
        let first = u32::try_from(plan.moves.len()).unwrap() + 5;
        let shown = if ending.is_stale { store.old(ending.choice) } else { store.applied.clone() };
        kinds.extend((ending.is_stale && shown != store.applied).then(|| "stale final read".to_owned()));
        let unknown = || Outcome::Fail(ErrorKind::UnknownSession);
        let outcome = if store.is_logged_out { unknown() } else { Outcome::Ok(store.show(&shown)) };
        add(first, OperationKind::FinalRead, 0, u32::from(ending.choice % 3), outcome);
        for (node, held) in (0u32..).zip(&ending.nodes) {
            kinds.insert(format!("node {held:?}"));
            let outcome = match held {
                Held::AsItIs if store.is_logged_out => unknown(),
                Held::AsItIs => Outcome::Ok(store.show(&store.applied)),
                Held::Old => Outcome::Ok(store.show(&store.old(ending.choice.wrapping_add(1)))),
                Held::Nothing => unknown(),
                Held::Silent => Outcome::Indeterminate(ErrorKind::Timeout),
                Held::Foreign => Outcome::Ok(store.foreign()),
                Held::Swapped => Outcome::Ok(store.show(&store.swapped())),
            };
            add(first + 1 + node, OperationKind::NodeRead, 0, node, outcome);
        }
    }
    operations
}

fn outcome_of(
    store: &mut Store,
    step: &Move,
    kind: OperationKind,
    id: OperationId,
    at: usize,
    kinds: &mut Kinds,
) -> Outcome {
    let change = match kind {
        OperationKind::Write => Some(Change::Append(id)),
        OperationKind::LogOut => Some(Change::LogOut),
        _ => None,
    };
    let reply = match step.reply {
        Reply::IsOfTheSecondTime if kind != OperationKind::LogOut => Reply::Comes,
        reply => reply,
    };
    kinds.insert(format!("reply {reply:?}"));
    if step.anomaly != Anomaly::None {
        kinds.insert(format!("{:?}", step.anomaly));
    }
    match reply {
        Reply::Comes => store.answer(id, change, step),
        Reply::IsOfTheSecondTime => {
            if let Some(change) = change {
                store.apply(change);
            }
            Outcome::Indeterminate(ErrorKind::UnknownSession)
        }
        Reply::Refuses => {
            if let Some(change) = change.filter(|_| step.anomaly == Anomaly::Phantom) {
                store.apply(change);
            }
            Outcome::Fail(ErrorKind::Refused)
        }
        Reply::IsLost => {
            match step.effect {
                Effect::AtOnce => drop(store.answer(id, change, step)),
                Effect::Late(after) => {
                    kinds.insert("late effect".to_owned());
                    store.late.extend(change.map(|change| (at + usize::from(after), change)));
                }
                Effect::Never => {}
            }
            Outcome::Indeterminate(ErrorKind::Timeout)
        }
    }
}
