//! Reads the columns back, session by session.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{
    Array, BooleanArray, DictionaryArray, Int64Array, RecordBatch, StringArray, UInt16Array, UInt32Array, UInt64Array,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;

use super::ahead::Batches;
use super::columns;
use super::{FORMAT_KEY, HistoryError, READABLE_VERSIONS, unreadable};
use crate::history::compact::Answers;
use crate::history::session_history::{MAX_OPERATIONS, SessionHistory};
use crate::history::tails::LastTail;
use crate::history::{
    Answer, ErrorKind, Identity, Moved, Operation, OperationId, OperationKind, Order, Outcome, Owners, Payload, State,
    Times,
};

/// Rows that are read from the file at once.
const BATCH_ROWS: usize = 2 * 1024;

/// Iterates over the sessions of a history, in the order of the file. Ends after the first error.
pub struct SessionHistories {
    batches: Batches,
    batch: Option<Batch>,
    /// Rows read so far.
    row: u64,
    /// The place of the operation that was read last.
    last_place: (u32, u32, u64, u32),
    tails: LastTail,
    shared: Shared,
    is_over: bool,
    /// Whether the next rows belong to the session that was returned last.
    continues: bool,
    /// The number of operations of the last session, as an estimate for the next one.
    usual: usize,
}

/// Values that many operations share, stored once.
#[derive(Default)]
struct Shared {
    identity: Option<Arc<Identity>>,
    answers: Answers,
}

type Words = DictionaryArray<Int32Type>;

/// A batch of rows.
struct Batch {
    rows: usize,
    at: usize,
    session: UInt32Array,
    life: UInt32Array,
    number: UInt32Array,
    kind: Words,
    kinds: Vec<Option<OperationKind>>,
    outcome: Words,
    outcomes: Vec<Option<Ended>>,
    error: StringArray,
    status: UInt16Array,
    node: Words,
    boot: Words,
    scheduled: Int64Array,
    dispatched: Int64Array,
    connect: Int64Array,
    sent: Int64Array,
    first_byte: Int64Array,
    completed: Int64Array,
    sent_bytes: UInt32Array,
    received_bytes: UInt32Array,
    owner: Words,
    epoch: Words,
    version: Int64Array,
    digest: UInt64Array,
    tail: StringArray,
    /// Formats before 4 do not have these columns.
    has_order: Option<BooleanArray>,
    resent: Option<BooleanArray>,
    payload: Option<(Words, Vec<Option<Payload>>)>,
    /// Answers so far, by the keys of node and boot; only a few.
    known_answers: Vec<((i32, i32), Arc<Answer>)>,
    /// The last identity with its keys; the next row mostly has the same.
    last_identity: Option<((i32, i32), Arc<Identity>)>,
}

#[derive(Clone, Copy)]
enum Ended {
    Ok,
    Fail,
    Indeterminate,
}

impl SessionHistories {
    /// Opens a history file.
    ///
    /// # Errors
    /// When it cannot be opened, is not a history, or has another format.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        Self::of(File::open(path)?)
    }

    /// Opens a history.
    ///
    /// # Errors
    /// When `source` is not a history, or has another format.
    pub fn of(source: impl ChunkReader + 'static) -> Result<Self, HistoryError> {
        catch_unwind(AssertUnwindSafe(|| Self::begin(source))).unwrap_or_else(|_| Err(unreadable()))
    }

    fn begin(source: impl ChunkReader + 'static) -> Result<Self, HistoryError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(source)?;
        let pairs = builder.metadata().file_metadata().key_value_metadata();
        let format = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == FORMAT_KEY));
        let found = format.and_then(|pair| pair.value.clone()).unwrap_or_else(|| "none of steadfast".to_owned());
        if !READABLE_VERSIONS.iter().any(|version| version.to_string() == found) {
            return Err(HistoryError::Format { found });
        }
        let batches = Batches::of(builder.with_batch_size(BATCH_ROWS).build()?)?;
        Ok(Self {
            batches,
            batch: None,
            row: 0,
            last_place: (0, 0, 0, 0),
            tails: LastTail::default(),
            shared: Shared::default(),
            is_over: false,
            continues: false,
            usual: 0,
        })
    }

    /// The current batch, at a row that has not been read; `None` at the end of the file.
    fn rows(&mut self) -> Result<Option<&mut Batch>, HistoryError> {
        while self.batch.as_ref().is_none_or(|batch| batch.at == batch.rows) {
            let Some(batch) = self.batches.next() else { return Ok(None) };
            self.batch = Some(Batch::of(&batch?).map_err(|reason| HistoryError::Row { row: self.row + 1, reason })?);
        }
        Ok(self.batch.as_mut())
    }

    fn read_session(&mut self) -> Result<Option<SessionHistory>, HistoryError> {
        let is_rest = std::mem::take(&mut self.continues);
        let Some((session, number)) = self.rows()?.map(|batch| batch.life()) else { return Ok(None) };
        let mut history = SessionHistory {
            session,
            number,
            operations: Vec::with_capacity(self.usual),
            given_up_ns: None,
            is_part: is_rest,
            expiry: None,
            owners: Owners::default(),
        };
        loop {
            let row = self.row + 1;
            let damaged = |reason: String| HistoryError::Row { row, reason };
            let Some((is_of_this, next_session)) =
                self.rows()?.map(|batch| (batch.life() == (session, number), batch.life().0))
            else {
                break;
            };
            let is_full = history.operations.len() >= MAX_OPERATIONS;
            if !is_of_this || is_full {
                self.continues = is_of_this;
                history.is_part |= is_of_this;
                if !is_of_this && next_session == session {
                    history.given_up_ns = self.rows()?.map(|batch| batch.began_ns());
                }
                break;
            }
            let Some(batch) = self.batch.as_mut() else { break };
            batch.take(&mut history.operations, &mut self.tails, &mut self.shared).map_err(damaged)?;
            self.row += 1;
            if let Some(last) = history.operations.last() {
                let place = last.place();
                if place < self.last_place {
                    let other = if place.0 < self.last_place.0 { "another session's" } else { "a later one" };
                    return Err(damaged(format!("operation {} stands after {other}", last.id)));
                }
                self.last_place = place;
            }
        }
        self.usual = history.operations.len();
        Ok(Some(history))
    }
}

impl Iterator for SessionHistories {
    type Item = Result<SessionHistory, HistoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        // What a damaged file says of itself need not fit together.
        let history =
            catch_unwind(AssertUnwindSafe(|| self.read_session())).unwrap_or_else(|_| Err(unreadable())).transpose();
        self.is_over = !matches!(history, Some(Ok(_)));
        history
    }
}

impl Batch {
    fn of(batch: &RecordBatch) -> Result<Self, String> {
        let words = |name: &str| {
            let column = batch.column_by_name(name).and_then(|column| column.as_any_dictionary_opt());
            let words = column.and_then(|column| column.as_any().downcast_ref::<Words>());
            words.filter(|words| words.values().as_string_opt::<i32>().is_some()).cloned().ok_or_else(|| not_ours(name))
        };
        let texts = |name: &str| {
            batch.column_by_name(name).and_then(|column| column.as_string_opt()).cloned().ok_or_else(|| not_ours(name))
        };
        let small = |name: &str| {
            let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<UInt32Type>());
            column.filter(|column| column.null_count() == 0).cloned().ok_or_else(|| not_ours(name))
        };
        let large = |name: &str| {
            let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<UInt64Type>());
            column.filter(|column| column.null_count() == 0).cloned().ok_or_else(|| not_ours(name))
        };
        let number = |name: &str| {
            let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
            column.cloned().ok_or_else(|| not_ours(name))
        };
        let (kind, outcome) = (words(columns::KIND)?, words(columns::OUTCOME)?);
        Ok(Self {
            rows: batch.num_rows(),
            at: 0,
            session: small(columns::SESSION)?,
            life: small(columns::LIFE)?,
            number: small(columns::NUMBER)?,
            kinds: meanings(&kind, |word| OperationKind::ALL.into_iter().find(|kind| kind.word() == word)),
            kind,
            outcomes: meanings(&outcome, ended),
            outcome,
            error: texts(columns::ERROR)?,
            status: batch
                .column_by_name(columns::STATUS)
                .and_then(|column| column.as_primitive_opt::<UInt16Type>())
                .cloned()
                .ok_or_else(|| not_ours(columns::STATUS))?,
            node: words(columns::NODE)?,
            boot: words(columns::BOOT)?,
            scheduled: number(columns::SCHEDULED)?,
            dispatched: number(columns::DISPATCHED)?,
            connect: number(columns::CONNECT)?,
            sent: number(columns::SENT)?,
            first_byte: number(columns::FIRST_BYTE)?,
            completed: number(columns::COMPLETED)?,
            sent_bytes: small(columns::SENT_BYTES)?,
            received_bytes: small(columns::RECEIVED_BYTES)?,
            owner: words(columns::OWNER)?,
            epoch: words(columns::EPOCH)?,
            version: number(columns::VERSION)?,
            digest: large(columns::DIGEST)?,
            tail: texts(columns::TAIL)?,
            has_order: batch.column_by_name(columns::HAS_ORDER).and_then(|column| column.as_boolean_opt()).cloned(),
            resent: batch.column_by_name(columns::RESENT).and_then(|column| column.as_boolean_opt()).cloned(),
            payload: words(columns::PAYLOAD).ok().map(|words| {
                let payloads = meanings(&words, columns::parse_payload);
                (words, payloads)
            }),
            known_answers: Vec::new(),
            last_identity: None,
        })
    }

    /// The user and session number of the next row.
    fn life(&self) -> (u32, u32) {
        (self.session.value(self.at), self.life.value(self.at))
    }

    /// When the operation of the next row began.
    fn began_ns(&self) -> u64 {
        let instant = unsigned(&self.sent, self.at).or_else(|| unsigned(&self.completed, self.at));
        instant.unwrap_or_default()
    }

    /// Reads the next row into `into`.
    fn take(&mut self, into: &mut Vec<Operation>, tails: &mut LastTail, shared: &mut Shared) -> Result<(), String> {
        let row = self.at;
        self.at += 1;
        let id = OperationId {
            session: self.session.value(row),
            life: self.life.value(row),
            number: self.number.value(row),
        };
        let kind = meaning(&self.kind, &self.kinds, row).ok_or("`kind` is unknown in this format")?;
        let times = Times {
            scheduled_ns: unsigned(&self.scheduled, row).ok_or("no `scheduled_ns`")?,
            dispatched_ns: unsigned(&self.dispatched, row).ok_or("no `dispatched_ns`")?,
            connect_ns: unsigned(&self.connect, row),
            sent_ns: unsigned(&self.sent, row),
            first_byte_ns: unsigned(&self.first_byte, row),
            completed_ns: unsigned(&self.completed, row).ok_or("no `completed_ns`")?,
        };
        // Few operations have an error, so it is parsed only if needed.
        let error = || {
            let word = (!self.error.is_null(row)).then(|| self.error.value(row));
            let known = ErrorKind::ALL.into_iter().find(|error| Some(error.word()) == word);
            known.ok_or("`error` is unknown in this format")
        };
        let outcome = match meaning(&self.outcome, &self.outcomes, row).ok_or("`outcome` is unknown in this format")? {
            Ended::Fail => Outcome::Fail(error()?),
            Ended::Indeterminate => Outcome::Indeterminate(error()?),
            Ended::Ok => match unsigned(&self.version, row) {
                Some(version) => Outcome::Ok(self.state(row, (id, kind), version, tails, shared)?),
                None => Outcome::Done,
            },
        };
        let status = (!self.status.is_null(row)).then(|| self.status.value(row));
        let answer = self.answer(row, shared);
        let moved = Moved { sent_bytes: self.sent_bytes.value(row), received_bytes: self.received_bytes.value(row) };
        let is_resent = self.resent.as_ref().is_some_and(|column| column.value(row));
        into.push(Operation { id, kind, times, moved, outcome, status, answer, is_resent });
        Ok(())
    }

    fn state(
        &mut self,
        row: usize,
        operation: (OperationId, OperationKind),
        version: u64,
        tails: &mut LastTail,
        shared: &mut Shared,
    ) -> Result<State, String> {
        let (id, kind) = operation;
        let identity = self.identity(row, shared).ok_or("a state without `owner` and `epoch`")?;
        let digest = self.digest.value(row);
        let payload = self.payload(row)?;
        let has_order = self.has_order.as_ref().map_or(digest != columns::NO_DIGEST, |column| column.value(row));
        if !has_order {
            return Ok(State { identity, version, order: None, payload });
        }
        let tail = if self.tail.is_null(row) {
            tails.predict(id, kind, version).ok_or("`tail` does not follow from the row before")?
        } else {
            columns::parse_tail(self.tail.value(row)).ok_or("`tail` is not a list of operations")?
        };
        tails.note(id, version, &tail);
        Ok(State { identity, version, order: Some(Order { digest, tail }), payload })
    }

    fn payload(&self, row: usize) -> Result<Payload, String> {
        match &self.payload {
            Some((words, payloads)) if !words.is_null(row) => {
                meaning(words, payloads, row).ok_or_else(|| "`payload` is unknown in this format".to_owned())
            }
            _ => Ok(Payload::NotShown),
        }
    }

    fn identity(&mut self, row: usize, shared: &mut Shared) -> Option<Arc<Identity>> {
        let keys = (key(&self.owner, row)?, key(&self.epoch, row)?);
        if let Some((known, identity)) = &self.last_identity
            && *known == keys
        {
            return Some(Arc::clone(identity));
        }
        let (owner, epoch) = (text(&self.owner, keys.0)?, text(&self.epoch, keys.1)?);
        let known = shared.identity.take().filter(|known| known.owner == owner && known.epoch == epoch);
        let identity = known.unwrap_or_else(|| Arc::new(Identity { owner: owner.to_owned(), epoch: epoch.to_owned() }));
        shared.identity = Some(Arc::clone(&identity));
        self.last_identity = Some((keys, Arc::clone(&identity)));
        Some(identity)
    }

    fn answer(&mut self, row: usize, shared: &mut Shared) -> Option<Arc<Answer>> {
        let keys = (key(&self.node, row)?, key(&self.boot, row)?);
        if let Some((_, answer)) = self.known_answers.iter().find(|(known, _)| *known == keys) {
            return Some(Arc::clone(answer));
        }
        let (node, boot) = (text(&self.node, keys.0)?, text(&self.boot, keys.1)?);
        let answer = shared.answers.share(node, boot);
        self.known_answers.push((keys, Arc::clone(&answer)));
        Some(answer)
    }
}

fn not_ours(name: &str) -> String {
    format!("column `{name}` is missing or of another type")
}

fn ended(word: &str) -> Option<Ended> {
    match word {
        columns::OK => Some(Ended::Ok),
        columns::FAIL => Some(Ended::Fail),
        columns::INDETERMINATE => Some(Ended::Indeterminate),
        _ => None,
    }
}

/// The meaning of each word of a column, by its key; `None` for a word that this format does not define.
fn meanings<T>(words: &Words, of: impl Fn(&str) -> Option<T>) -> Vec<Option<T>> {
    let values = words.values().as_string_opt::<i32>();
    values.into_iter().flatten().map(|word| of(word?)).collect()
}

fn meaning<T: Copy>(words: &Words, meanings: &[Option<T>], row: usize) -> Option<T> {
    meanings.get(usize::try_from(key(words, row)?).ok()?).copied().flatten()
}

fn key(words: &Words, row: usize) -> Option<i32> {
    let keys = words.keys();
    (!keys.is_null(row)).then(|| keys.value(row))
}

fn text(words: &Words, key: i32) -> Option<&str> {
    let values = words.values().as_string_opt::<i32>()?;
    let index = usize::try_from(key).ok().filter(|index| *index < values.len())?;
    Some(values.value(index))
}

fn unsigned(column: &Int64Array, row: usize) -> Option<u64> {
    if column.is_null(row) { None } else { u64::try_from(column.value(row)).ok() }
}
