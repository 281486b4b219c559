//! What a user keeps beside its session's cookies around the log-in and the log-out: the cookies that a browser would have by
//! now, the id from before the log-in, and the id that it had made up. It knows no sockets.

use super::cookies::{CookieJar, Site};
use crate::history::OperationKind;
use crate::load::Transitions;
use crate::traffic::reactor::unix_s;

/// What overtakes a request that the app holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overtaking {
    /// The log-in of a visitor.
    LogIn,
    /// A change of the session's id.
    NewId,
    /// The log-out.
    LogOut,
}

/// The cookies beside those of the session.
#[derive(Clone, Debug, Default)]
pub struct Aside {
    /// Those of a browser, in which the last `Set-Cookie` wins; from a log-in or log-out with a request in flight on.
    pub browser: Option<CookieJar>,
    /// Those from before the log-in or the last change of the id, and from when on they must lead nowhere, in nanoseconds of the
    /// load.
    pub old_id: Option<(CookieJar, u64)>,
    /// Those that the user had made up.
    pub made_up: Option<CookieJar>,
}

impl Aside {
    /// Made-up cookies of the form of those that a user had before, for every second of its sessions.
    pub fn made_up(transitions: Transitions, before: &CookieJar, (user, life): (u32, u32)) -> Option<CookieJar> {
        let is_wanted = transitions.made_up_ids && user.wrapping_add(life).is_multiple_of(2) && !before.is_empty();
        is_wanted.then(|| before.made_up())
    }

    /// The read that shows where one of them leads, if one is left to do.
    pub fn read(&self, own: &CookieJar, now_ns: u64) -> Option<OperationKind> {
        if self.made_up.is_some() {
            return Some(OperationKind::MadeUpRead);
        }
        if self.browser.as_ref().is_some_and(|browser| !browser.has_the_values_of(own)) {
            return Some(OperationKind::BrowserRead);
        }
        self.old_id.as_ref().is_some_and(|(_, from_ns)| *from_ns <= now_ns).then_some(OperationKind::OldIdRead)
    }

    /// Whether a browser has cookies after the log-out, and others than the session's own.
    pub fn is_left_in_the_browser(&self, own: &CookieJar) -> bool {
        self.browser.as_ref().is_some_and(|browser| !browser.is_empty() && !browser.has_the_values_of(own))
    }

    /// The cookies of a read; `None` where it takes the session's own.
    pub fn cookies(&self, kind: OperationKind) -> Option<&CookieJar> {
        match kind {
            OperationKind::BrowserRead => self.browser.as_ref(),
            OperationKind::OldIdRead => self.old_id.as_ref().map(|(cookies, _)| cookies),
            OperationKind::MadeUpRead => self.made_up.as_ref(),
            _ => None,
        }
    }

    /// Forgets the cookies of a read that is done.
    pub fn forget(&mut self, kind: OperationKind) {
        match kind {
            OperationKind::BrowserRead => self.browser = None,
            OperationKind::OldIdRead => self.old_id = None,
            OperationKind::MadeUpRead => self.made_up = None,
            _ => {}
        }
    }

    /// Sets a reply's cookies as a browser does. What the agent reads beside it or past the balancer, no browser sees.
    pub fn set_in_the_browser(&mut self, kind: OperationKind, headers: &[&[u8]], path: &str, site: &Site) {
        let is_the_browsers = kind.has_its_cookies() && kind != OperationKind::NodeRead || kind.is_of_a_visitor();
        if let Some(browser) = self.browser.as_mut().filter(|_| is_the_browsers) {
            for cookie in headers {
                browser.set(cookie, path, site, unix_s);
            }
        }
    }
}

/// The request that is in flight when a user logs in or out, or gets another id: of every second session a write, of the others a
/// mere read.
pub fn held(overtaking: Overtaking, (user, life): (u32, u32)) -> OperationKind {
    // Not in step with the made-up ids.
    let is_write = user.wrapping_add(life / 2).is_multiple_of(2);
    match (overtaking == Overtaking::LogIn, is_write) {
        (true, true) => OperationKind::VisitorWrite,
        (true, false) => OperationKind::VisitorRead,
        (false, true) => OperationKind::HeldWrite,
        (false, false) => OperationKind::HeldRead,
    }
}

/// Whether a user pauses instead of logging out of its session number `life`: of every second one.
pub const fn pauses((user, life): (u32, u32)) -> bool {
    life.wrapping_add(user / 2).is_multiple_of(2)
}
