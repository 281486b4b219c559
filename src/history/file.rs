//! Histories on disk: Parquet files with one row per operation, which DuckDB, pandas and Polars can read
//! (docs/history.md names the columns). Rows are sorted by session, and within a session by the start of the operation,
//! so that a reader holds one session at a time, however long the trial was.

mod ahead;
mod columns;
mod merge;
mod reader;
mod writer;

use thiserror::Error;

pub use merge::merge;
pub use reader::SessionHistories;
pub use writer::Writer;

/// Increased when columns change their meaning.
pub const FORMAT_VERSION: u32 = 4;

/// Formats that can be read. Format 3 had no `payload` and no `has_order`; a digest of zero meant that no digest was
/// shown.
const READABLE_VERSIONS: [u32; 2] = [3, FORMAT_VERSION];

/// The metadata key of the format version.
const FORMAT_KEY: &str = "steadfast.history";

/// A history that cannot be written or read.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// An error of the disk.
    #[error("the history cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// The file is not Parquet, or was cut or changed.
    #[error("the history is damaged: {0}")]
    File(#[from] parquet::errors::ParquetError),
    /// The columns could not be assembled.
    #[error("the history is damaged: {0}")]
    Columns(#[from] arrow_schema::ArrowError),
    /// One row is damaged.
    #[error("row {row} of the history is damaged: {reason}")]
    Row {
        /// The row, counted from 1.
        row: u64,
        /// The defect.
        reason: String,
    },
    /// Two of the histories to merge have operations of one user.
    #[error("two agents have operations of user {user}")]
    SharedUser {
        /// The user.
        user: u32,
    },
    /// The file comes from another program, or from another version of this one.
    #[error("the history has format {found}; this program reads formats 3 and {FORMAT_VERSION}")]
    Format {
        /// The format of the file.
        found: String,
    },
}

/// The reader of Parquet has panicked.
fn unreadable() -> HistoryError {
    parquet::errors::ParquetError::General("its columns cannot be read".to_owned()).into()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::testing::any_operations;
    use super::super::{Operation, SessionHistory};
    use super::*;

    fn written(operations: &[Operation]) -> Bytes {
        let mut writer = Writer::new(Vec::new()).unwrap();
        for history in SessionHistory::all(operations.to_vec()) {
            writer.write(&history.operations).unwrap();
        }
        writer.finish().unwrap().into()
    }

    fn read(bytes: Bytes) -> Result<Vec<SessionHistory>, HistoryError> {
        SessionHistories::of(bytes)?.collect()
    }

    fn error_of(bytes: Bytes) -> String {
        read(bytes).unwrap_err().to_string()
    }

    proptest! {
        #[test]
        fn written_operations_are_read_back_session_by_session(operations in any_operations()) {
            prop_assert_eq!(read(written(&operations)).unwrap(), SessionHistory::all(operations));
        }

        #[test]
        fn a_damaged_file_is_an_error_or_another_history_and_no_panic(at in 0usize..4000, byte: u8) {
            let operations =
                crate::check::testing::history(|builder| builder.create().write().read().write().final_read());
            let mut bytes = written(&operations).to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = read(bytes.into());
        }
    }

    #[test]
    fn a_cut_file_is_an_error_and_not_a_shorter_history() {
        let operations = crate::check::testing::history(|builder| builder.create().write().final_read());
        let bytes = written(&operations);
        assert!(read(bytes.slice(..bytes.len() - 9)).is_err());
    }

    #[test]
    fn another_format_is_refused_by_name() {
        let operations = crate::check::testing::history(crate::check::testing::HistoryBuilder::create);
        let bytes = written(&operations).to_vec();
        let key = FORMAT_KEY.as_bytes();
        let at = bytes.windows(key.len()).rposition(|window| window == key).unwrap() + key.len();
        let version = at + bytes[at..].iter().position(|byte| *byte == b'4').unwrap();
        let mut newer = bytes;
        newer[version] = b'5';
        assert_eq!(error_of(newer.into()), "the history has format 5; this program reads formats 3 and 4");
        assert!(error_of(Bytes::from_static(b"{\"format\":1}\n")).starts_with("the history is damaged"));
    }

    #[test]
    fn sessions_whose_rows_are_not_adjacent_are_refused() {
        let operations = crate::check::testing::history(|builder| builder.create().write());
        let mut writer = Writer::new(Vec::new()).unwrap();
        let other =
            Operation { id: crate::history::OperationId { session: 2, life: 1, number: 0 }, ..operations[0].clone() };
        for operation in [&operations[0], &other, &operations[1]] {
            writer.write(std::slice::from_ref(operation)).unwrap();
        }
        let message = error_of(writer.finish().unwrap().into());
        assert_eq!(message, "row 3 of the history is damaged: operation 1.1.1 stands after another session's");
    }
}
