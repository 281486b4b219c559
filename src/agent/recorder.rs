//! Keeps what users did: every operation for the history, a few bytes each, and counts for the driver's live
//! line. Nothing is written to a disk as long as the operations fit into memory; a trial that is longer
//! spills, to a file that has no name and so cannot be left behind.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use hdrhistogram::Histogram;
use thiserror::Error;

use super::protocol::Summary;
use super::user::owner;
use crate::history::compact::{Answers, Damaged, Decoder, Encoder};
use crate::history::{HIGHEST_LATENCY_US, HistoryError, Operation, Outcome, Writer};

/// What is kept in memory before it spills.
const MOST_BYTES_IN_MEMORY: usize = 512 * 1024 * 1024;
/// A user's operations are kept in pieces of this size, so that nothing is copied to make room.
const CHUNK_BYTES: usize = 512;

/// What was recorded cannot be handed over.
#[derive(Debug, Error)]
pub enum RecorderError {
    /// The spill file.
    #[error("the operations that were spilled to disk cannot be read: {0}")]
    Spill(#[from] io::Error),
    /// What is kept is no stream of operations.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The history cannot be written.
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// One user's operations.
#[derive(Default)]
struct Kept {
    encoder: Encoder,
    chunks: Vec<Vec<u8>>,
    /// Where its older operations lie in the spill file: offset and length.
    spilled: Vec<(u64, usize)>,
}

/// Operations so far, and the current interval's counts.
pub struct Recorder {
    users: Vec<Kept>,
    scratch: Vec<u8>,
    bytes: usize,
    most_bytes: usize,
    spill: Option<File>,
    /// Why nothing can be spilled: then all is kept in memory.
    cannot_spill: bool,
    interval: Summary,
    response_us: Histogram<u64>,
}

impl Recorder {
    pub fn new(users: u32) -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            users: (0..users).map(|_| Kept::default()).collect(),
            scratch: Vec::with_capacity(CHUNK_BYTES),
            bytes: 0,
            most_bytes: MOST_BYTES_IN_MEMORY,
            spill: None,
            cannot_spill: false,
            interval: Summary::default(),
            // With fixed bounds: a histogram that resizes itself does not do so for a saturating record.
            response_us: Histogram::new_with_bounds(1, HIGHEST_LATENCY_US, 3)?,
        })
    }

    pub fn record(&mut self, operation: &Operation, answers: &mut Answers) {
        self.count(operation);
        let Some(kept) = self.users.get_mut(operation.id.session as usize) else { return };
        self.scratch.clear();
        kept.encoder.write(operation, answers, &mut self.scratch);
        self.bytes += kept.keep(&self.scratch);
        if self.bytes > self.most_bytes && !self.cannot_spill {
            self.cannot_spill = self.spill().is_err();
        }
    }

    fn count(&mut self, operation: &Operation) {
        match &operation.outcome {
            Outcome::Ok(state) => {
                self.interval.foreign += u64::from(state.identity.owner != owner(operation.id.session));
                self.interval.ok += 1;
                self.response_us.saturating_record(operation.response_us());
            }
            Outcome::LoggedOut => {
                self.interval.ok += 1;
                self.response_us.saturating_record(operation.response_us());
            }
            Outcome::Fail(_) if operation.session_was_unknown() => self.interval.unknown += 1,
            Outcome::Fail(_) => self.interval.fail += 1,
            Outcome::Indeterminate(_) => self.interval.indeterminate += 1,
        }
    }

    /// The counts since the last call.
    pub fn take_summary(&mut self, at_ns: u64) -> Summary {
        let summary = Summary { at_ns, p99_us: self.response_us.value_at_quantile(0.99), ..self.interval };
        self.interval = Summary::default();
        self.response_us.reset();
        summary
    }

    /// Moves everything to the spill file.
    fn spill(&mut self) -> io::Result<()> {
        let file = match &mut self.spill {
            Some(file) => file,
            None => self.spill.insert(unnamed_file()?),
        };
        let mut offset = file.seek(SeekFrom::End(0))?;
        let mut sink = io::BufWriter::with_capacity(1 << 20, file);
        for kept in &mut self.users {
            let length: usize = kept.chunks.iter().map(Vec::len).sum();
            if length == 0 {
                continue;
            }
            kept.chunks.iter().try_for_each(|chunk| sink.write_all(chunk))?;
            sink.flush()?;
            kept.spilled.push((offset, length));
            kept.chunks = Vec::new();
            offset += length as u64;
        }
        self.bytes = 0;
        Ok(())
    }

    /// Writes every operation so far as a history, one life after the other, and `more` among them.
    pub fn write(&self, sink: impl Write + Send, answers: &Answers, more: &[Operation]) -> Result<(), RecorderError> {
        let mut writer = Writer::new(sink)?;
        let mut bytes = Vec::new();
        for (user, kept) in (0..).zip(&self.users) {
            bytes.clear();
            if let Some(mut file) = self.spill.as_ref() {
                for (offset, length) in &kept.spilled {
                    file.seek(SeekFrom::Start(*offset))?;
                    file.take(*length as u64).read_to_end(&mut bytes)?;
                }
            }
            kept.chunks.iter().for_each(|chunk| bytes.extend_from_slice(chunk));
            let mut operations: Vec<Operation> =
                more.iter().filter(|other| other.id.session == user).cloned().collect();
            let (mut rest, mut decoder) = (bytes.as_slice(), Decoder::default());
            while !rest.is_empty() {
                operations.push(decoder.read(answers, &mut rest)?);
            }
            operations.sort_by_key(Operation::place);
            writer.write(&operations)?;
        }
        writer.finish()?.flush()?;
        Ok(())
    }
}

impl Kept {
    /// Appends bytes, over as many chunks as it takes. Returns how much memory was added.
    fn keep(&mut self, mut bytes: &[u8]) -> usize {
        let mut added = 0;
        while !bytes.is_empty() {
            if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK_BYTES) {
                self.chunks.push(Vec::with_capacity(CHUNK_BYTES));
                added += CHUNK_BYTES + size_of::<Vec<u8>>();
            }
            let Some(chunk) = self.chunks.last_mut() else { return added };
            let (fits, rest) = bytes.split_at(bytes.len().min(CHUNK_BYTES - chunk.len()));
            chunk.extend_from_slice(fits);
            bytes = rest;
        }
        added
    }
}

/// A file that vanishes with this process. In an empty image there is no folder for temporary files.
fn unnamed_file() -> io::Result<File> {
    tempfile::tempfile().or_else(|_| tempfile::tempfile_in("/"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::history::file::Detail;
    use crate::history::{ErrorKind, Life, Lives, OperationId, OperationKind, Times};

    fn operation(number: u32, outcome: Outcome) -> Operation {
        let times = Times { completed_ns: u64::from(number) * 1_000_000, ..Times::default() };
        let id = OperationId { session: 1, life: 1, number };
        Operation { id, kind: OperationKind::Read, times, outcome, status: None, answer: None }
    }

    fn ok(owner: &str) -> Outcome {
        Outcome::Ok(crate::check::testing::state(owner, "e", &[], true))
    }

    #[test]
    fn a_summary_has_the_counts_and_the_latency_of_its_interval_alone() {
        let (mut recorder, mut answers) = (Recorder::new(2).unwrap(), Answers::default());
        let mut record = |recorder: &mut Recorder, operation| recorder.record(&operation, &mut answers);
        (1..=100).for_each(|number| record(&mut recorder, operation(number, ok("s1"))));
        record(&mut recorder, operation(101, ok("s2")));
        record(&mut recorder, operation(102, Outcome::Fail(ErrorKind::UnknownSession)));
        record(&mut recorder, operation(103, Outcome::Fail(ErrorKind::Refused)));
        record(&mut recorder, operation(104, Outcome::Indeterminate(ErrorKind::Timeout)));
        let summary = recorder.take_summary(7);
        let counts = (summary.ok, summary.foreign, summary.unknown, summary.fail, summary.indeterminate);
        assert_eq!(counts, (101, 1, 1, 1, 1));
        assert!((99_900..=100_100).contains(&summary.p99_us), "{} µs", summary.p99_us);
        assert_eq!(recorder.take_summary(8), Summary { at_ns: 8, ..Summary::default() });
    }

    /// Many users, some operations each, in the order in which they would end.
    fn traffic(users: u32, operations: u32) -> Vec<Operation> {
        let of_user = |user| {
            crate::check::testing::history_of(user, |story| {
                (1..operations)
                    .fold(story.create(), |story, number| if number % 2 == 0 { story.read() } else { story.write() })
            })
        };
        let mut all: Vec<Operation> = (0..users).flat_map(of_user).collect();
        all.sort_by_key(|operation| (operation.times.completed_ns, operation.id));
        all
    }

    fn written(recorder: &Recorder, answers: &Answers) -> Vec<Life> {
        let mut bytes = Vec::new();
        recorder.write(&mut bytes, answers, &[]).unwrap();
        Lives::of(Bytes::from(bytes), Detail::Everything).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn what_was_spilled_is_in_the_history_as_well() {
        let (mut recorder, mut answers) = (Recorder::new(20).unwrap(), Answers::default());
        recorder.most_bytes = 20_000;
        let traffic = traffic(20, 100);
        for operation in &traffic {
            recorder.record(operation, &mut answers);
        }
        assert!(recorder.spill.is_some() && recorder.users[3].spilled.len() > 1);
        assert_eq!(written(&recorder, &answers), Life::all(traffic));
    }

    #[test]
    fn an_operation_takes_at_most_48_bytes_of_memory() {
        let (mut recorder, mut answers) = (Recorder::new(50).unwrap(), Answers::default());
        let traffic = traffic(50, 200);
        for operation in &traffic {
            recorder.record(operation, &mut answers);
        }
        let each = recorder.bytes as f64 / traffic.len() as f64;
        assert!(each <= 48.0, "{each} bytes");
    }
}
