//! The columns, and how values are stored in them.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::super::{MAX_TAIL as MAX_IDS, OperationId, Payload, Tail};

pub const SESSION: &str = "session";
pub const LIFE: &str = "life";
pub const NUMBER: &str = "number";
pub const KIND: &str = "kind";
pub const OUTCOME: &str = "outcome";
pub const ERROR: &str = "error";
pub const STATUS: &str = "status";
pub const NODE: &str = "node";
pub const BOOT: &str = "boot";
pub const SCHEDULED: &str = "scheduled_ns";
pub const DISPATCHED: &str = "dispatched_ns";
pub const CONNECT: &str = "connect_ns";
pub const SENT: &str = "sent_ns";
pub const FIRST_BYTE: &str = "first_byte_ns";
pub const COMPLETED: &str = "completed_ns";
pub const SENT_BYTES: &str = "sent_bytes";
pub const RECEIVED_BYTES: &str = "received_bytes";
pub const OWNER: &str = "owner";
pub const EPOCH: &str = "epoch";
pub const VERSION: &str = "version";
pub const DIGEST: &str = "digest";
pub const TAIL: &str = "tail";
pub const HAS_ORDER: &str = "has_order";
pub const PAYLOAD: &str = "payload";
pub const RESENT: &str = "resent";

/// Instants and counters, stored as differences.
pub const NUMBERS: [&str; 9] = [SESSION, LIFE, NUMBER, SCHEDULED, DISPATCHED, SENT, FIRST_BYTE, COMPLETED, VERSION];

/// Columns with a different value in each row.
pub const UNLIKE: [&str; 2] = [DIGEST, TAIL];

/// Stored if no digest is shown, as `has_order` says. Not null, because many tools read a column of large integers with
/// nulls as floating-point numbers, and round them.
pub const NO_DIGEST: u64 = 0;

/// All columns, in the order of the file.
pub fn schema() -> SchemaRef {
    let word = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let always = |name: &str, kind: DataType| Field::new(name, kind, false);
    let maybe = |name: &str, kind: DataType| Field::new(name, kind, true);
    Arc::new(Schema::new(vec![
        always(SESSION, DataType::UInt32),
        always(LIFE, DataType::UInt32),
        always(NUMBER, DataType::UInt32),
        always(KIND, word()),
        always(OUTCOME, word()),
        maybe(ERROR, DataType::Utf8),
        maybe(STATUS, DataType::UInt16),
        maybe(NODE, word()),
        maybe(BOOT, word()),
        always(SCHEDULED, DataType::Int64),
        always(DISPATCHED, DataType::Int64),
        maybe(CONNECT, DataType::Int64),
        maybe(SENT, DataType::Int64),
        maybe(FIRST_BYTE, DataType::Int64),
        always(COMPLETED, DataType::Int64),
        always(SENT_BYTES, DataType::UInt32),
        always(RECEIVED_BYTES, DataType::UInt32),
        maybe(OWNER, word()),
        maybe(EPOCH, word()),
        maybe(VERSION, DataType::Int64),
        always(DIGEST, DataType::UInt64),
        maybe(TAIL, DataType::Utf8),
        always(HAS_ORDER, DataType::Boolean),
        maybe(PAYLOAD, word()),
        always(RESENT, DataType::Boolean),
    ]))
}

/// Outcomes as stored in the file; a log-out that was done is `ok` too.
pub const OK: &str = "ok";
pub const FAIL: &str = "fail";
pub const INDETERMINATE: &str = "indeterminate";

/// A payload as stored in the file; `None` if it is not shown.
pub const fn payload_text(payload: Payload) -> Option<&'static str> {
    match payload {
        Payload::NotShown => None,
        Payload::Whole => Some("whole"),
        Payload::Wrong => Some("wrong"),
    }
}

/// Parses the text of [`payload_text`].
pub fn parse_payload(text: &str) -> Option<Payload> {
    Payload::ALL.into_iter().find(|payload| payload_text(*payload) == Some(text))
}

/// The ids of a tail, separated by spaces, the newest last.
pub fn tail_text(tail: &Tail) -> String {
    let ids: Vec<String> = tail.iter().map(OperationId::to_string).collect();
    ids.join(" ")
}

/// Parses the text of [`tail_text`].
pub fn parse_tail(text: &str) -> Option<Tail> {
    let ids = text.split(' ').filter(|id| !id.is_empty()).map(|id| id.parse().ok());
    let ids: Vec<OperationId> = ids.collect::<Option<_>>()?;
    (ids.len() <= MAX_IDS).then(|| ids.into())
}
