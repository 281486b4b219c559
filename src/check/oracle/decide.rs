//! Decides each guarantee directly from its definition (docs/verdicts.md), by quantifiers over replies and worlds.

use std::collections::{BTreeMap, BTreeSet};

use super::worlds::{
    Sequence, began, ended, endings, has_the_old_id, id_is_unsure_from, is_beside, is_seen_by_users, is_unknown,
    order_of, shown, vocabulary, writes,
};
use crate::check::{Guarantee, Verdict};
use crate::history::{Expiry, Identity, Operation, OperationId, OperationKind, Outcome, Payload, State};

/// The result for one guarantee: whether it is broken, whether it could have been, and whether something is
/// undecidable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    broken: bool,
    exercised: bool,
    inconclusive: bool,
}

impl Said {
    fn and(self, other: Self) -> Self {
        Self {
            broken: self.broken || other.broken,
            exercised: self.exercised || other.exercised,
            inconclusive: self.inconclusive || other.inconclusive,
        }
    }

    fn verdict(self) -> Verdict {
        match self {
            Self { broken: true, .. } => Verdict::Violated,
            Self { exercised: true, inconclusive: false, .. } => Verdict::Pass,
            _ => Verdict::Unknown,
        }
    }
}

/// The oracle's result for a history.
#[derive(Debug)]
pub struct Says {
    /// The verdict on each guarantee that can be judged.
    pub verdicts: BTreeMap<Guarantee, Verdict>,
    /// Sessions that are lost for good, by user and session number.
    pub lost: BTreeSet<(u32, u32)>,
}

/// Decides about a history of several users and sessions, in any order.
pub fn decide(history: &[Operation], expiry: Option<Expiry>) -> Says {
    let mut sessions: BTreeMap<(u32, u32), [Vec<Operation>; 2]> = BTreeMap::new();
    for operation in history {
        let parts = sessions.entry((operation.id.session, operation.id.life)).or_default();
        parts[usize::from(is_beside(operation))].push(operation.clone());
    }
    for operations in sessions.values_mut().flatten() {
        operations.sort_by_key(|operation| (began(operation), operation.id.number));
    }
    let has_next = |user: u32, life: u32| sessions.keys().any(|(other, later)| *other == user && *later > life);
    let all: BTreeMap<(u32, u32), Session<'_>> = sessions
        .iter()
        .map(|((user, life), [own, beside])| ((*user, *life), Session::of(own, beside, has_next(*user, *life), expiry)))
        .collect();
    let shows_something = |session: &&Session| !session.replies.is_empty();
    let mut showing = all.values().filter(shows_something).peekable();
    let by_counter_alone = showing.peek().is_some() && showing.all(|session| session.counts);
    let judged = Guarantee::ALL
        .into_iter()
        .filter(|guarantee| !(by_counter_alone && matches!(guarantee, Guarantee::NoPhantom | Guarantee::OneHistory)));
    let verdicts = judged.map(|guarantee| {
        let said = all.values().map(|session| session.say(guarantee)).fold(Said::default(), Said::and);
        (guarantee, said.verdict())
    });
    let verdicts = verdicts.collect();
    Says { verdicts, lost: all.iter().filter(|(_, session)| session.is_lost()).map(|(id, _)| *id).collect() }
}

/// A reply that shows the session itself, with the order that its state stands for, if there is one.
struct Reply<'a> {
    operation: &'a Operation,
    state: &'a State,
    order: Option<Sequence>,
}

struct Session<'a> {
    operations: &'a [Operation],
    /// Requests with other cookies than the session's, see [`is_beside`].
    beside: &'a [Operation],
    /// The owner name of its user.
    name: String,
    /// Whether its user has begun another session.
    is_given_up: bool,
    /// Its identity, and from when its user knew it; `None` if it was never seen.
    known: Option<(&'a Identity, u64)>,
    /// When its user may have ended it; `u64::MAX` for never.
    endings: Vec<u64>,
    replies: Vec<Reply<'a>>,
    /// When sessions end by themselves.
    expiry: Option<Expiry>,
    /// Whether its endings are not those of a log-out: its time was over, or its id had changed and its user may not know.
    ends_by_itself: bool,
    /// Writes that were acknowledged without a state.
    silent: Vec<&'a Operation>,
    /// Whether its states show only the number of operations.
    counts: bool,
}

impl<'a> Session<'a> {
    fn of(operations: &'a [Operation], beside: &'a [Operation], is_given_up: bool, expiry: Option<Expiry>) -> Self {
        let name =
            operations.iter().chain(beside).next().map(|first| format!("s{}", first.id.session)).unwrap_or_default();
        let known = known(operations, &name);
        let mut ends = endings(operations);
        let expires = known.and_then(|known| ends_from(operations, known, expiry?));
        let unsure = known.and_then(|_| id_is_unsure_from(operations));
        let by_itself = expires.into_iter().chain(unsure).min();
        let ends_by_itself = by_itself.is_some_and(|from| ends.iter().all(|end| from < *end));
        if let Some(from) = by_itself.filter(|_| ends_by_itself) {
            let instants = operations.iter().flat_map(|operation| [began(operation), ended(operation)]);
            ends = instants.filter(|instant| *instant > from).chain([from, u64::MAX]).collect();
        }
        let earliest = ends.iter().copied().min().unwrap_or(u64::MAX);
        // A write after the log-out counts under `logout-is-final` alone.
        let counts_here = move |operation: &&Operation| {
            operation.kind != OperationKind::SettleRead && (!writes(operation) || began(operation) < earliest)
        };
        let own = || {
            operations.iter().filter(counts_here).filter_map(|operation| {
                let state = shown(operation)?;
                let (identity, _) = known?;
                (*state.identity == *identity).then_some((operation, state))
            })
        };
        let words = vocabulary(own().map(|(_, state)| state));
        let replies: Vec<Reply<'a>> =
            own().map(|(operation, state)| Reply { operation, state, order: order_of(state, &words) }).collect();
        let is_silent = |operation: &&Operation| writes(operation) && operation.outcome == Outcome::Done;
        let silent: Vec<&Operation> =
            operations.iter().filter(is_silent).filter(|write| known.is_some() && began(write) < earliest).collect();
        let counts = !replies.is_empty() && replies.iter().all(|reply| reply.state.order.is_none());
        Self {
            expiry,
            ends_by_itself,
            operations,
            beside,
            name,
            is_given_up,
            known,
            endings: ends,
            replies,
            silent,
            counts,
        }
    }

    fn say(&self, guarantee: Guarantee) -> Said {
        match guarantee {
            Guarantee::SessionSurvives => self.session_survives(),
            Guarantee::Owned => self.owned(),
            Guarantee::LogoutIsFinal => self.logout_is_final(),
            Guarantee::NoLostUpdate | Guarantee::ReadYourWrites | Guarantee::AppliedOnce
                if self.counts && self.beside.iter().any(|one| one.kind == OperationKind::VisitorWrite) =>
            {
                let payloads = if guarantee == Guarantee::NoLostUpdate { self.payloads() } else { Said::default() };
                Said { inconclusive: true, ..payloads }
            }
            Guarantee::NoLostUpdate if self.counts => self.no_lost_update_by_counter().and(self.payloads()),
            Guarantee::NoLostUpdate => self.no_lost_update().and(self.payloads()),
            Guarantee::ReadYourWrites if self.counts => self.counts_at_least(&self.acknowledged_instants()),
            Guarantee::ReadYourWrites => {
                self.fresh(&|reply| acknowledged_by(reply).into_iter().collect()).and(self.fresh_after_silent_writes())
            }
            Guarantee::MonotonicReads if self.counts => self.counts_at_least(&self.read_counts()),
            Guarantee::MonotonicReads => self.fresh(&read_by),
            Guarantee::AppliedOnce if self.counts => self.counts_at_most(),
            Guarantee::AppliedOnce => self.applied_once(),
            Guarantee::NoPhantom | Guarantee::OneHistory if self.counts => {
                Said { inconclusive: true, ..Said::default() }
            }
            Guarantee::NoPhantom => self.no_phantom(),
            Guarantee::OneHistory => self.one_history(),
            Guarantee::LoginSticks => self.login_sticks(),
            Guarantee::IdRotates => self.id_rotates(),
            Guarantee::NoAdoptedId => self.no_adopted_id(),
            Guarantee::ExpiresInTime => self.expires_in_time(),
        }
    }

    /// Whether the session must still have existed when the reply came, in every world.
    fn must_be_there(&self, operation: &Operation) -> bool {
        self.known.is_some_and(|(_, from)| from <= began(operation))
            && is_seen_by_users(operation)
            && self.endings.iter().all(|end| *end >= ended(operation))
    }

    /// Whether the reply does not know the session, although the request came with its id.
    fn is_missed_in(&self, operation: &Operation) -> bool {
        is_unknown(operation) && !has_the_old_id(operation, self.operations)
    }

    fn may_be_logged_out(&self) -> bool {
        self.endings != [u64::MAX]
    }

    /// Whether the reply shows the session itself, but nobody's.
    fn has_lost_its_user_in(&self, operation: &Operation) -> bool {
        let (Some((identity, _)), Some(state)) = (self.known, shown(operation)) else { return false };
        let is_it = state.identity.epoch == identity.epoch && !identity.epoch.is_empty();
        is_it && state.identity.owner.is_empty() && !identity.owner.is_empty()
    }

    /// Whether the reply shows another session in its place: one of the same owner, or a fresh one.
    fn is_replaced_in(&self, operation: &Operation) -> bool {
        let (Some((identity, _)), Some(state)) = (self.known, shown(operation)) else { return false };
        let is_another = *state.identity != *identity && !self.has_lost_its_user_in(operation);
        is_another && (state.identity.owner == identity.owner || state.identity.owner.is_empty())
    }

    /// Whether it is a read after a pause that does not know the session although its time is not over.
    fn ended_early_in(&self, operation: &Operation) -> bool {
        let is_missed = |one: &Operation| self.must_be_there(one) && self.is_missed_in(one);
        // One that was unknown before the pause has not ended in it.
        let place = self.operations.iter().position(|one| one.id == operation.id).unwrap_or(0);
        let before = self.operations[..place].iter().rev().filter(|one| one.kind != OperationKind::SettleRead);
        let mut told = before.filter(|one| self.is_own(one) || one.outcome == Outcome::Done || is_missed(one));
        let was_gone = told.next().is_some_and(is_missed);
        operation.kind == OperationKind::IdleRead && is_missed(operation) && !was_gone
    }

    fn expires_in_time(&self) -> Said {
        let (Some(expiry), Some((identity, from))) = (self.expiry, self.known) else { return Said::default() };
        let is_it = |operation: &Operation| shown(operation).is_some_and(|state| *state.identity == *identity);
        let mut all: Vec<&Operation> = self.operations.iter().chain(self.beside).collect();
        all.sort_by_key(|operation| (began(operation), operation.id.number));
        let is_over = |place: usize| {
            let before = &all[..place];
            let may_come_later = before.iter().any(|one| matches!(one.outcome, Outcome::Indeterminate(_)));
            let until = before.iter().filter(|one| !is_unknown(one)).map(|one| ended(one)).max().unwrap_or(0);
            let until = until.max(from);
            !may_come_later
                && began(all[place]) >= from
                && began(all[place]) > until + expiry.after_ns + expiry.tolerance_ns
        };
        let late = |place: &usize| is_over(*place) && !is_beside(all[*place]);
        let is_late_and =
            |holds: &dyn Fn(&Operation) -> bool| (0..all.len()).filter(late).any(|place| holds(all[place]));
        let early = self.operations.iter().any(|operation| self.ended_early_in(operation));
        let is_kept = |operation: &Operation| operation.kind == OperationKind::IdleRead && is_it(operation);
        Said {
            broken: early || is_late_and(&is_it),
            exercised: early
                || is_late_and(&|operation| is_it(operation) || is_unknown(operation))
                || self.operations.iter().any(is_kept),
            inconclusive: false,
        }
    }

    fn session_survives(&self) -> Said {
        let is_missed = |operation: &Operation| {
            let is_told_here = self.log_in_of_a_visitor().is_none() && self.has_lost_its_user_in(operation);
            let is_missed = self.is_missed_in(operation) && !self.ended_early_in(operation);
            self.must_be_there(operation) && (is_missed || self.is_replaced_in(operation) || is_told_here)
        };
        let says_something = |operation: &Operation| {
            is_seen_by_users(operation)
                && !matches!(operation.kind, OperationKind::Create | OperationKind::LogIn)
                && (matches!(operation.outcome, Outcome::Ok(_) | Outcome::Done) || is_unknown(operation))
        };
        Said {
            broken: self.operations.iter().any(is_missed) || self.is_nowhere(),
            exercised: self.known.is_some() && self.operations.iter().any(says_something),
            inconclusive: false,
        }
    }

    /// The replies of the nodes after the final read. `None` unless all nodes answered, none with another user's
    /// session, the node of the final read is one of them, and nothing was asked after them.
    fn nodes(&self) -> Option<Vec<&'a Operation>> {
        let asked: Vec<&Operation> =
            self.operations.iter().rev().take_while(|operation| operation.kind == OperationKind::NodeRead).collect();
        let rest = self.operations.get(..self.operations.len() - asked.len())?;
        let last = rest.iter().rev().find(|operation| operation.kind == OperationKind::FinalRead)?;
        let node = |operation: &Operation| operation.answer.as_ref().map(|answer| answer.node.clone());
        let tells = |read: &&Operation| match shown(read) {
            Some(state) => state.identity.owner == self.name || state.identity.owner.is_empty(),
            None => is_unknown(read),
        };
        let has_its_own = node(last).is_some() && asked.iter().any(|read| node(read) == node(last));
        let is_last = |place: &&Operation| self.beside.iter().all(|other| began(other) < began(place));
        (asked.iter().all(tells) && asked.iter().all(is_last) && has_its_own).then_some(asked)
    }

    fn is_own(&self, operation: &Operation) -> bool {
        let state = shown(operation);
        self.known.is_some_and(|(identity, _)| state.is_some_and(|state| *state.identity == *identity))
    }

    /// Whether it should exist at the end and no node holds it.
    fn is_nowhere(&self) -> bool {
        if self.known.is_none() || self.may_be_logged_out() || self.is_given_up || self.was_lost_before_the_end() {
            return false;
        }
        self.nodes().is_some_and(|nodes| {
            nodes.iter().all(|read| !self.is_own(read)) && nodes.iter().any(|read| is_unknown(read))
        })
    }

    /// Whether it was replaced, or was unknown when it had to exist and no later reply knew it.
    fn was_lost_before_the_end(&self) -> bool {
        let Some((_, from)) = self.known else { return false };
        let later: Vec<&Operation> = self
            .operations
            .iter()
            .filter(|operation| began(operation) >= from && operation.kind != OperationKind::SettleRead)
            .collect();
        let is_replaced = |operation: &&&Operation| self.must_be_there(operation) && self.is_replaced_in(operation);
        if later.iter().any(|operation| is_replaced(&operation)) {
            return true;
        }
        let is_without_its_user =
            |operation: &Operation| self.must_be_there(operation) && self.has_lost_its_user_in(operation);
        let is_own_to_users = |operation: &Operation| self.is_own(operation) && is_seen_by_users(operation);
        let stays_without = |place: usize| !later[place..].iter().any(|operation| is_own_to_users(operation));
        if (0..later.len()).any(|place| is_without_its_user(later[place]) && stays_without(place)) {
            return true;
        }
        // An app cannot end a session that it does not know.
        let knows = |operation: &Operation| self.is_own(operation) || operation.outcome == Outcome::Done;
        let is_missed = |operation: &Operation| self.must_be_there(operation) && self.is_missed_in(operation);
        (0..later.len())
            .any(|place| is_missed(later[place]) && !later[place..].iter().any(|operation| knows(operation)))
    }

    fn is_lost(&self) -> bool {
        self.was_lost_before_the_end() || self.is_nowhere()
    }

    fn owned(&self) -> Said {
        let all = || self.operations.iter().chain(self.beside);
        let states = || all().filter_map(|operation| Some((operation, shown(operation)?)));
        let is_foreign = |(operation, state): (&Operation, &State)| {
            let is_of_another = |op: &OperationId| (op.session, op.life) != (operation.id.session, operation.id.life);
            let owner = &state.identity.owner;
            (*owner != self.name && !owner.is_empty())
                || state.order.as_ref().is_some_and(|order| order.tail.iter().any(is_of_another))
        };
        Said { broken: states().any(is_foreign), exercised: states().next().is_some(), inconclusive: false }
    }

    /// In every world that explains the replies that do not know the session, some reply shows it after its end.
    fn logout_is_final(&self) -> Said {
        if !self.may_be_logged_out() || self.ends_by_itself {
            return Said::default();
        }
        let earliest = self.endings.iter().copied().min().unwrap_or(u64::MAX);
        let explains = |end: &u64| {
            let needs = |operation: &Operation| {
                is_seen_by_users(operation) && self.is_missed_in(operation) && began(operation) >= earliest
            };
            self.operations.iter().filter(|operation| needs(operation)).all(|operation| *end <= ended(operation))
        };
        // A single reply may be the only evidence of the end: then its instant is a world of its own.
        let worlds: Vec<u64> = self.endings.iter().copied().filter(explains).collect();
        let Some(latest) = worlds.iter().max().copied().filter(|latest| *latest < u64::MAX) else {
            return Said::default();
        };
        let shows_it = |operation: &Operation| shown(operation).is_some_and(|state| state.identity.owner == self.name);
        let after = |end: u64| {
            let counts =
                move |operation: &&Operation| began(operation) >= end && operation.kind != OperationKind::SettleRead;
            self.operations.iter().chain(self.beside).filter(counts)
        };
        Said {
            broken: worlds.iter().all(|end| after(*end).any(shows_it)),
            exercised: after(latest).any(|operation| shows_it(operation) || is_unknown(operation)),
            inconclusive: false,
        }
    }

    /// The log-in of a visitor, and until when the session was not ended.
    fn log_in_of_a_visitor(&self) -> Option<&'a Operation> {
        let begins = |operation: &&Operation| matches!(operation.kind, OperationKind::Create | OperationKind::LogIn);
        let first = self.operations.iter().find(begins)?;
        (first.kind == OperationKind::LogIn && shown(first).is_some()).then_some(first)
    }

    /// A browser whose cookies a late reply has changed is still logged in, as far as the session itself is.
    fn login_sticks(&self) -> Said {
        if self.known.is_none() {
            return Said::default();
        }
        let log_in = self.log_in_of_a_visitor();
        let has_lost_its_user =
            |operation: &&Operation| self.must_be_there(operation) && self.has_lost_its_user_in(operation);
        if log_in.is_some() && self.operations.iter().any(|operation| has_lost_its_user(&operation)) {
            return Said { broken: true, exercised: true, inconclusive: false };
        }
        let visitors = [OperationKind::VisitorRead, OperationKind::VisitorWrite];
        let users = [OperationKind::HeldRead, OperationKind::HeldWrite];
        let is_renewal = |one: &&Operation| one.kind == OperationKind::NewId && shown(one).is_some();
        let renewals: Vec<&Operation> = self.operations.iter().filter(is_renewal).collect();
        let next = |after: u64| renewals.iter().map(|one| began(one)).filter(|at| *at > after).min();
        let of_the_log_in = log_in.map(|log_in| {
            let until = renewals.iter().map(|one| began(one)).min();
            self.browser_after(log_in, visitors, until)
        });
        let of_renewals = renewals.iter().map(|one| self.browser_after(one, users, next(began(one))));
        of_the_log_in.into_iter().chain(of_renewals).fold(Said::default(), Said::and)
    }

    /// What the browser's cookies show between a change of the id with one of these requests in flight, and the next one.
    fn browser_after(&self, change: &Operation, kinds: [OperationKind; 2], until: Option<u64>) -> Said {
        let is_late = |operation: &&Operation| {
            kinds.contains(&operation.kind)
                && operation.status.is_some()
                && (began(operation)..ended(operation)).contains(&began(change))
                && began(operation) != began(change)
        };
        let all = self.operations.iter().chain(self.beside);
        let Some(late) = all.filter(is_late).map(ended).max() else { return Said::default() };
        let until = self.endings.iter().copied().chain(until).min().unwrap_or(u64::MAX);
        let from = late.max(ended(change));
        let is_between = |operation: &Operation| from <= began(operation) && ended(operation) <= until;
        let own: Vec<&Operation> =
            self.through().map(|reply| reply.operation).filter(|operation| is_between(operation)).collect();
        let own: Vec<&Operation> = own.into_iter().filter(|one| one.kind != OperationKind::FinalRead).collect();
        let mut reads = self
            .beside
            .iter()
            .filter(|operation| operation.kind == OperationKind::BrowserRead && is_between(operation))
            .peekable();
        let Some(read) = reads.peek() else {
            return Said { exercised: !own.is_empty(), ..Said::default() };
        };
        let is_there = own.iter().any(|operation| began(operation) >= ended(read));
        let says_something = is_there && (shown(read).is_some() || is_unknown(read) || read.outcome == Outcome::Done);
        let is_logged_in = shown(read).is_some_and(|state| state.identity.owner == self.name);
        Said { broken: says_something && !is_logged_in, exercised: says_something, inconclusive: false }
    }

    fn leads_to(&self, epochs: &[&str], kind: OperationKind) -> Said {
        if epochs.is_empty() {
            return Said::default();
        }
        let is_it = |state: &State| {
            let Identity { owner, epoch } = state.identity.as_ref();
            *owner == self.name || (!epoch.is_empty() && epochs.contains(&epoch.as_str()))
        };
        let reads = || self.beside.iter().filter(|operation| operation.kind == kind);
        Said {
            broken: reads().filter_map(shown).any(is_it),
            exercised: reads().any(|read| shown(read).is_some() || is_unknown(read)),
            inconclusive: false,
        }
    }

    fn id_rotates(&self) -> Said {
        let Some((identity, _)) = self.known else { return Said::default() };
        let visits = self.beside.iter().filter(|operation| operation.kind == OperationKind::Visit).filter_map(shown);
        let epochs = visits.map(|state| state.identity.epoch.as_str()).chain([identity.epoch.as_str()]);
        self.leads_to(&epochs.collect::<Vec<_>>(), OperationKind::OldIdRead)
    }

    fn no_adopted_id(&self) -> Said {
        let is_first = |operation: &&Operation| matches!(operation.kind, OperationKind::Create | OperationKind::Visit);
        let all = self.operations.iter().chain(self.beside).filter(is_first);
        let created = all.filter_map(|operation| Some((began(operation), shown(operation)?)));
        let first = created.min_by_key(|(began, _)| *began);
        let epochs: Vec<&str> = first.iter().map(|(_, state)| state.identity.epoch.as_str()).collect();
        self.leads_to(&epochs, OperationKind::MadeUpRead)
    }

    fn through(&self) -> impl Iterator<Item = &Reply<'a>> {
        self.replies.iter().filter(|reply| is_seen_by_users(reply.operation))
    }

    fn copies(&self) -> impl Iterator<Item = &Reply<'a>> {
        self.replies.iter().filter(|reply| reply.operation.kind == OperationKind::NodeRead)
    }

    fn last(&self) -> Option<&Reply<'a>> {
        self.replies.iter().rev().find(|reply| reply.operation.kind == OperationKind::FinalRead)
    }

    /// The order that stands at the end: that of the final read, or else the longest that a user was shown; of several,
    /// the one requested last.
    fn standing(&self) -> Sequence {
        let last = self.last().and_then(|last| last.order.clone());
        last.unwrap_or_else(|| {
            let explained = self.through().filter_map(|reply| Some((reply.operation, reply.order.as_ref()?)));
            let key =
                |(operation, order): &(&Operation, &Sequence)| (order.len(), began(operation), operation.id.number);
            explained.max_by_key(key).map(|(_, order)| order.clone()).unwrap_or_default()
        })
    }

    fn acknowledged(&self) -> Vec<&'a Operation> {
        let replies = self.replies.iter().map(|reply| reply.operation);
        let shown = replies.filter(|operation| writes(operation));
        shown.chain(self.silent.iter().copied()).collect()
    }

    /// Acknowledged writes that the standing order must contain; `None` if this cannot be decided.
    fn due(&self) -> Option<Vec<&'a Operation>> {
        if self.is_lost() {
            return None;
        }
        let until = match self.last() {
            Some(last) => {
                let hides_more = |copy: &Reply| copy.order.is_none() && copy.state.version > last.state.version;
                if last.order.is_none() || self.copies().any(hides_more) {
                    return None;
                }
                u64::MAX
            }
            None if !self.may_be_logged_out() => return None,
            None => {
                let standing = self.standing();
                let is_as_long = |reply: &&Reply| reply.state.version >= standing.len() as u64;
                if self.replies.iter().filter(is_as_long).any(|reply| reply.order.is_none()) {
                    return None;
                }
                let shows = self.through().filter(|reply| reply.order.as_ref() == Some(&standing));
                shows.map(|reply| began(reply.operation)).max()?
            }
        };
        // After a log-out a write without a state may be missing because the state that stands is old. It is not old where it has
        // an operation that was sent after the write had ended.
        let standing = self.standing();
        let is_newer = |write: &Operation| {
            let in_standing = self.operations.iter().filter(|operation| standing.contains(&operation.id));
            in_standing.map(began).any(|sent| ended(write) <= sent)
        };
        let is_due = |write: &&Operation| {
            ended(write) <= until && (self.last().is_some() || shown(write).is_some() || is_newer(write))
        };
        Some(self.acknowledged().into_iter().filter(is_due).collect())
    }

    fn lost(&self) -> BTreeSet<OperationId> {
        let standing = self.standing();
        let final_order = self.last().and_then(|last| last.order.clone()).filter(|_| !self.may_be_logged_out());
        let has = |copy: &Reply, op: &OperationId| copy.order.as_ref().is_some_and(|order| order.contains(op));
        let all_told =
            self.nodes().is_some() && self.copies().count() > 0 && self.copies().all(|copy| copy.order.is_some());
        let is_lost = |op: &OperationId| match &final_order {
            None => !standing.contains(op),
            Some(end) if end.contains(op) => all_told && !self.copies().any(|copy| has(copy, op)),
            Some(end) => {
                let goes_on = |copy: &&Reply| copy.order.as_ref().is_some_and(|order| order.starts_with(end));
                !self.copies().filter(goes_on).any(|copy| has(copy, op))
            }
        };
        self.due().unwrap_or_default().into_iter().map(|write| write.id).filter(is_lost).collect()
    }

    fn payloads(&self) -> Said {
        let is_wrong = |reply: &Reply| reply.state.payload == Payload::Wrong;
        Said { broken: self.replies.iter().any(is_wrong), ..Said::default() }
    }

    fn no_lost_update(&self) -> Said {
        if self.acknowledged().is_empty() || self.is_lost() {
            return Said::default();
        }
        match self.due() {
            Some(due) => Said { broken: !self.lost().is_empty(), exercised: !due.is_empty(), inconclusive: false },
            None => Said { inconclusive: true, ..Said::default() },
        }
    }

    /// Every reply contains all operations that an earlier one made known, except lost ones.
    fn fresh(&self, makes_known: &dyn Fn(&Reply) -> Vec<OperationId>) -> Said {
        let lost = self.lost();
        let mut said = Said { inconclusive: self.through().any(|reply| reply.order.is_none()), ..Said::default() };
        for earlier in self.through().filter(|reply| reply.order.is_some()) {
            for op in makes_known(earlier).into_iter().filter(|op| !lost.contains(op)) {
                for later in self.through().filter(|later| ended(earlier.operation) <= began(later.operation)) {
                    let Some(order) = &later.order else { continue };
                    said.exercised = true;
                    said.broken |= !order.contains(&op);
                }
            }
        }
        said
    }

    /// Every reply contains the writes that were acknowledged before without a state, except lost ones.
    fn fresh_after_silent_writes(&self) -> Said {
        let (lost, mut said) = (self.lost(), Said::default());
        for write in self.silent.iter().filter(|write| !lost.contains(&write.id)) {
            for later in self.through().filter(|later| ended(write) <= began(later.operation)) {
                let Some(order) = &later.order else { continue };
                said.exercised = true;
                said.broken |= !order.contains(&write.id);
            }
        }
        said
    }

    /// Everything that is shown: whole orders, or only the tails if an order is unknown.
    fn all_shown(&self) -> Vec<Sequence> {
        let tail = |reply: &Reply| reply.state.order.as_ref().map(|order| order.tail.to_vec()).unwrap_or_default();
        self.replies.iter().map(|reply| reply.order.clone().unwrap_or_else(|| tail(reply))).collect()
    }

    fn about_what_is_shown(&self, is_wrong: impl Fn(&Sequence) -> bool) -> Said {
        Said {
            broken: self.all_shown().iter().any(is_wrong),
            exercised: self.replies.iter().any(|reply| reply.order.as_ref().is_some_and(|order| !order.is_empty())),
            inconclusive: self.replies.iter().any(|reply| reply.order.is_none()),
        }
    }

    fn applied_once(&self) -> Said {
        self.about_what_is_shown(|order| order.iter().collect::<BTreeSet<_>>().len() < order.len())
    }

    fn no_phantom(&self) -> Said {
        let all = || self.operations.iter().chain(self.beside);
        let Some(first) = all().next() else { return Said::default() };
        let is_phantom = |op: &OperationId| {
            let is_own = (first.id.session, first.id.life) == (op.session, op.life);
            let sent = all().find(|operation| operation.id == *op);
            let is_write = |sent: &Operation| writes(sent) || sent.kind == OperationKind::VisitorWrite;
            let was_written = sent.is_some_and(|sent| is_write(sent) && !matches!(sent.outcome, Outcome::Fail(_)));
            is_own && !was_written
        };
        self.about_what_is_shown(|order| order.iter().any(is_phantom))
    }

    fn one_history(&self) -> Said {
        let lost = self.lost();
        let kept = |order: &Sequence| order.iter().filter(|op| !lost.contains(op)).copied().collect::<Sequence>();
        let orders: Vec<Sequence> = self.replies.iter().filter_map(|reply| reply.order.as_ref()).map(kept).collect();
        let apart = |one: &Sequence, other: &Sequence| !one.starts_with(other) && !other.starts_with(one);
        let any_apart = orders.iter().any(|one| orders.iter().any(|other| apart(one, other)));
        let end = self.last().and_then(|last| last.order.as_ref());
        let apart_in_the_end =
            self.copies().filter_map(|copy| copy.order.as_ref()).any(|order| end.is_some_and(|end| apart(order, end)));
        Said {
            broken: any_apart || apart_in_the_end,
            exercised: self.replies.len() > 1,
            inconclusive: self.replies.iter().any(|reply| reply.order.is_none()),
        }
    }

    // For apps that only count: acknowledged ≤ counter ≤ acknowledged + indeterminate.

    /// When each write was acknowledged, and the minimum of the counter from then on.
    fn acknowledged_instants(&self) -> Vec<(u64, u64)> {
        let shown = self.through().map(|reply| reply.operation);
        let all = shown.filter(|operation| writes(operation)).chain(self.silent.iter().copied());
        let mut instants: Vec<u64> = all.map(ended).collect();
        instants.sort_unstable();
        instants.into_iter().zip(1..).collect()
    }

    fn read_counts(&self) -> Vec<(u64, u64)> {
        let is_read = |reply: &&Reply| is_read(reply.operation);
        self.through().filter(is_read).map(|reply| (ended(reply.operation), reply.state.version)).collect()
    }

    /// How many acknowledged writes are missing from the final counter.
    fn lost_by_counter(&self) -> u64 {
        let acknowledged = self.acknowledged_instants().len() as u64;
        self.last().map_or(0, |last| acknowledged.saturating_sub(last.state.version))
    }

    /// No reply counts fewer writes than were known when its request was sent, not counting lost ones.
    fn counts_at_least(&self, known: &[(u64, u64)]) -> Said {
        let lost = self.lost_by_counter();
        let mut said = Said::default();
        for reply in self.through() {
            let before = known.iter().filter(|(instant, _)| *instant <= began(reply.operation));
            if let Some(count) = before.map(|(_, count)| *count).max() {
                said.exercised = true;
                said.broken |= reply.state.version + lost < count;
            }
        }
        said
    }

    fn no_lost_update_by_counter(&self) -> Said {
        if self.is_lost() || self.may_be_logged_out() || self.acknowledged_instants().is_empty() {
            return Said::default();
        }
        match self.last() {
            Some(_) => Said { broken: self.lost_by_counter() > 0, exercised: true, inconclusive: false },
            None => Said { inconclusive: true, ..Said::default() },
        }
    }

    fn counts_at_most(&self) -> Said {
        let may_be_applied = |write: &&Operation| writes(write) && !matches!(write.outcome, Outcome::Fail(_));
        let broken = self.replies.iter().any(|reply| {
            let sent =
                self.operations.iter().filter(may_be_applied).filter(|write| began(write) < ended(reply.operation));
            reply.state.version > sent.count() as u64
        });
        Said { broken, exercised: !self.replies.is_empty(), inconclusive: false }
    }
}

fn acknowledged_by(reply: &Reply) -> Option<OperationId> {
    writes(reply.operation).then_some(reply.operation.id)
}

fn read_by(reply: &Reply) -> Vec<OperationId> {
    if is_read(reply.operation) { reply.order.clone().unwrap_or_default() } else { Vec::new() }
}

fn is_read(operation: &Operation) -> bool {
    matches!(
        operation.kind,
        OperationKind::Read | OperationKind::HeldRead | OperationKind::IdleRead | OperationKind::FinalRead
    )
}

/// From when on it may have ended by itself: a reply does not know it, and no request before that had shown it for as long as a
/// session lasts at least.
fn ends_from(operations: &[Operation], (identity, from): (&Identity, u64), expiry: Expiry) -> Option<u64> {
    let is_it = |operation: &Operation| match shown(operation) {
        Some(state) => *state.identity == *identity,
        None => operation.outcome == Outcome::Done,
    };
    let since = |place: usize| {
        let before = operations[..place].iter().filter(|one| is_it(one));
        before.map(began).max().map(|used| used + expiry.after_ns - expiry.tolerance_ns)
    };
    let places = (0..operations.len()).filter(|place| began(&operations[*place]) >= from);
    let unknown = places.filter(|place| is_unknown(&operations[*place]));
    let mut unknown = unknown;
    unknown.find_map(|place| since(place).filter(|end| ended(&operations[place]) > *end))
}

/// The identity of the session, and from when its user knew it: from the reply to its creation, or if that was lost,
/// from the first reply with the same owner.
fn known<'a>(operations: &'a [Operation], name: &str) -> Option<(&'a Identity, u64)> {
    let begins = |operation: &&Operation| matches!(operation.kind, OperationKind::Create | OperationKind::LogIn);
    let created = operations.iter().find(begins)?;
    let tells = |operation: &&Operation| match &created.outcome {
        Outcome::Ok(_) => operation.id == created.id,
        Outcome::Fail(_) | Outcome::Done => false,
        Outcome::Indeterminate(_) => shown(operation).is_some_and(|state| state.identity.owner == name),
    };
    let first = operations.iter().filter(tells).min_by_key(|operation| ended(operation))?;
    Some((shown(first)?.identity.as_ref(), ended(first)))
}
