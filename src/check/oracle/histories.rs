//! Small random histories of a correct or faulty store. A plan of moves is played on a model of a store, with several
//! requests in flight at once, lost replies, late effects, equal instants, log-outs that a balancer sends twice,
//! several users and sessions, apps that only count, copies on nodes, and any anomaly that the checker must find.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::testing::state;
use crate::history::{
    Answer, ErrorKind, Expiry, Moved, Operation, OperationId, OperationKind, Outcome, Payload, State, Tail, Times,
};

/// The most operations of a session before its end, with its creation; the oracle can try all their orders.
const MAX_MOVES: usize = 9;
/// The most writes among them.
const MAX_WRITES: usize = 5;
/// The number of the first of them, after what a session begins with.
const FIRST_MOVE: usize = 6;
/// Between the starts of two sessions.
const SESSION_NS: u64 = 10_000;

/// Everything that happens in a history.
#[derive(Clone, Debug)]
pub struct Plan {
    sessions: Vec<SessionPlan>,
    /// Whether the second session belongs to the user of the first.
    is_same_user: bool,
    /// Whether sessions end by themselves.
    expires: bool,
}

/// When they do, if they do: four times as long as it takes from one request to the next.
const EXPIRY: Expiry = Expiry { after_ns: 45, tolerance_ns: 8 };

impl Plan {
    /// When sessions end by themselves.
    pub fn expiry(&self) -> Option<Expiry> {
        self.expires.then_some(EXPIRY)
    }
}

/// One session.
#[derive(Clone, Debug)]
struct SessionPlan {
    beginning: Beginning,
    moves: Vec<Move>,
    ending: Option<Ending>,
    /// Whether states show only the number of operations.
    counts: bool,
    /// Whether replies to writes show no state.
    is_silent: bool,
    /// Whether replies complete at instants at which other requests are sent.
    has_ties: bool,
}

/// What comes before the work: a visitor's session or none, and reads with other cookies.
#[derive(Clone, Debug)]
struct Beginning {
    visit: Option<Visit>,
    made_up: Option<LeadsTo>,
}

/// A visitor's session, and the log-in.
#[derive(Clone, Debug)]
struct Visit {
    is_write: bool,
    /// How many later operations are sent before its request is answered; from 1 on it is late for the log-in.
    lasts: u8,
    reply: Reply,
    /// Whether its write is in the session of the user.
    is_kept: bool,
    browser: Option<LeadsTo>,
    old_id: Option<LeadsTo>,
}

/// What other cookies than the session's show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LeadsTo {
    Unknown,
    Session,
    /// The session as it was before the log-in.
    Visitor,
    /// A new one that nobody owns.
    Fresh,
    Foreign,
    /// No reply.
    Silent,
}

const EVERYWHERE: [LeadsTo; 6] =
    [LeadsTo::Unknown, LeadsTo::Session, LeadsTo::Visitor, LeadsTo::Fresh, LeadsTo::Foreign, LeadsTo::Silent];

/// One operation, and how the store handles it.
#[derive(Clone, Debug)]
struct Move {
    kind: OperationKind,
    /// How many later operations are sent before it is answered.
    lasts: u8,
    /// How long nothing happens before it, in tenths of a step.
    pause: u8,
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
    /// Answers with the session as if it had no user.
    LosesItsUser,
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
    /// Answers although the session's time is over.
    NeverExpires,
}

const ANOMALIES: [Anomaly; 22] = [
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
    Anomaly::LosesItsUser,
    Anomaly::Foreign,
    Anomaly::ForeignOperation,
    Anomaly::WrongDigest,
    Anomaly::MadeUpTail,
    Anomaly::RepeatedTail,
    Anomaly::SwappedTail,
    Anomaly::EmptyTail,
    Anomaly::WrongPayload,
    Anomaly::Revives,
    Anomaly::NeverExpires,
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
        "late reply to a visitor",
        "held write",
        "held read",
        "new id",
        "new id without a reply",
        "expired",
        "idle read",
        "expires",
    ];
    let debugged = ANOMALIES.iter().map(|one| format!("{one:?}")).chain(held.iter().map(|one| format!("node {one:?}")));
    let debugged = debugged.chain(replies.iter().map(|one| format!("reply {one:?}")));
    let reads = ["made-up", "old id", "browser", "old id later", "browser later"];
    let led = reads.iter().flat_map(|read| EVERYWHERE.iter().map(move |to| format!("{read} {to:?}")));
    debugged.chain(led).chain(words.map(str::to_owned)).collect()
}

/// Random plans. Of seven sessions, two have no anomaly, three have one, and two have any number.
pub fn any_plan() -> impl Strategy<Value = Plan> {
    let sessions = prop_oneof![3 => Just(1usize), 1 => Just(2usize)];
    let sessions = sessions.prop_flat_map(|count| proptest::collection::vec(any_session(), count));
    (sessions, any::<bool>(), prop::bool::weighted(0.3)).prop_map(|(sessions, is_same_user, expires)| Plan {
        sessions,
        is_same_user,
        expires,
    })
}

fn any_session() -> impl Strategy<Value = SessionPlan> + Clone {
    let ending = prop_oneof![1 => Just(None), 2 => any_ending().prop_map(Some)];
    let shows = (prop::bool::weighted(0.12), prop::bool::weighted(0.2));
    (any_beginning(), any_moves(), ending, shows, prop::bool::weighted(0.3)).prop_map(
        |(beginning, moves, ending, (counts, is_silent), has_ties)| SessionPlan {
            beginning,
            moves,
            ending,
            counts,
            is_silent,
            has_ties,
        },
    )
}

fn any_beginning() -> impl Strategy<Value = Beginning> + Clone {
    let to = prop::sample::select(EVERYWHERE.to_vec());
    let read = move || prop_oneof![2 => Just(None), 3 => to.clone().prop_map(Some)];
    let reply = prop_oneof![6 => Just(Reply::Comes), 1 => Just(Reply::IsLost), 2 => Just(Reply::Refuses)];
    let visit = (any::<bool>(), 0u8..4, reply, prop::bool::weighted(0.3), read(), read()).prop_map(
        |(is_write, lasts, reply, is_kept, browser, old_id)| Visit { is_write, lasts, reply, is_kept, browser, old_id },
    );
    (prop_oneof![3 => Just(None), 2 => visit.prop_map(Some)], read())
        .prop_map(|(visit, made_up)| Beginning { visit, made_up })
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
        2 => Just(OperationKind::HeldWrite),
        2 => Just(OperationKind::HeldRead),
        2 => Just(OperationKind::BrowserRead),
        2 => Just(OperationKind::NewId),
        2 => Just(OperationKind::OldIdRead),
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
    let lasts = prop_oneof![2 => Just(0u8), 1 => 0u8..4];
    let pause = prop_oneof![4 => Just(0u8), 2 => 0u8..35, 1 => 35u8..90];
    (kind, (lasts, pause), reply, effect, anomaly, any::<u8>()).prop_map(
        |(kind, (lasts, pause), reply, effect, anomaly, choice)| Move {
            kind,
            lasts,
            pause,
            reply,
            effect,
            anomaly,
            choice,
        },
    )
}

/// The model of the store, for one session.
struct Store {
    owner: String,
    counts: bool,
    applied: Vec<OperationId>,
    /// Every order that it has held.
    past: Vec<Vec<OperationId>>,
    is_logged_out: bool,
    /// Whether it ends by itself, and when a request has used it last.
    expires: bool,
    used_ns: u64,
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

    fn led_to(&self, to: LeadsTo) -> Outcome {
        match to {
            LeadsTo::Unknown => Outcome::Fail(ErrorKind::UnknownSession),
            LeadsTo::Session => Outcome::Ok(self.show(&self.applied)),
            LeadsTo::Visitor => Outcome::Ok(state("", "first", &self.applied, !self.counts)),
            LeadsTo::Fresh => Outcome::Ok(state("", "fresh", &[], !self.counts)),
            LeadsTo::Foreign => Outcome::Ok(self.foreign()),
            LeadsTo::Silent => Outcome::Indeterminate(ErrorKind::Timeout),
        }
    }

    fn foreign(&self) -> State {
        state("s9", "first", &self.applied, !self.counts)
    }

    /// The reply to a request, after its change has been applied.
    fn answer(&mut self, id: OperationId, change: Option<Change>, (step, at_ns): (&Move, u64)) -> Outcome {
        let is_over = self.expires && at_ns.saturating_sub(self.used_ns) >= EXPIRY.after_ns;
        if is_over && step.anomaly != Anomaly::NeverExpires && step.anomaly != Anomaly::Revives {
            self.is_logged_out = true;
        }
        if !self.is_logged_out {
            self.used_ns = at_ns;
        }
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
            Anomaly::LosesItsUser => shown = state("", "first", &self.applied, !self.counts),
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
        history.extend(play_session(session, (user, life), (begins_ns, plan.expires), &mut kinds));
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

/// The history of one session as far as it has been played.
struct Played<'a> {
    ids: (u32, u32),
    begins_ns: u64,
    has_ties: bool,
    /// How long nothing has happened, besides the time from one request to the next.
    paused_ns: u64,
    operations: Vec<Operation>,
    kinds: &'a mut Kinds,
}

impl Played<'_> {
    fn id(&self, number: u32) -> OperationId {
        OperationId { session: self.ids.0, life: self.ids.1, number }
    }

    /// When the operation of this number is sent.
    fn sent_ns(&self, number: u32) -> u64 {
        self.begins_ns + u64::from(number) * 10 + self.paused_ns
    }

    fn add(&mut self, number: u32, kind: OperationKind, lasts: u8, node: u32, outcome: Outcome) {
        let sent = self.sent_ns(number);
        // With ties, exactly when another request is sent; otherwise between two.
        let completed_ns = sent + if self.has_ties { 10 } else { 5 } + u64::from(lasts) * 10;
        let times = Times { sent_ns: Some(sent), completed_ns, ..Times::default() };
        let answer = Some(Arc::new(Answer { node: format!("app-{node}"), boot: "b".into() }));
        let (id, moved) = (self.id(number), Moved::default());
        let status = matches!(outcome, Outcome::Ok(_) | Outcome::Fail(ErrorKind::UnknownSession)).then_some(200);
        self.operations.push(Operation { id, kind, times, moved, outcome, status, answer, is_resent: false });
    }

    fn has(&mut self, kind: &str, if_so: bool) {
        if if_so {
            self.kinds.insert(kind.to_owned());
        }
    }
}

fn play_session(
    plan: &SessionPlan,
    ids: (u32, u32),
    (begins_ns, expires): (u64, bool),
    kinds: &mut Kinds,
) -> Vec<Operation> {
    let mut store = Store {
        owner: format!("s{}", ids.0),
        counts: plan.counts,
        applied: Vec::new(),
        past: vec![Vec::new()],
        is_logged_out: false,
        expires,
        used_ns: begins_ns + 30,
        late: Vec::new(),
    };
    let mut played = Played { ids, begins_ns, has_ties: plan.has_ties, paused_ns: 0, operations: Vec::new(), kinds };
    played.has("ties", plan.has_ties);
    played.has("counter", plan.counts);
    played.has("expires", expires);
    play_beginning(plan, &mut store, &mut played);
    let mut writes = 0;
    for (index, step) in plan.moves.iter().enumerate() {
        let is_write = matches!(step.kind, OperationKind::Write | OperationKind::HeldWrite);
        writes += usize::from(is_write);
        let kind = if writes > MAX_WRITES && is_write { OperationKind::Read } else { step.kind };
        play_move((step, kind), index + FIRST_MOVE, plan.is_silent, &mut store, &mut played);
    }
    if let Some(ending) = &plan.ending {
        play_ending(ending, u32::try_from(plan.moves.len() + FIRST_MOVE).unwrap() + 4, &store, &mut played);
    }
    played.operations
}

fn play_beginning(plan: &SessionPlan, store: &mut Store, played: &mut Played<'_>) {
    let lost_creation = plan.moves.first().is_some_and(|first| first.reply == Reply::IsLost);
    let Beginning { visit, made_up } = &plan.beginning;
    let silent = || Outcome::Indeterminate(ErrorKind::Timeout);
    let mut reads: Vec<(u32, OperationKind, &str, Option<LeadsTo>)> =
        vec![(1, OperationKind::MadeUpRead, "made-up", *made_up)];
    if let Some(Visit { is_write, lasts, reply, is_kept, browser, old_id }) = visit {
        played.add(0, OperationKind::Visit, 0, 0, store.led_to(LeadsTo::Visitor));
        let kind = if *is_write { OperationKind::VisitorWrite } else { OperationKind::VisitorRead };
        if *is_write && *is_kept {
            store.apply(Change::Append(played.id(2)));
        }
        let outcome = match reply {
            Reply::IsLost => silent(),
            Reply::Refuses => store.led_to(LeadsTo::Unknown),
            _ => store.led_to(LeadsTo::Visitor),
        };
        played.has("late reply to a visitor", *lasts > 0 && *reply != Reply::IsLost);
        played.add(2, kind, *lasts, 0, outcome);
        let created = if lost_creation { silent() } else { Outcome::Ok(store.show(&store.applied)) };
        played.add(3, OperationKind::LogIn, 0, 0, created);
        reads.push((4, OperationKind::BrowserRead, "browser", *browser));
        reads.push((5, OperationKind::OldIdRead, "old id", *old_id));
    } else {
        let created = if lost_creation { silent() } else { Outcome::Ok(store.show(&[])) };
        played.add(0, OperationKind::Create, 0, 0, created);
    }
    for (number, kind, word, to) in reads {
        if let Some(to) = to {
            played.has(&format!("{word} {to:?}"), true);
            played.add(number, kind, 0, number % 3, store.led_to(to));
        }
    }
}

fn play_move(
    (step, kind): (&Move, OperationKind),
    at: usize,
    is_silent: bool,
    store: &mut Store,
    played: &mut Played<'_>,
) {
    let is_due = |(due, _): &(usize, Change)| *due <= at;
    let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut store.late).into_iter().partition(is_due);
    store.late = later;
    for (_, change) in due {
        store.apply(change);
    }
    let pauses = store.expires && step.pause > 0;
    played.paused_ns += if pauses { u64::from(step.pause) } else { 0 };
    let kind = if pauses && kind == OperationKind::Read { OperationKind::IdleRead } else { kind };
    played.has("idle read", kind == OperationKind::IdleRead);
    played.has("held write", kind == OperationKind::HeldWrite);
    played.has("held read", kind == OperationKind::HeldRead);
    played.has("new id", kind == OperationKind::NewId);
    let was_there = !store.is_logged_out;
    let number = u32::try_from(at).unwrap();
    let outcome = if matches!(kind, OperationKind::BrowserRead | OperationKind::OldIdRead) {
        let to = EVERYWHERE[usize::from(step.choice) % EVERYWHERE.len()];
        let word = if kind == OperationKind::OldIdRead { "old id" } else { "browser" };
        played.has(&format!("{word} later {to:?}"), true);
        store.led_to(to)
    } else {
        let (id, at_ns) = (played.id(number), played.sent_ns(number));
        outcome_of(store, (step, at_ns), kind, id, at, played.kinds)
    };
    let is_write = matches!(kind, OperationKind::Write | OperationKind::HeldWrite);
    let outcome = match outcome {
        Outcome::Ok(_) if is_silent && is_write => {
            played.has("silent write", true);
            Outcome::Done
        }
        outcome => outcome,
    };
    let is_unanswered = matches!(outcome, Outcome::Indeterminate(_));
    played.has("new id without a reply", kind == OperationKind::NewId && is_unanswered);
    played.has("expired", store.expires && was_there && store.is_logged_out && kind != OperationKind::LogOut);
    played.add(number, kind, step.lasts, number % 3, outcome);
}

fn play_ending(ending: &Ending, first: u32, store: &Store, played: &mut Played<'_>) {
    let shown = if ending.is_stale { store.old(ending.choice) } else { store.applied.clone() };
    played.has("stale final read", ending.is_stale && shown != store.applied);
    let unknown = || Outcome::Fail(ErrorKind::UnknownSession);
    let outcome = if store.is_logged_out { unknown() } else { Outcome::Ok(store.show(&shown)) };
    played.add(first, OperationKind::FinalRead, 0, u32::from(ending.choice % 3), outcome);
    for (node, held) in (0u32..).zip(&ending.nodes) {
        played.has(&format!("node {held:?}"), true);
        let outcome = match held {
            Held::AsItIs if store.is_logged_out => unknown(),
            Held::AsItIs => Outcome::Ok(store.show(&store.applied)),
            Held::Old => Outcome::Ok(store.show(&store.old(ending.choice.wrapping_add(1)))),
            Held::Nothing => unknown(),
            Held::Silent => Outcome::Indeterminate(ErrorKind::Timeout),
            Held::Foreign => Outcome::Ok(store.foreign()),
            Held::Swapped => Outcome::Ok(store.show(&store.swapped())),
        };
        played.add(first + 1 + node, OperationKind::NodeRead, 0, node, outcome);
    }
}

fn outcome_of(
    store: &mut Store,
    (step, at_ns): (&Move, u64),
    kind: OperationKind,
    id: OperationId,
    at: usize,
    kinds: &mut Kinds,
) -> Outcome {
    let change = match kind {
        OperationKind::Write | OperationKind::HeldWrite => Some(Change::Append(id)),
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
        Reply::Comes => store.answer(id, change, (step, at_ns)),
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
                Effect::AtOnce => drop(store.answer(id, change, (step, at_ns))),
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
