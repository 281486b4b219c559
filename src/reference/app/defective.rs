//! Sessions with a defect: negative controls for the checker. A node that keeps its sessions in its own memory
//! and does one thing wrong, seldom, and so that exactly one guarantee is broken. `steadfast selftest` sees to
//! it that the checker finds each.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::outcome::{Found, Refused, Roles};
use super::session::{Session, SessionId, State, Update};
use crate::reference::config::Defect;

/// How old the copy is from which reads are answered.
const LAG: Duration = Duration::from_millis(150);
/// One in so many of what a defect spoils is spoiled.
const ONE_IN: u64 = 50;
/// An update in a thousand is dropped, beginning with this one.
const DROPPED_IN: (u64, u64) = (1000, 60);
/// An update is dropped only in a young session: one that goes on after it, so that the loss can be told from
/// an old copy.
const YOUNG: u64 = 4;

struct Kept {
    session: Session,
    /// The states after each operation, and from when on each was there.
    past: Vec<(Instant, State)>,
    /// What those who read are told in its place.
    hidden_by: Option<Refused>,
    /// For an update whose reply was withheld: which reads still waver between with and without it.
    wavers: u32,
}

#[derive(Default)]
struct Node {
    sessions: HashMap<SessionId, Kept>,
    /// How often the defect could have struck.
    count: u64,
    /// A session of somebody else.
    other: Option<SessionId>,
}

/// The sessions of one node, and what it does wrong.
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

    fn kept(&mut self, cookie: &str) -> Result<(SessionId, &mut Kept), Refused> {
        let id = SessionId::in_cookie(cookie).ok_or(Refused::Unknown)?;
        Ok((id, self.sessions.get_mut(&id).ok_or(Refused::Unknown)?))
    }
}

/// What the operation that nobody sent is called: it has the form of one of the same session.
const MADE_UP: &str = "999999";

impl Node {
    /// What a defect makes of a read that it strikes; none where it has nothing to spoil there.
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
        Self { session, past, hidden_by: None, wavers: 0 }
    }

    fn append(&mut self, update: &Update) {
        self.session.state.append(update);
        self.past.push((Instant::now(), self.session.state.clone()));
    }

    /// The state before the last `back` operations.
    fn before(&self, back: usize) -> Option<&State> {
        self.past.iter().rev().nth(back).map(|(_, state)| state)
    }

    /// As a copy would show it that lags behind.
    fn lagging(&self) -> Session {
        let there = |(since, _): &&(Instant, State)| since.elapsed() >= LAG;
        let state = self.past.iter().rev().find(there).or(self.past.first()).map(|(_, state)| state.clone());
        Session { state: state.unwrap_or_else(|| self.session.state.clone()), ..self.session.clone() }
    }

    /// With the last two operations in the other order.
    fn forked(&self) -> Option<Session> {
        let mut state = self.before(2)?.clone();
        let mut newest_first = self.session.state.tail.iter().rev();
        let (other, one) = (newest_first.next()?, newest_first.next()?);
        for op in [other, one] {
            state.append(&Update { op: op.clone(), bytes: 0 });
        }
        Some(Session { state, ..self.session.clone() })
    }
}

impl Defective {
    /// A node with this defect.
    pub fn new(defect: Defect) -> Self {
        Self { defect, node: RefCell::default() }
    }

    /// Keeps a new session.
    pub fn create(&self, session: Session) -> Found {
        let id = SessionId::fresh();
        let mut node = self.node.borrow_mut();
        node.sessions.insert(id, Kept::new(session.clone()));
        node.other = Some(id);
        Found { session, cookie: Some(id.to_string()) }
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
            return Ok(Found { session, cookie: None });
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
        let strikes = match self.defect {
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
            let other = other.and_then(|other| node.sessions.get(&other)).map(|other| other.session.clone());
            if let Some(other) = other {
                return Ok(other);
            }
        }
        node.other = Some(id);
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

    /// All of them are this node's own.
    pub fn roles(&self) -> Roles {
        Roles { primary: self.node.borrow().sessions.len(), ..Roles::default() }
    }
}
