//! Nodes with a defect: negative controls for the checker. Such a node keeps its sessions in its own memory and rarely
//! does one thing wrong, so that exactly one guarantee is broken. `steadfast selftest` verifies that the checker finds
//! each defect.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::outcome::{Found, Refused, Roles};
use super::session::{self, Session, SessionId, State, Update};
use crate::reference::config::Defect;

/// Age of the copy from which reads are answered.
const LAG: Duration = Duration::from_millis(150);
/// The defect strikes once in this many opportunities.
const ONE_IN: u64 = 50;
/// One update in a thousand is dropped, first the one with this number.
const DROPPED_IN: (u64, u64) = (1000, 60);
/// An update is dropped only in a session with fewer operations than this, because later operations then distinguish
/// the loss from a stale copy.
const YOUNG: u64 = 4;

/// A session that no request has used for longer than this is not busy, where sessions expire.
const BUSY_MS: u64 = 300;

struct Kept {
    session: Session,
    /// The state after each operation, and the instant from which it was current.
    past: Vec<(Instant, State)>,
    /// The refusal that reads get instead of the session.
    hidden_by: Option<Refused>,
    /// After an update whose reply was withheld: how many of the next reads alternate between with and without it.
    wavers: u32,
    /// Whether it was ended by a log-in on another device.
    is_ended: bool,
}

#[derive(Default)]
struct Node {
    sessions: HashMap<SessionId, Kept>,
    /// How often the defect could have struck.
    count: u64,
    /// A session of another user.
    other: Option<SessionId>,
    /// Ids that sessions had before.
    former_ids: HashSet<SessionId>,
    /// Further ids of sessions.
    aliases: HashMap<SessionId, SessionId>,
}

/// The sessions of one node, and its defect.
pub struct Defective {
    defect: Defect,
    node: RefCell<Node>,
}

impl Node {
    /// Whether the defect strikes this time.
    fn strikes(&mut self, one_in: u64, first: u64) -> bool {
        self.count += 1;
        self.count % one_in == first
    }

    /// Remembers a session for the next user to be shown it: not a visitor's, which would look like a fresh one.
    fn offer(&mut self, id: SessionId, session: &Session) {
        if !session.owner.is_empty() {
            self.other = Some(id);
        }
    }

    fn kept(&mut self, cookie: &str) -> Result<(SessionId, &mut Kept), Refused> {
        let id = SessionId::in_cookie(cookie).ok_or(Refused::Unknown)?;
        let id = self.aliases.get(&id).copied().unwrap_or(id);
        let kept = self.sessions.get_mut(&id).filter(|kept| !kept.is_ended || kept.is_rested());
        Ok((id, kept.ok_or(Refused::Unknown)?))
    }

    /// Gives a session another id, by the side of those that it has.
    fn alias(&mut self, id: SessionId) -> SessionId {
        let alias = SessionId::fresh();
        self.aliases.insert(alias, id);
        alias
    }

    /// Ends the sessions that an owner has on other devices.
    fn end_other_devices(&mut self, owner: &str) {
        let others = self.sessions.values_mut().filter(|other| !owner.is_empty() && other.session.owner == owner);
        others.for_each(|other| other.is_ended = true);
    }
}

/// The last part of the id of an operation that was never sent; the id has the form of one of the same session.
const MADE_UP: &str = "999999";

impl Node {
    /// The result of a read that the defect strikes; `None` if it cannot change this one.
    fn spoil(&mut self, defect: Defect, id: SessionId) -> Option<Result<Session, Refused>> {
        let kept = self.sessions.get_mut(&id)?;
        let mut shown = kept.session.clone();
        match defect {
            Defect::LosesPayloads => shown.payload = shown.payload.slice(..shown.payload.len() / 2),
            Defect::MakesUpTails => {
                let last = shown.state.tail.back_mut()?;
                *last = format!("{}.{MADE_UP}", last.rsplit_once('.')?.0);
            }
            Defect::AnswersAnonymously => {
                kept.session = Session::create(String::new(), 0);
                kept.past = vec![(Instant::now(), kept.session.state.clone())];
                shown = kept.session.clone();
            }
            Defect::AnswersOffContract => {
                let refused = Refused::OffContract("log in first".to_owned());
                kept.hidden_by = Some(refused.clone());
                return Some(Err(refused));
            }
            _ => return None,
        }
        Some(Ok(shown))
    }
}

impl Kept {
    fn new(session: Session) -> Self {
        let past = vec![(Instant::now(), session.state.clone())];
        Self { session, past, hidden_by: None, wavers: 0, is_ended: false }
    }

    /// Whether nobody has used it for a while, where sessions expire: if it is lost then, its time might have been over.
    fn is_rested(&self) -> bool {
        session::expire() && self.session.idle_ms() >= BUSY_MS
    }

    fn append(&mut self, update: &Update) {
        self.session.state.append(update);
        self.past.push((Instant::now(), self.session.state.clone()));
    }

    /// The state before the last `back` operations.
    fn before(&self, back: usize) -> Option<&State> {
        self.past.iter().rev().nth(back).map(|(_, state)| state)
    }

    /// The session as a copy shows it that is older by [`LAG`].
    fn lagging(&self) -> Session {
        let there = |(since, _): &&(Instant, State)| since.elapsed() >= LAG;
        let state = self.past.iter().rev().find(there).or(self.past.first()).map(|(_, state)| state.clone());
        Session { state: state.unwrap_or_else(|| self.session.state.clone()), ..self.session.clone() }
    }

    /// The session with its last two operations in reverse order.
    fn forked(&self) -> Option<Session> {
        let mut state = self.before(2)?.clone();
        let mut newest_first = self.session.state.tail.iter().rev();
        let (other, one) = (newest_first.next()?, newest_first.next()?);
        for op in [other, one] {
            state.append(&Update { op: op.clone(), bytes: 0, hold_ms: 0 });
        }
        Some(Session { state, ..self.session.clone() })
    }
}

impl Defective {
    /// A node with this defect.
    pub fn new(defect: Defect) -> Self {
        Self { defect, node: RefCell::default() }
    }

    /// Keeps a new session; `cookie` is the one that its user came with.
    pub fn create(&self, cookie: Option<&str>, session: Session) -> Found {
        let mut node = self.node.borrow_mut();
        let made_up = cookie.and_then(SessionId::in_cookie).filter(|_| self.defect == Defect::AdoptsIds);
        let id = made_up.unwrap_or_else(SessionId::fresh);
        if self.defect == Defect::EndsOtherDevices {
            node.end_other_devices(&session.owner);
        }
        node.sessions.insert(id, Kept::new(session.clone()));
        node.offer(id, &session);
        Found { session, cookie: Some(id.to_string()) }
    }

    /// Makes a session its user's own, under a new id.
    pub fn log_in(&self, cookie: &str, owner: String) -> Result<Found, Refused> {
        let mut node = self.node.borrow_mut();
        let (old, kept) = node.kept(cookie)?;
        kept.session.owner = owner;
        let session = kept.session.clone();
        if self.defect == Defect::KeepsOldIds {
            return Ok(Found { session, cookie: Some(node.alias(old).to_string()) });
        }
        node.sessions.remove(&old);
        node.former_ids.insert(old);
        drop(node);
        Ok(self.create(None, session))
    }

    /// Saves a session that was loaded before a request was held; only the defect saves one that has been ended meanwhile.
    pub fn save(&self, cookie: &str, loaded: Session) {
        if self.defect != Defect::RevivesInFlight {
            return;
        }
        let mut node = self.node.borrow_mut();
        // That a session is there again under a former id would be another defect.
        let id = SessionId::in_cookie(cookie).filter(|id| !node.former_ids.contains(id));
        if let Some(id) = id {
            node.sessions.entry(id).or_insert_with(|| Kept::new(loaded));
        }
    }

    /// Whether each reply to a request that it held sets the cookie of that request again.
    pub fn sets_cookies_again(&self) -> bool {
        self.defect == Defect::ResendsCookies
    }

    /// Applies an operation.
    pub fn append(&self, cookie: &str, update: &Update) -> Result<Found, Refused> {
        let mut node = self.node.borrow_mut();
        let (_, kept) = node.kept(cookie)?;
        if let Some(refused @ Refused::OffContract(_)) = &kept.hidden_by {
            return Err(refused.clone());
        }
        let is_young = kept.session.state.version < YOUNG;
        let strikes = match self.defect {
            Defect::DropsUpdates => is_young && node.strikes(DROPPED_IN.0, DROPPED_IN.1),
            Defect::AppliesTwice | Defect::AppliesRefused => node.strikes(ONE_IN, 0),
            Defect::GoesBack => node.strikes(ONE_IN / 5, 0),
            _ => false,
        };
        let (_, kept) = node.kept(cookie)?;
        let before = kept.session.state.clone();
        kept.append(update);
        kept.wavers = 0;
        if strikes && self.defect == Defect::AppliesTwice {
            kept.append(update);
        }
        let session = kept.session.clone();
        if !strikes {
            let cookie = self.sets_cookies_again().then(|| cookie.to_owned());
            return Ok(Found { session, cookie });
        }
        match self.defect {
            Defect::DropsUpdates => kept.session.state = before,
            Defect::AppliesRefused => return Err(Refused::TooLarge("it was applied all the same".to_owned())),
            Defect::GoesBack => {
                kept.wavers = 2;
                return Err(Refused::Unavailable("it was applied all the same".to_owned()));
            }
            _ => {}
        }
        Ok(Found { session, cookie: None })
    }

    /// Reads a session.
    pub fn read(&self, cookie: &str) -> Result<Session, Refused> {
        let mut node = self.node.borrow_mut();
        let (id, kept) = node.kept(cookie)?;
        if let Some(refused) = &kept.hidden_by {
            return Err(refused.clone());
        }
        // A visitor's has no owner anyway.
        let is_rested = kept.is_rested();
        let strikes = match self.defect {
            Defect::LosesSessions | Defect::AnswersAnonymously if is_rested || kept.session.owner.is_empty() => false,
            Defect::LosesSessions
            | Defect::SwapsSessions
            | Defect::Forks
            | Defect::LosesPayloads
            | Defect::MakesUpTails
            | Defect::AnswersAnonymously
            | Defect::AnswersOffContract => node.strikes(ONE_IN, 0),
            _ => false,
        };
        if strikes && let Some(spoilt) = node.spoil(self.defect, id) {
            return spoilt;
        }
        if strikes && self.defect == Defect::LosesSessions {
            node.sessions.remove(&id);
            return Err(Refused::Unknown);
        }
        let other = node.other.filter(|other| *other != id);
        if strikes && self.defect == Defect::SwapsSessions {
            let own = node.sessions.get(&id).map(|own| own.session.owner.clone());
            let other = other.and_then(|other| node.sessions.get(&other)).map(|other| other.session.clone());
            // An earlier session of the same user would be a lost one, which is another defect.
            if let Some(other) = other.filter(|other| own.as_ref() != Some(&other.owner)) {
                return Ok(other);
            }
        }
        let session = node.kept(cookie)?.1.session.clone();
        node.offer(id, &session);
        let (_, kept) = node.kept(cookie)?;
        Ok(match self.defect {
            Defect::StaleReads => kept.lagging(),
            Defect::Forks if strikes => kept.forked().unwrap_or_else(|| kept.session.clone()),
            Defect::GoesBack if kept.wavers > 0 => {
                kept.wavers -= 1;
                let is_with_it = kept.wavers == 1;
                let without = kept.before(1).cloned().filter(|_| !is_with_it);
                let state = without.unwrap_or_else(|| kept.session.state.clone());
                Session { state, ..kept.session.clone() }
            }
            _ => kept.session.clone(),
        })
    }

    /// Records that a request has used a session, unless the defect forgets reads.
    pub fn touch(&self, cookie: &str, writes: bool) {
        if let Ok((_, kept)) = self.node.borrow_mut().kept(cookie)
            && (writes || self.defect != Defect::ExpiresReaders)
        {
            kept.session.touch();
        }
    }

    /// Refuses a session whose time is over.
    pub fn use_in_time(&self, cookie: &str) -> Result<(), Refused> {
        let mut node = self.node.borrow_mut();
        let (id, kept) = node.kept(cookie)?;
        if kept.session.has_expired() && !self.never_expires() {
            node.sessions.remove(&id);
            return Err(Refused::Unknown);
        }
        Ok(())
    }

    /// Whether sessions stay although nobody uses them.
    pub fn never_expires(&self) -> bool {
        self.defect == Defect::NeverExpires
    }

    /// Ends a session.
    pub fn end(&self, cookie: &str) -> Result<(), Refused> {
        let mut node = self.node.borrow_mut();
        let (id, kept) = node.kept(cookie)?;
        if let Some(refused @ Refused::OffContract(_)) = &kept.hidden_by {
            return Err(refused.clone());
        }
        if self.defect == Defect::RevivesSessions && node.strikes(ONE_IN / 10, 0) {
            return Ok(());
        }
        if self.defect == Defect::RevivesOnWrite && node.strikes(ONE_IN / 10, 0) {
            node.kept(cookie)?.1.hidden_by = Some(Refused::Unknown);
            return Ok(());
        }
        node.sessions.remove(&id);
        Ok(())
    }

    /// All sessions are primaries.
    pub fn roles(&self) -> Roles {
        Roles { primary: self.node.borrow().sessions.len(), ..Roles::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many reads, of the sessions of these users in turn, show another one.
    fn swapped(owners: [&str; 2]) -> usize {
        let node = Defective::new(Defect::SwapsSessions);
        let sessions = owners.map(|owner| node.create(None, Session::create(owner.to_owned(), 0)));
        let is_another =
            |found: &Found| node.read(found.cookie.as_deref().unwrap()).unwrap().epoch != found.session.epoch;
        (0..4 * ONE_IN).map(|_| sessions.iter().filter(|found| is_another(found)).count()).sum()
    }

    #[test]
    fn a_session_is_swapped_for_another_users_and_not_for_ones_own() {
        assert!(swapped(["ada", "bob"]) > 0);
        assert_eq!(swapped(["ada", "ada"]), 0);
    }
}
