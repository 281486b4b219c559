//! Operations on disk: one JSON object a line, flat, gzip: `read_json_auto` of DuckDB and
//! `read_json(lines=True)` of pandas take it as it is. Lines that are damaged are named, not skipped.

use std::io::{BufRead, BufReader, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Answer, ErrorKind, Operation, OperationId, OperationKind, Outcome, State, Times};

/// Raised when lines change their meaning.
pub const FORMAT_VERSION: u32 = 1;

/// A history that cannot be written or read.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The disk, or the compression.
    #[error("the history cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// One line of it.
    #[error("line {line} of the history is damaged: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A line of another program, or of a later version of this one.
    #[error("line {line} of the history has format {found}; this program reads format {FORMAT_VERSION}")]
    Format {
        /// Counted from 1.
        line: usize,
        /// The format that it has.
        found: u32,
    },
}

/// One line. Flat, because tables are.
#[derive(Serialize, Deserialize)]
struct Line {
    format: u32,
    id: String,
    session: u32,
    life: u32,
    kind: OperationKind,
    outcome: Word,
    error: Option<ErrorKind>,
    status: Option<u16>,
    node: Option<String>,
    boot: Option<String>,
    scheduled_ns: u64,
    dispatched_ns: u64,
    sent_ns: Option<u64>,
    first_byte_ns: Option<u64>,
    completed_ns: u64,
    owner: Option<String>,
    epoch: Option<String>,
    version: Option<u64>,
    digest: Option<String>,
    tail: Option<Vec<String>>,
}

/// What every format of a line has.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Ok,
    Fail,
    Indeterminate,
}

/// Writes operations as compressed lines.
///
/// # Errors
/// When `sink` fails.
pub fn write_operations(operations: &[Operation], sink: impl Write) -> Result<(), HistoryError> {
    let mut encoder = GzEncoder::new(sink, Compression::fast());
    for operation in operations {
        serde_json::to_writer(&mut encoder, &line_of(operation)).map_err(std::io::Error::from)?;
        encoder.write_all(b"\n")?;
    }
    encoder.finish()?.flush()?;
    Ok(())
}

/// Reads operations from compressed lines.
///
/// # Errors
/// When `source` fails, or a line is damaged or of another format.
pub fn read_operations(source: impl Read) -> Result<Vec<Operation>, HistoryError> {
    let lines = BufReader::new(MultiGzDecoder::new(source)).lines();
    lines.enumerate().map(|(index, line)| operation_of(index + 1, &line?)).collect()
}

fn line_of(operation: &Operation) -> Line {
    let (outcome, error) = match &operation.outcome {
        Outcome::Ok(_) => (Word::Ok, None),
        Outcome::Fail(error) => (Word::Fail, Some(*error)),
        Outcome::Indeterminate(error) => (Word::Indeterminate, Some(*error)),
    };
    let state = operation.state();
    let answer = operation.answer.as_ref();
    Line {
        format: FORMAT_VERSION,
        id: operation.id.to_string(),
        session: operation.id.session,
        life: operation.id.life,
        kind: operation.kind,
        outcome,
        error,
        status: operation.status,
        node: answer.map(|answer| answer.node.clone()),
        boot: answer.map(|answer| answer.boot.clone()),
        scheduled_ns: operation.times.scheduled_ns,
        dispatched_ns: operation.times.dispatched_ns,
        sent_ns: operation.times.sent_ns,
        first_byte_ns: operation.times.first_byte_ns,
        completed_ns: operation.times.completed_ns,
        owner: state.map(|state| state.owner.clone()),
        epoch: state.map(|state| state.epoch.clone()),
        version: state.map(|state| state.version),
        digest: state.map(|state| state.digest.clone()),
        tail: state.map(|state| state.tail.clone()),
    }
}

fn operation_of(number: usize, text: &str) -> Result<Operation, HistoryError> {
    let damaged = |reason: String| HistoryError::Line { line: number, reason };
    let head: Head = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
    if head.format != FORMAT_VERSION {
        return Err(HistoryError::Format { line: number, found: head.format });
    }
    let line: Line = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
    let id: OperationId = line.id.parse().map_err(|()| damaged(format!("`{}` is no operation id", line.id)))?;
    let outcome = match (line.outcome, line.error) {
        (Word::Ok, _) => Outcome::Ok(State {
            owner: line.owner.ok_or_else(|| damaged("an ok reply without `owner`".into()))?,
            epoch: line.epoch.ok_or_else(|| damaged("an ok reply without `epoch`".into()))?,
            version: line.version.ok_or_else(|| damaged("an ok reply without `version`".into()))?,
            digest: line.digest.ok_or_else(|| damaged("an ok reply without `digest`".into()))?,
            tail: line.tail.ok_or_else(|| damaged("an ok reply without `tail`".into()))?,
        }),
        (Word::Fail, Some(error)) => Outcome::Fail(error),
        (Word::Indeterminate, Some(error)) => Outcome::Indeterminate(error),
        (Word::Fail | Word::Indeterminate, None) => return Err(damaged("a failed operation without `error`".into())),
    };
    Ok(Operation {
        id,
        kind: line.kind,
        times: Times {
            scheduled_ns: line.scheduled_ns,
            dispatched_ns: line.dispatched_ns,
            sent_ns: line.sent_ns,
            first_byte_ns: line.first_byte_ns,
            completed_ns: line.completed_ns,
        },
        outcome,
        status: line.status,
        answer: line.node.zip(line.boot).map(|(node, boot)| Answer { node, boot }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations() -> Vec<Operation> {
        let state =
            State { owner: "s1".into(), epoch: "e".into(), version: 1, digest: "d".into(), tail: vec!["1.1.1".into()] };
        let outcomes =
            [Outcome::Ok(state), Outcome::Fail(ErrorKind::Refused), Outcome::Indeterminate(ErrorKind::Timeout)];
        let operation = |(number, outcome): (u32, Outcome)| Operation {
            id: OperationId { session: 1, life: 1, number },
            kind: OperationKind::Write,
            times: Times { scheduled_ns: 1, dispatched_ns: 2, sent_ns: Some(3), first_byte_ns: None, completed_ns: 4 },
            outcome,
            status: None,
            answer: Some(Answer { node: "app-1".into(), boot: "b".into() }),
        };
        (0..).zip(outcomes).map(operation).collect()
    }

    fn compressed(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut bytes = Vec::new();
        write_operations(&operations(), &mut bytes).unwrap();
        assert_eq!(read_operations(bytes.as_slice()).unwrap(), operations());
    }

    #[test]
    fn a_damaged_line_is_named() {
        let message =
            read_operations(compressed("{\"format\":1,\"id\":\"1.1.1\"}\n").as_slice()).unwrap_err().to_string();
        assert!(message.starts_with("line 1 of the history is damaged: missing field"), "{message}");
    }

    #[test]
    fn a_cut_file_is_an_error_and_not_a_shorter_history() {
        let mut bytes = Vec::new();
        write_operations(&operations(), &mut bytes).unwrap();
        bytes.truncate(bytes.len() - 9);
        assert!(read_operations(bytes.as_slice()).is_err());
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let message = read_operations(compressed("{\"format\":2}\n").as_slice()).unwrap_err().to_string();
        assert_eq!(message, "line 1 of the history has format 2; this program reads format 1");
    }
}
