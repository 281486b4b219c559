//! Writes sessions as columns.

use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Int64Builder, StringBuilder, StringDictionaryBuilder, UInt16Builder, UInt32Builder, UInt64Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::columns;
use super::{FORMAT_KEY, FORMAT_VERSION, HistoryError};
use crate::history::tails::LastTail;
use crate::history::{Operation, Outcome};

/// Rows that are written at once.
const BATCH_ROWS: usize = 16 * 1024;
/// The most rows in a row group of the file.
const ROW_GROUP_ROWS: usize = 512 * 1024;
/// Columns are compressed in pages that fit into the processor's cache when they are read.
const PAGE_BYTES: usize = 64 * 1024;
const PAGE_ROWS: usize = 8 * 1024;
/// Large, because there are as many epochs as sessions.
const MAX_DICTIONARY_BYTES: usize = 16 * 1024 * 1024;

/// Writes a history, one session after the other.
pub struct Writer<W: Write + Send> {
    file: ArrowWriter<W>,
    schema: SchemaRef,
    rows: Rows,
    count: usize,
    tails: LastTail,
}

type Words = StringDictionaryBuilder<Int32Type>;

#[derive(Default)]
struct Rows {
    session: UInt32Builder,
    life: UInt32Builder,
    number: UInt32Builder,
    kind: Words,
    outcome: Words,
    error: StringBuilder,
    status: UInt16Builder,
    node: Words,
    boot: Words,
    scheduled: Int64Builder,
    dispatched: Int64Builder,
    connect: Int64Builder,
    sent: Int64Builder,
    first_byte: Int64Builder,
    completed: Int64Builder,
    sent_bytes: UInt32Builder,
    received_bytes: UInt32Builder,
    owner: Words,
    epoch: Words,
    version: Int64Builder,
    digest: UInt64Builder,
    tail: StringBuilder,
    has_order: BooleanBuilder,
    payload: Words,
    resent: BooleanBuilder,
}

impl<W: Write + Send> Writer<W> {
    /// Begins a history in `sink`.
    ///
    /// # Errors
    /// When `sink` fails.
    pub fn new(sink: W) -> Result<Self, HistoryError> {
        let schema = columns::schema();
        let file = ArrowWriter::try_new(sink, Arc::clone(&schema), Some(properties()))?;
        Ok(Self { file, schema, rows: Rows::default(), count: 0, tails: LastTail::default() })
    }

    /// Appends the operations of one session, or a part of them. They must be in the order of [`Operation::place`], and
    /// after all operations written before.
    ///
    /// # Errors
    /// When the sink fails.
    pub fn write(&mut self, operations: &[Operation]) -> Result<(), HistoryError> {
        for operation in operations {
            self.rows.push(operation, &mut self.tails);
            self.count += 1;
            if self.count == BATCH_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), HistoryError> {
        self.count = 0;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), self.rows.finish())?;
        self.file.write(&batch)?;
        Ok(())
    }

    /// Completes the file and returns the sink.
    ///
    /// # Errors
    /// When the sink fails.
    pub fn finish(mut self) -> Result<W, HistoryError> {
        self.flush()?;
        Ok(self.file.into_inner()?)
    }
}

fn properties() -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_dictionary_page_size_limit(MAX_DICTIONARY_BYTES)
        .set_key_value_metadata(Some(vec![KeyValue::new(FORMAT_KEY.to_owned(), FORMAT_VERSION.to_string())]));
    for name in columns::NUMBERS {
        let column = ColumnPath::from(name);
        builder = builder
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column.clone(), Encoding::DELTA_BINARY_PACKED)
            .set_column_compression(column, Compression::UNCOMPRESSED);
    }
    for name in columns::UNLIKE {
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(name), false);
    }
    builder.build()
}

impl Rows {
    fn push(&mut self, operation: &Operation, tails: &mut LastTail) {
        let times = &operation.times;
        self.session.append_value(operation.id.session);
        self.life.append_value(operation.id.life);
        self.number.append_value(operation.id.number);
        self.kind.append_value(operation.kind.word());
        let (outcome, error) = match &operation.outcome {
            Outcome::Ok(_) | Outcome::Done => (columns::OK, None),
            Outcome::Fail(error) => (columns::FAIL, Some(error.word())),
            Outcome::Indeterminate(error) => (columns::INDETERMINATE, Some(error.word())),
        };
        self.outcome.append_value(outcome);
        self.error.append_option(error);
        self.status.append_option(operation.status);
        self.node.append_option(operation.answer.as_ref().map(|answer| &answer.node));
        self.boot.append_option(operation.answer.as_ref().map(|answer| &answer.boot));
        self.scheduled.append_value(signed(times.scheduled_ns));
        self.dispatched.append_value(signed(times.dispatched_ns));
        self.connect.append_option(times.connect_ns.map(signed));
        self.sent.append_option(times.sent_ns.map(signed));
        self.first_byte.append_option(times.first_byte_ns.map(signed));
        self.completed.append_value(signed(times.completed_ns));
        self.sent_bytes.append_value(operation.moved.sent_bytes);
        self.received_bytes.append_value(operation.moved.received_bytes);
        let state = operation.state();
        self.owner.append_option(state.map(|state| &state.identity.owner));
        self.epoch.append_option(state.map(|state| &state.identity.epoch));
        self.version.append_option(state.map(|state| signed(state.version)));
        let order = state.and_then(|state| state.order.as_ref());
        self.digest.append_value(order.map_or(columns::NO_DIGEST, |order| order.digest));
        let follows = state.is_none_or(|state| tails.follows(operation, state));
        self.tail.append_option(order.filter(|_| !follows).map(|order| columns::tail_text(&order.tail)));
        self.has_order.append_value(order.is_some());
        self.payload.append_option(state.and_then(|state| columns::payload_text(state.payload)));
        self.resent.append_value(operation.is_resent);
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.session.finish()),
            Arc::new(self.life.finish()),
            Arc::new(self.number.finish()),
            Arc::new(self.kind.finish()),
            Arc::new(self.outcome.finish()),
            Arc::new(self.error.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.node.finish()),
            Arc::new(self.boot.finish()),
            Arc::new(self.scheduled.finish()),
            Arc::new(self.dispatched.finish()),
            Arc::new(self.connect.finish()),
            Arc::new(self.sent.finish()),
            Arc::new(self.first_byte.finish()),
            Arc::new(self.completed.finish()),
            Arc::new(self.sent_bytes.finish()),
            Arc::new(self.received_bytes.finish()),
            Arc::new(self.owner.finish()),
            Arc::new(self.epoch.finish()),
            Arc::new(self.version.finish()),
            Arc::new(self.digest.finish()),
            Arc::new(self.tail.finish()),
            Arc::new(self.has_order.finish()),
            Arc::new(self.payload.finish()),
            Arc::new(self.resent.finish()),
        ]
    }
}

/// Nanoseconds and versions stay below 2^63; a larger value that an app shows is stored as the maximum.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
