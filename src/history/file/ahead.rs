//! Decodes the columns of a history on a thread of its own, some batches ahead of whoever looks at them: decoding takes about as long as all
//! that a checker does with the rows. It does not know what the columns mean.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::HistoryError;

/// The most batches that are decoded and not yet looked at. Two would do if both sides always took as long.
const AHEAD: usize = 4;

/// What comes from the thread; `None` at the end of the file.
type Decoded = Option<Result<RecordBatch, HistoryError>>;

/// The batches of a file, in their order. Ends after the first error.
pub struct Batches {
    /// None once the file or an error has ended it.
    decoded: Option<Receiver<Decoded>>,
}

impl Batches {
    /// Begins to decode. The thread ends with the file, or when nobody waits for the next batch any more.
    ///
    /// # Errors
    /// When the machine grants no further thread.
    pub fn of(reader: ParquetRecordBatchReader) -> Result<Self, HistoryError> {
        let (sender, receiver) = sync_channel(AHEAD);
        thread::Builder::new().name("history".to_owned()).spawn(move || decode(reader, &sender))?;
        Ok(Self { decoded: Some(receiver) })
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, HistoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        // The Parquet reader panics on some damaged files: then the thread is gone, and has not said that this is the end.
        let next = self.decoded.as_ref()?.recv().unwrap_or_else(|_| Some(Err(super::unreadable())));
        if !matches!(next, Some(Ok(_))) {
            self.decoded = None;
        }
        next
    }
}

fn decode(mut reader: ParquetRecordBatchReader, sender: &SyncSender<Decoded>) {
    loop {
        let next = reader.next().map(|batch| batch.map_err(HistoryError::from));
        let is_last = !matches!(next, Some(Ok(_)));
        if sender.send(next).is_err() || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use bytes::buf::{Buf, Reader};
    use parquet::errors::Result;
    use parquet::file::reader::{ChunkReader, Length};

    use super::super::{HistoryError, SessionHistories, Writer};
    use crate::check::testing::history;
    use crate::history::{Operation, OperationId};

    /// A file in memory that can be asked for everything, or only for what stands at its end.
    struct Source {
        file: Bytes,
        panics_at_rows: bool,
        is_open: Arc<()>,
    }

    impl Length for Source {
        fn len(&self) -> u64 {
            self.file.len() as u64
        }
    }

    impl ChunkReader for Source {
        type T = Reader<Bytes>;

        fn get_read(&self, start: u64) -> Result<Self::T> {
            // The first column stands behind four bytes that say what the file is.
            assert!(!self.panics_at_rows || start > 4, "the reader of Parquet does this to some damaged files");
            Ok(self.file.get_read(start)?.into_inner().reader())
        }

        fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
            assert!(!self.panics_at_rows || start > 4, "the reader of Parquet does this to some damaged files");
            self.file.get_bytes(start, length)
        }
    }

    fn source(users: u32, panics_at_rows: bool) -> Source {
        let mut writer = Writer::new(Vec::new()).unwrap();
        let operations = history(|builder| builder.create().write().read().final_read());
        for session in 0..users {
            let of_user = |one: &Operation| Operation { id: OperationId { session, ..one.id }, ..one.clone() };
            writer.write(&operations.iter().map(of_user).collect::<Vec<_>>()).unwrap();
        }
        Source { file: writer.finish().unwrap().into(), panics_at_rows, is_open: Arc::new(()) }
    }

    #[test]
    fn a_panic_while_decoding_is_an_error_and_not_the_end_of_the_history() {
        let read: std::result::Result<Vec<_>, HistoryError> = SessionHistories::of(source(1, true)).unwrap().collect();
        assert!(read.unwrap_err().to_string().ends_with("its columns cannot be read"));
    }

    #[test]
    fn a_history_that_nobody_reads_on_is_closed() {
        let source = source(10_000, false);
        let is_open = Arc::clone(&source.is_open);
        let mut histories = SessionHistories::of(source).unwrap();
        assert_eq!(histories.next().unwrap().unwrap().operations.len(), 4);
        assert_eq!(Arc::strong_count(&is_open), 2);
        drop(histories);
        let began = Instant::now();
        while Arc::strong_count(&is_open) > 1 {
            assert!(began.elapsed() < Duration::from_secs(10), "its thread goes on");
            std::thread::yield_now();
        }
    }
}
