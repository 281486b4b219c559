//! The session mapping: how users of an app that does not speak the session contract log in, write, read and log out, and what
//! its replies show of the session. Plain data, read from the `[session]` table of a target file and followed by the agent. It
//! sends nothing, and knows no engine and no verdict.

mod evidence;
mod file;
mod pattern;
mod query;
mod step;
mod template;
mod users;

use serde::{Deserialize, Serialize};

pub use evidence::{Evidence, OperationsShown};
pub use file::MappingFile;
pub use pattern::{ReplyPattern, Statuses};
pub use query::{Answered, Query};
pub use step::{Body, Encoding, Method, Shows, Step};
pub use template::{Piece, Template};
pub use users::Accounts;

/// Variables that every user has: its name, the operation that it asks for, and a password made from its name where no table of
/// accounts says another.
pub const BUILT_IN: [&str; 3] = ["owner", "op", "password"];

/// What carries the session from one request to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// Cookies, kept as browsers do.
    #[default]
    Cookie,
    /// A header: its value is found in the last reply of the log-in.
    Header {
        /// The name of the header.
        name: String,
        /// Where its value is found.
        from: Query,
        /// What stands before the value, such as `Bearer `.
        prefix: String,
    },
}

/// How sessions of an app are used and seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionMapping {
    /// What carries the session.
    pub carrier: Carrier,
    /// Who answered; none where the app does not say.
    pub node: Option<Query>,
    /// How the app says that it does not know a session: one of these.
    pub unknown: Vec<ReplyPattern>,
    /// Logging in.
    pub login: Vec<Step>,
    /// Writing.
    pub write: Vec<Step>,
    /// Reading.
    pub read: Vec<Step>,
    /// Logging out; none where users never do.
    pub logout: Vec<Step>,
    /// Accounts that exist; their values stay out of plans and records.
    #[serde(skip)]
    pub accounts: Option<Accounts>,
}

/// A mapping with the accounts that its users have: what the agent gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MappedSessions {
    /// The mapping.
    pub mapping: SessionMapping,
    /// The accounts; none where names are made up.
    pub accounts: Accounts,
}

impl SessionMapping {
    /// With its accounts, for the agent alone.
    #[must_use]
    pub fn with_accounts(&self) -> MappedSessions {
        MappedSessions { mapping: self.clone(), accounts: self.accounts.clone().unwrap_or_default() }
    }

    /// What a read shows.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let shows = || self.read.iter().map(|step| &step.shows);
        let operations = match shows().find(|shows| shows.operations.is_some()) {
            Some(Shows { ordered: true, .. }) => OperationsShown::Listed,
            Some(_) => OperationsShown::Set,
            None if shows().any(|shows| shows.counter.is_some()) => OperationsShown::Counted,
            None => OperationsShown::Nothing,
        };
        Evidence { shows_owner: shows().any(|shows| shows.owner.is_some()), operations }
    }
}
