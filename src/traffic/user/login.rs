//! One session as its user sees it: its cookies, how far it has come, and whether the user still believes in it. It decides no
//! action.

use std::sync::Arc;

use super::classify::Shown;
use super::cookies::{CookieJar, Site};
use super::mapped::Variables;
use super::transitions::{Aside, Overtaking};
use crate::history::{Answer, ErrorKind, OperationKind, Outcome, State};
use crate::load::Span;
use crate::traffic::reactor::unix_s;

/// After this many consecutive replies that do not know the session, the user logs in again.
const UNKNOWN_UNTIL_LOG_IN: u32 = 2;

/// One session from its user's point of view.
#[derive(Clone, Debug, Default)]
pub struct Login {
    pub life: u32,
    pub cookies: CookieJar,
    pub operations: u32,
    /// Whether the user assumes that the session exists.
    pub holds: bool,
    pub unknown_in_a_row: u32,
    pub since_ns: u64,
    /// When the user overtakes its request in flight, or goes on after a pause.
    pub acts_ns: u64,
    /// How long after a change of the id the one from before may still lead to the session.
    pub old_id_grace_ns: u64,
    /// Whether its id has changed once more since the log-in.
    pub has_new_id: bool,
    /// How many pauses the user still makes.
    pub pauses_left: u32,
    /// When the user logs out; `None`: never.
    pub span: Option<Span>,
    pub stage: Stage,
    /// Cookies beside these; `None` where users only log in, work and log out.
    pub aside: Option<Box<Aside>>,
    pub shown: Shown,
    /// The node that answered last through the balancer.
    pub answered_by: Option<Arc<Answer>>,
    /// Of a mapping: the values of its variables.
    pub variables: Variables,
}

/// How far the user has come with a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// The user logs in, or works.
    #[default]
    None,
    /// The user has a visitor's session.
    Visiting,
    /// A request has been sent which will be overtaken.
    Busy(Overtaking),
    /// The user pauses, instead of logging out.
    Resting,
    /// The user has logged out.
    LoggedOut,
    /// After the log-out, the user has read once with the old cookies.
    ReadAgain,
    /// After that read, the user has written once with the old cookies.
    Revisited,
}

impl Login {
    /// Updates the user's view of its session. Only a shown state or an unknown session changes it.
    pub fn believe(&mut self, outcome: &Outcome) {
        let is_without_user = |state: &State| state.identity.owner.is_empty();
        match outcome {
            Outcome::Ok(state) if !is_without_user(state) => (self.holds, self.unknown_in_a_row) = (true, 0),
            Outcome::Ok(_) | Outcome::Fail(ErrorKind::UnknownSession) => {
                self.unknown_in_a_row += 1;
                self.holds &= self.unknown_in_a_row < UNKNOWN_UNTIL_LOG_IN;
            }
            Outcome::Done | Outcome::Fail(_) | Outcome::Indeterminate(_) => {}
        }
    }

    pub fn aside_mut(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    /// Changes the id while a request of the session is in flight.
    pub fn overtake(&mut self) {
        let before = self.cookies.clone();
        let aside = self.aside_mut();
        aside.browser = Some(before.clone());
        // It counts from the reply on.
        aside.old_id = Some((before, u64::MAX));
    }

    /// Ends a change of the id: if it is done, the old one must lead nowhere from then on, after the grace; else it is forgotten.
    pub fn end_change_of_id(&mut self, is_done: bool, completed_ns: u64) {
        let from_ns = completed_ns.saturating_add(self.old_id_grace_ns);
        if let Some(aside) = self.aside.as_mut() {
            aside.old_id = aside.old_id.take().filter(|_| is_done).map(|(cookies, _)| (cookies, from_ns));
        }
    }

    /// Whether the user has logged out.
    pub const fn is_ended(&self) -> bool {
        matches!(self.stage, Stage::LoggedOut | Stage::ReadAgain | Stage::Revisited)
    }

    /// Whether the cookies of a reply are the session's. A read past the balancer changes neither the cookies nor the user's
    /// view of its session, and a late reply to a visitor's request changes only those of the browser. From the log-out on,
    /// replies do not change the cookies: the revisits test a copy of the old ones.
    pub fn keeps_cookies_of(&self, kind: OperationKind) -> bool {
        let has_logged_in = || self.aside.as_ref().is_some_and(|aside| aside.old_id.is_some());
        match kind {
            OperationKind::NodeRead | OperationKind::LogOut => false,
            OperationKind::Visit => true,
            OperationKind::VisitorRead | OperationKind::VisitorWrite => !has_logged_in(),
            _ => kind.has_its_cookies() && !self.is_ended(),
        }
    }

    /// Sets the cookies of a reply: the session's, and those of the browser.
    pub fn set_cookies(&mut self, kind: OperationKind, is_own: bool, headers: &[&[u8]], (path, site): (&str, &Site)) {
        let old_id = self.aside.as_ref().and_then(|aside| aside.old_id.as_ref()).filter(|_| kind.is_held());
        if is_own {
            let before = old_id.map(|_| self.cookies.clone());
            for cookie in headers {
                self.cookies.set(cookie, path, site, unix_s);
            }
            // A late reply that sets the id from before its change once more, or none, leads only the browser astray.
            if let (Some(before), Some((old_id, _))) = (before, old_id)
                && (self.cookies.is_empty() || self.cookies.has_the_values_of(old_id))
            {
                self.cookies = before;
            }
        }
        if let Some(aside) = self.aside.as_mut().filter(|_| !headers.is_empty()) {
            aside.set_in_the_browser(kind, headers, path, site);
        }
    }

    pub fn is_over(&self, now_ns: u64) -> bool {
        self.has_lasted(1, now_ns)
    }

    pub fn is_half_over(&self, now_ns: u64) -> bool {
        self.has_lasted(2, now_ns)
    }

    /// Whether one of so many equal parts of it is over.
    fn has_lasted(&self, parts: u32, now_ns: u64) -> bool {
        match self.span {
            None => false,
            Some(Span::Operations(after)) => after / parts <= self.operations,
            Some(Span::Time(after_ns)) => after_ns / u64::from(parts) <= now_ns.saturating_sub(self.since_ns),
        }
    }
}
