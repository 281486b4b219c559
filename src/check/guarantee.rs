//! The guarantees: their names, and the function that decides each.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::subject::Subject;
use super::{
    Examination, applied_once, counter, expires_in_time, id_rotates, login_sticks, logout_is_final, monotonic_reads,
    no_adopted_id, no_lost_update, no_phantom, one_history, owned, read_your_writes, session_survives,
};

/// One property that is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// A session that was created and not logged out is known, and is the same one.
    SessionSurvives,
    /// A reply shows its own session's owner and operations.
    Owned,
    /// A reply has what was acknowledged before it was asked for.
    ReadYourWrites,
    /// A reply has what was seen before it was asked for.
    MonotonicReads,
    /// An acknowledged operation is in the final state.
    NoLostUpdate,
    /// No operation stands twice.
    AppliedOnce,
    /// Only operations show up that were sent and did not fail.
    NoPhantom,
    /// All replies are prefixes of one order.
    OneHistory,
    /// A logged-out session does not answer.
    LogoutIsFinal,
    /// After the log-in no late reply leads the browser back to the session from before.
    LoginSticks,
    /// The id from before the log-in does not lead to the session any more.
    IdRotates,
    /// An id that the server never made does not become a session's id.
    NoAdoptedId,
    /// A session that nobody uses is there until its time is over, and gone afterwards.
    ExpiresInTime,
}

impl Guarantee {
    /// All guarantees, in the order of reports.
    pub const ALL: [Self; 13] = [
        Self::SessionSurvives,
        Self::Owned,
        Self::ReadYourWrites,
        Self::MonotonicReads,
        Self::NoLostUpdate,
        Self::AppliedOnce,
        Self::NoPhantom,
        Self::OneHistory,
        Self::LogoutIsFinal,
        Self::LoginSticks,
        Self::IdRotates,
        Self::NoAdoptedId,
        Self::ExpiresInTime,
    ];

    /// Whether every load with sessions can show whether it holds. The others need users who do what a profile asks for in
    /// `[sessions]`, and are not judged elsewhere.
    #[must_use]
    pub const fn is_of_every_load(self) -> bool {
        !matches!(self, Self::LoginSticks | Self::IdRotates | Self::NoAdoptedId | Self::ExpiresInTime)
    }

    /// The guarantees that a report shows, in its order: those of every load, and of the others those that were judged.
    #[must_use]
    pub fn shown(is_judged: impl Fn(Self) -> bool) -> Vec<Self> {
        Self::ALL.into_iter().filter(|guarantee| guarantee.is_of_every_load() || is_judged(*guarantee)).collect()
    }

    pub(super) fn examine(self, subject: &Subject, examination: &mut Examination) {
        match self {
            Self::SessionSurvives => session_survives::examine(subject, examination),
            Self::Owned => owned::examine(subject, examination),
            Self::ReadYourWrites => read_your_writes::examine(subject, examination),
            Self::MonotonicReads => monotonic_reads::examine(subject, examination),
            Self::NoLostUpdate => no_lost_update::examine(subject, examination),
            Self::AppliedOnce => applied_once::examine(subject, examination),
            Self::NoPhantom => no_phantom::examine(subject, examination),
            Self::OneHistory => one_history::examine(subject, examination),
            Self::LogoutIsFinal => logout_is_final::examine(subject, examination),
            Self::LoginSticks => login_sticks::examine(subject, examination),
            Self::IdRotates => id_rotates::examine(subject, examination),
            Self::NoAdoptedId => no_adopted_id::examine(subject, examination),
            Self::ExpiresInTime => expires_in_time::examine(subject, examination),
        }
        counter::examine(self, subject, examination);
    }

    /// The name in profiles and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SessionSurvives => "session-survives",
            Self::Owned => "owned",
            Self::ReadYourWrites => "read-your-writes",
            Self::MonotonicReads => "monotonic-reads",
            Self::NoLostUpdate => "no-lost-update",
            Self::AppliedOnce => "applied-once",
            Self::NoPhantom => "no-phantom",
            Self::OneHistory => "one-history",
            Self::LogoutIsFinal => "logout-is-final",
            Self::LoginSticks => "login-sticks",
            Self::IdRotates => "id-rotates",
            Self::NoAdoptedId => "no-adopted-id",
            Self::ExpiresInTime => "expires-in-time",
        }
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_the_guarantees_of_every_load_and_those_of_the_others_that_were_judged() {
        let of_every_load = Guarantee::shown(|_| false);
        assert_eq!(of_every_load, Guarantee::ALL.iter().copied().take(9).collect::<Vec<_>>());
        assert_eq!(of_every_load.last(), Some(&Guarantee::LogoutIsFinal));
        let with_one = Guarantee::shown(|guarantee| guarantee == Guarantee::IdRotates);
        assert_eq!((with_one.len(), with_one.last()), (10, Some(&Guarantee::IdRotates)));
        assert_eq!(Guarantee::shown(|_| true), Guarantee::ALL);
    }
}
