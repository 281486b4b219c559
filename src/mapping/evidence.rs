//! How much an app shows of a session: it decides what can be judged.

use serde::{Deserialize, Serialize};

/// What the read of a session shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Whether it says whose session it is.
    pub shows_owner: bool,
    /// What it says of the operations.
    pub operations: OperationsShown,
    /// Whether users log out.
    pub logs_out: bool,
}

/// What a reply says of the operations that a session holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationsShown {
    /// Which, in their order.
    Listed,
    /// Which.
    Set,
    /// How many.
    Counted,
    /// Nothing.
    Nothing,
}

impl Evidence {
    /// In words, for the row of a table.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match (self.shows_owner, self.operations) {
            (true, OperationsShown::Listed) => "the owner and the list of operations",
            (true, OperationsShown::Set) => "the owner and the set of operations",
            (true, OperationsShown::Counted) => "the owner and a counter",
            (true, OperationsShown::Nothing) => "the owner only",
            (false, OperationsShown::Listed) => "the list of operations, without an owner",
            (false, OperationsShown::Set) => "the set of operations, without an owner",
            (false, OperationsShown::Counted) => "a counter, without an owner",
            (false, OperationsShown::Nothing) => "nothing but whether the session is known",
        }
    }
}
