//! Records every operation for the history, in a few bytes each, and counts for the driver's live line. Writes nothing
//! to disk as long as the operations fit into memory. A longer trial spills them to a file without a name, so that the
//! file cannot become a leftover.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::mpsc::Sender;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::history::compact::{Answers, Damaged, Decoder, Encoder};
use crate::history::{HIGHEST_LATENCY_US, HistoryError, Operation, Outcome, Owners, Writer};
use crate::load::Share;

/// Operations that one thread keeps in memory before it spills, in bytes.
const MAX_BYTES_IN_MEMORY: usize = 512 * 1024 * 1024;
/// Sizes of the chunks that hold a user's operations, so that growth copies nothing. The first ones are smaller,
/// because of very many users most do little.
const CHUNK_BYTES: [usize; 4] = [64, 128, 256, 512];

/// The records cannot be written as a history.
#[derive(Debug, Error)]
pub enum RecorderError {
    /// The spill file cannot be read.
    #[error("the operations that were spilled to disk cannot be read: {0}")]
    Spill(#[from] io::Error),
    /// The recorded bytes are not a valid stream of operations.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The history cannot be written.
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// Counts of the operations of about one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// From the start of the load to the end of this interval.
    pub at_ns: u64,
    /// Operations that succeeded.
    pub ok: u64,
    /// Operations that were certainly not applied, without those in `unknown`.
    pub fail: u64,
    /// Operations that may have been applied.
    pub indeterminate: u64,
    /// Replies that did not know the session.
    pub unknown: u64,
    /// Replies that showed another owner's session.
    pub foreign: u64,
    /// The 99th percentile of the response times of operations that succeeded, in microseconds.
    pub p99_us: u64,
}

impl Summary {
    /// The same second of two agents. The percentile is the higher of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            at_ns: self.at_ns.max(other.at_ns),
            ok: self.ok + other.ok,
            fail: self.fail + other.fail,
            indeterminate: self.indeterminate + other.indeterminate,
            unknown: self.unknown + other.unknown,
            foreign: self.foreign + other.foreign,
            p99_us: self.p99_us.max(other.p99_us),
        }
    }
}

/// The last second of one thread.
#[derive(Debug)]
pub struct Interval {
    /// The counts, without the percentile.
    pub summary: Summary,
    /// Response times of the operations that succeeded, in microseconds.
    pub response_us: Histogram<u64>,
}

/// One user's operations.
#[derive(Default)]
struct Kept {
    encoder: Encoder,
    chunks: Vec<Vec<u8>>,
    /// Its older operations in the spill file: offset and length of each part, in bytes.
    spilled: Vec<(u64, usize)>,
}

/// The operations so far, and the counts of the current interval.
pub struct Recorder {
    /// Whose users are devices of one owner.
    owners: Owners,
    users: Vec<Kept>,
    answers: Answers,
    scratch: Vec<u8>,
    bytes: usize,
    most_bytes: usize,
    spill: Option<File>,
    /// Whether spilling has failed; then everything stays in memory.
    cannot_spill: bool,
    interval: Summary,
    interval_end_ns: u64,
    response_us: Histogram<u64>,
    intervals: Sender<Interval>,
}

impl Recorder {
    /// A recorder that sends the counts of each second to `intervals`.
    ///
    /// # Errors
    /// Cannot happen with the bounds of our histograms.
    pub fn new(intervals: Sender<Interval>, owners: Owners) -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            owners,
            users: Vec::new(),
            answers: Answers::default(),
            scratch: Vec::with_capacity(256),
            bytes: 0,
            most_bytes: MAX_BYTES_IN_MEMORY,
            spill: None,
            cannot_spill: false,
            interval: Summary::default(),
            interval_end_ns: 0,
            // With fixed bounds, because an auto-resizing histogram does not resize for `saturating_record`.
            response_us: Histogram::new_with_bounds(1, HIGHEST_LATENCY_US, 3)?,
            intervals,
        })
    }

    /// The nodes that have answered so far.
    pub const fn answers(&mut self) -> &mut Answers {
        &mut self.answers
    }

    /// Reserves memory for this many users.
    pub fn make_room(&mut self, users: usize) {
        self.users.reserve_exact(users.saturating_sub(self.users.len()));
    }

    /// Records an operation of the user in `place`.
    pub fn record(&mut self, place: usize, operation: &Operation) {
        self.count(operation);
        if self.users.len() <= place {
            self.users.resize_with(place + 1, Kept::default);
        }
        let Some(kept) = self.users.get_mut(place) else { return };
        self.scratch.clear();
        kept.encoder.write(operation, &mut self.answers, &mut self.scratch);
        self.bytes += kept.keep(&self.scratch);
        if self.bytes > self.most_bytes && !self.cannot_spill {
            self.cannot_spill = self.spill().is_err();
        }
    }

    fn count(&mut self, operation: &Operation) {
        match &operation.outcome {
            Outcome::Ok(state) => {
                let owner = &state.identity.owner;
                // A visitor's session has none.
                let is_foreign = !owner.is_empty() && !self.owners.is_name(owner, operation.id.session);
                self.interval.foreign += u64::from(is_foreign);
                self.count_ok(operation);
            }
            Outcome::Done => self.count_ok(operation),
            Outcome::Fail(_) if operation.session_was_unknown() => self.interval.unknown += 1,
            Outcome::Fail(_) => self.interval.fail += 1,
            Outcome::Indeterminate(_) => self.interval.indeterminate += 1,
        }
    }

    fn count_ok(&mut self, operation: &Operation) {
        self.interval.ok += 1;
        if !operation.kind.is_held() {
            self.response_us.saturating_record(operation.response_us());
        }
    }

    /// When the current interval ends.
    pub fn interval_end_ns(&self, length_ns: u64) -> u64 {
        self.interval_end_ns.max(length_ns)
    }

    /// Sends the counts if the interval has ended. The receiver gets its own copy, so that no thread waits.
    pub fn end_interval(&mut self, now_ns: u64, length_ns: u64) {
        if now_ns < self.interval_end_ns(length_ns) {
            return;
        }
        let at_ns = now_ns - now_ns % length_ns;
        let summary = Summary { at_ns, ..self.interval };
        let response_us = self.response_us.clone();
        // The receiver may be gone; the history is kept in any case.
        let _ = self.intervals.send(Interval { summary, response_us });
        self.interval = Summary::default();
        self.response_us.reset();
        self.interval_end_ns = at_ns + length_ns;
    }

    /// Moves all operations in memory to the spill file.
    fn spill(&mut self) -> io::Result<()> {
        let file = match &mut self.spill {
            Some(file) => file,
            None => self.spill.insert(unnamed_file()?),
        };
        let mut offset = file.seek(SeekFrom::End(0))?;
        let mut sink = io::BufWriter::with_capacity(1 << 20, file);
        for chunk in self.users.iter().flat_map(|kept| &kept.chunks) {
            sink.write_all(chunk)?;
        }
        sink.flush()?;
        for kept in &mut self.users {
            let length: usize = kept.chunks.iter().map(Vec::len).sum();
            if length > 0 {
                kept.spilled.push((offset, length));
                kept.chunks = Vec::new();
                offset += length as u64;
            }
        }
        self.bytes = 0;
        Ok(())
    }

    /// Number of places, up to the last user that has operations.
    pub const fn users(&self) -> usize {
        self.users.len()
    }

    /// The operations of the user in `place` and those in `more`, in the order of a history.
    fn operations(
        &self,
        place: usize,
        more: &[Operation],
        bytes: &mut Vec<u8>,
    ) -> Result<Vec<Operation>, RecorderError> {
        bytes.clear();
        let mut operations = more.to_vec();
        let Some(kept) = self.users.get(place) else { return Ok(operations) };
        if let Some(mut file) = self.spill.as_ref() {
            for (offset, length) in &kept.spilled {
                file.seek(SeekFrom::Start(*offset))?;
                file.take(*length as u64).read_to_end(bytes)?;
            }
        }
        kept.chunks.iter().for_each(|chunk| bytes.extend_from_slice(chunk));
        let (mut rest, mut decoder) = (bytes.as_slice(), Decoder::default());
        while !rest.is_empty() {
            operations.push(decoder.read(&self.answers, &mut rest)?);
        }
        operations.sort_by_key(Operation::place);
        Ok(operations)
    }
}

/// Writes the operations of an agent's threads as one history, one session after the other, including operations in
/// flight. The agent has this share of the users.
///
/// # Errors
/// When the sink fails, or spilled operations cannot be read.
pub fn write_history(
    sink: impl Write + Send,
    recorders: &[&Recorder],
    share: &Share,
    unfinished: &[Operation],
) -> Result<(), RecorderError> {
    let mut writer = Writer::new(sink)?;
    let mut bytes = Vec::new();
    let most = recorders.iter().map(|recorder| recorder.users()).max().unwrap_or_default();
    let ranks = unfinished.iter().filter_map(|operation| share.rank(operation.id.session as usize));
    let end = ranks.map(|rank| rank + 1).max().unwrap_or_default();
    for rank in 0..(most * recorders.len()).max(end) {
        let session = share.user(rank);
        let more: Vec<Operation> =
            unfinished.iter().filter(|operation| operation.id.session as usize == session).cloned().collect();
        let (place, worker) = (rank / recorders.len(), rank % recorders.len());
        if let Some(recorder) = recorders.get(worker) {
            writer.write(&recorder.operations(place, &more, &mut bytes)?)?;
        }
    }
    writer.finish()?.flush()?;
    Ok(())
}

impl Kept {
    /// Appends bytes to as many chunks as needed. Returns how many bytes of memory were added.
    fn keep(&mut self, mut bytes: &[u8]) -> usize {
        let mut added = 0;
        while !bytes.is_empty() {
            if self.chunks.last().is_none_or(|chunk| chunk.len() == chunk.capacity()) {
                let size = CHUNK_BYTES.get(self.chunks.len()).or(CHUNK_BYTES.last()).copied().unwrap_or_default();
                // Saves memory: of very many users, most have one chunk.
                if self.chunks.is_empty() {
                    self.chunks.reserve_exact(1);
                }
                self.chunks.push(Vec::with_capacity(size));
                added += size + size_of::<Vec<u8>>();
            }
            let Some(chunk) = self.chunks.last_mut() else { return added };
            let (fits, rest) = bytes.split_at(bytes.len().min(chunk.capacity() - chunk.len()));
            chunk.extend_from_slice(fits);
            bytes = rest;
        }
        added
    }
}

/// A file without a name, which the system deletes when this process ends.
fn unnamed_file() -> io::Result<File> {
    tempfile::tempfile_in(spill_folder())
}

/// The folder for operations that do not fit into memory: `/` in an empty image, which has no temporary folder.
#[must_use]
pub fn spill_folder() -> PathBuf {
    let usual = std::env::temp_dir();
    if usual.is_dir() { usual } else { "/".into() }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use bytes::Bytes;

    use super::*;
    use crate::history::{ErrorKind, Moved, OperationId, OperationKind, SessionHistories, SessionHistory, Times};

    fn recorder() -> (Recorder, Receiver<Interval>) {
        let (sender, receiver) = channel();
        (Recorder::new(sender, Owners::default()).unwrap(), receiver)
    }

    fn operation(number: u32, outcome: Outcome) -> Operation {
        let times = Times { completed_ns: u64::from(number) * 1_000_000, ..Times::default() };
        let id = OperationId { session: 1, life: 1, number };
        let (kind, moved) = (OperationKind::Read, Moved::default());
        Operation { id, kind, times, moved, outcome, status: None, answer: None, is_resent: false }
    }

    fn ok(owner: &str) -> Outcome {
        Outcome::Ok(crate::check::testing::state(owner, "e", &[], true))
    }

    #[test]
    fn an_interval_has_only_its_own_counts_and_latencies() {
        let (mut recorder, intervals) = recorder();
        let mut record = |number, outcome| recorder.record(1, &operation(number, outcome));
        (1..=100).for_each(|number| record(number, ok("s1")));
        record(101, ok("s2"));
        record(102, Outcome::Fail(ErrorKind::UnknownSession));
        record(103, Outcome::Fail(ErrorKind::Refused));
        record(104, Outcome::Indeterminate(ErrorKind::Timeout));
        recorder.end_interval(9, 10);
        assert!(intervals.try_recv().is_err());
        recorder.end_interval(12, 10);
        let Interval { summary, response_us } = intervals.try_recv().unwrap();
        let counts = (summary.ok, summary.foreign, summary.unknown, summary.fail, summary.indeterminate);
        assert_eq!((counts, summary.at_ns), ((101, 1, 1, 1, 1), 10));
        assert!((99_900..=100_100).contains(&response_us.value_at_quantile(0.99)));
        recorder.end_interval(19, 10);
        assert!(intervals.try_recv().is_err());
        recorder.end_interval(20, 10);
        let next = intervals.try_recv().unwrap();
        assert_eq!((next.summary, next.response_us.len()), (Summary { at_ns: 20, ..Summary::default() }, 0));
    }

    /// The operations of several users, in the order in which they would end.
    fn traffic(users: u32, operations: u32) -> Vec<Operation> {
        let of_user = |user| {
            crate::check::testing::history_of(user, |builder| {
                (1..operations).fold(
                    builder.create(),
                    |builder, number| if number % 2 == 0 { builder.read() } else { builder.write() },
                )
            })
        };
        let mut all: Vec<Operation> = (0..users).flat_map(of_user).collect();
        all.sort_by_key(|operation| (operation.times.completed_ns, operation.id));
        all
    }

    fn written(recorders: &[&Recorder]) -> Vec<SessionHistory> {
        let mut bytes = Vec::new();
        write_history(&mut bytes, recorders, &Share::default(), &[]).unwrap();
        SessionHistories::of(Bytes::from(bytes)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn spilled_operations_are_in_the_history_as_well() {
        let (mut recorder, _intervals) = recorder();
        recorder.most_bytes = 20_000;
        let traffic = traffic(20, 100);
        for operation in &traffic {
            recorder.record(operation.id.session as usize, operation);
        }
        assert!(recorder.spill.is_some() && recorder.users[3].spilled.len() > 1);
        assert_eq!(written(&[&recorder]), SessionHistory::all(traffic));
    }

    #[test]
    fn several_threads_make_one_history() {
        let traffic = traffic(21, 30);
        let mut recorders: Vec<(Recorder, Receiver<Interval>)> = (0..3).map(|_| recorder()).collect();
        for operation in &traffic {
            let index = operation.id.session as usize;
            recorders[index % 3].0.record(index / 3, operation);
        }
        let recorders: Vec<&Recorder> = recorders.iter().map(|(recorder, _)| recorder).collect();
        assert_eq!(written(&recorders), SessionHistory::all(traffic));
    }

    #[test]
    fn an_operation_takes_at_most_48_bytes_of_memory() {
        let (mut recorder, _intervals) = recorder();
        let traffic = traffic(50, 200);
        for operation in &traffic {
            recorder.record(operation.id.session as usize, operation);
        }
        let each = recorder.bytes as f64 / traffic.len() as f64;
        assert!(each <= 48.0, "{each} bytes");
    }
}
