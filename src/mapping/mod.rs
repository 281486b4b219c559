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

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

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
    /// Making an account, once for each user before the load; none where accounts are there already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub register: Vec<Step>,
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

/// Serializes a mapping for plans and records: what headers and bodies say beside variables may be a secret.
///
/// # Errors
/// When the serializer fails.
pub fn without_secrets<S: Serializer>(mapping: &Option<SessionMapping>, serializer: S) -> Result<S::Ok, S::Error> {
    let masked = |steps: &Vec<Step>| steps.iter().map(Step::without_secrets).collect();
    let shown = mapping.as_ref().map(|mapping| SessionMapping {
        register: masked(&mapping.register),
        login: masked(&mapping.login),
        write: masked(&mapping.write),
        read: masked(&mapping.read),
        logout: masked(&mapping.logout),
        ..mapping.clone()
    });
    shown.serialize(serializer)
}

/// A mapping with what only the agent needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MappedSessions {
    /// The mapping.
    pub mapping: SessionMapping,
    /// The accounts; none where names are made up.
    pub accounts: Accounts,
    /// The names of nodes, by what replies may call them, such as the name of a host or an address.
    pub node_names: BTreeMap<String, String>,
}

impl SessionMapping {
    /// With its accounts and the names of nodes by what replies may call them, for the agent alone.
    #[must_use]
    pub fn for_the_agent(&self, node_names: BTreeMap<String, String>) -> MappedSessions {
        MappedSessions { mapping: self.clone(), accounts: self.accounts.clone().unwrap_or_default(), node_names }
    }

    /// What a read shows.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let shows = self.read.last().map(|step| step.shows.clone()).unwrap_or_default();
        let operations = match shows {
            Shows { operations: Some(_), ordered: true, .. } => OperationsShown::Listed,
            Shows { operations: Some(_), .. } => OperationsShown::Set,
            Shows { counter: Some(_), .. } => OperationsShown::Counted,
            _ => OperationsShown::Nothing,
        };
        Evidence { shows_owner: shows.owner.is_some(), operations, logs_out: !self.logout.is_empty() }
    }
}
