//! The guarantees: their names, and the function that decides each.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::subject::Subject;
use super::{
    Examination, applied_once, counter, logout_is_final, monotonic_reads, no_lost_update, no_phantom, one_history,
    owned, read_your_writes, session_survives,
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
}

impl Guarantee {
    /// All guarantees, in the order of reports.
    pub const ALL: [Self; 9] = [
        Self::SessionSurvives,
        Self::Owned,
        Self::ReadYourWrites,
        Self::MonotonicReads,
        Self::NoLostUpdate,
        Self::AppliedOnce,
        Self::NoPhantom,
        Self::OneHistory,
        Self::LogoutIsFinal,
    ];

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
        }
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
