//! The accounts of a mapping: a table of variables, a row a user. Its values are secrets: they are never part of a plan, a
//! record, a report or a message.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Accounts that the app knows already.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// The names of the variables.
    pub columns: Vec<String>,
    /// The values of each user.
    pub rows: Vec<Vec<String>>,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accounts with {}", self.rows.len(), self.columns.join(", "))
    }
}

impl Accounts {
    /// Reads a file of comma-separated values with a head.
    ///
    /// # Errors
    /// Names the line, and no value.
    pub fn read(file: &Path) -> Result<Self, String> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_path(file)
            .map_err(|error| format!("{}: {}", file.display(), reason(&error)))?;
        let told = |error: csv::Error| format!("{}: {}", file.display(), reason(&error));
        let columns: Vec<String> = reader.headers().map_err(told)?.iter().map(str::to_owned).collect();
        if let Some(name) = columns.iter().find(|name| !super::template::is_variable_name(name)) {
            return Err(format!(
                "{}: `{name}` in its first line is not a name of a variable: letters, digits, `_` and `-`",
                file.display()
            ));
        }
        if !columns.iter().any(|name| name == "owner") {
            return Err(format!(
                "{}: one column must be called `owner`: what the app shows as the user",
                file.display()
            ));
        }
        let rows = reader.records().map(|row| row.map(|row| row.iter().map(str::to_owned).collect()));
        let rows: Vec<Vec<String>> = rows.collect::<Result<_, _>>().map_err(told)?;
        if rows.is_empty() {
            return Err(format!("{}: it has no account", file.display()));
        }
        Ok(Self { columns, rows })
    }

    /// The variables of a user. Where there are more users than accounts, accounts are used again.
    pub fn of(&self, user: u32) -> impl Iterator<Item = (&str, &str)> {
        let row = (user as usize).checked_rem(self.rows.len()).and_then(|index| self.rows.get(index));
        let row = row.map(Vec::as_slice).unwrap_or_default();
        self.columns.iter().map(String::as_str).zip(row.iter().map(String::as_str))
    }
}

/// Without what stands in the file.
fn reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Io(cause) => cause.to_string(),
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line} has {len} values, and the first line names {expected_len}")
        }
        csv::ErrorKind::Utf8 { pos, .. } => {
            format!("line {} is not UTF-8", pos.as_ref().map_or(0, csv::Position::line))
        }
        _ => "it is not a list of comma-separated values".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Accounts, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users.csv");
        std::fs::write(&file, text).unwrap();
        Accounts::read(&file)
    }

    #[test]
    fn each_user_has_the_variables_of_a_row() {
        let accounts = read("owner,password\nann,secret-1\nbob, secret-2\n").unwrap();
        let of = |user| accounts.of(user).map(|(_, value)| value.to_owned()).collect::<Vec<_>>();
        assert_eq!((of(0), of(1), of(2)), (of(2), vec!["bob".to_owned(), "secret-2".to_owned()], of(0)));
        assert!(!format!("{accounts:?}").contains("secret"));
    }

    #[test]
    fn a_bad_table_is_refused_without_showing_a_value() {
        for text in
            ["owner,password\nann\n", "user,password\nann,secret-1\n", "owner,pass word\nann,secret-1\n", "owner\n"]
        {
            let message = read(text).unwrap_err();
            assert!(message.contains("users.csv: ") && !message.contains("secret-1"), "{message}");
        }
        assert!(
            read("owner,password\nann\n").unwrap_err().ends_with("line 2 has 1 values, and the first line names 2")
        );
    }
}
