//! Tables that only some runs have, one row for each target or each part of it. Each has a file that makes it from the summary,
//! and a line in the view; every format lays them out alike. They know no format.

use serde::Serialize;

/// One of these tables, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SideTable {
    /// Its heading.
    pub title: &'static str,
    /// The heads of the cells; that of the target comes before them.
    pub heads: Vec<Head>,
    /// What it means.
    pub note: &'static str,
    /// At least one.
    pub rows: Vec<SideRow>,
}

/// The head of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Head {
    /// As a sentence has it.
    pub text: &'static str,
    /// The same in narrow lines, for the terminal.
    pub narrow: &'static str,
    /// Whether its cells are words; otherwise numbers, which are aligned right.
    pub is_of_words: bool,
}

impl Head {
    /// A column of words.
    pub const fn words(text: &'static str) -> Self {
        Self { text, narrow: text, is_of_words: true }
    }

    /// A column of numbers.
    pub const fn numbers(text: &'static str, narrow: &'static str) -> Self {
        Self { text, narrow, is_of_words: false }
    }
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SideRow {
    /// The target.
    pub target: String,
    /// In the order of the heads.
    pub cells: Vec<String>,
}
