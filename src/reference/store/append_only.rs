//! The file to which a store appends each change before it acknowledges it. An incomplete record at its end, left by a
//! crash of the store, is cut off. The file is not synced to the disk: it survives a crash of the process, as Redis
//! with `appendfsync no` does, but not a crash of the machine.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::protocol::Request;
use crate::reference::link::{decode, encode};

/// Changes in the order in which they were made.
pub struct AppendOnly {
    file: File,
}

impl AppendOnly {
    /// Opens the file, and passes every change in it to `replay`.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn open(path: &Path, mut replay: impl FnMut(Request)) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut whole = 0;
        while let Some((request, length)) = record_at(&bytes[whole..]) {
            replay(request);
            whole += length;
        }
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file })
    }

    /// Appends a change. If this fails, the file is cut back to its previous length.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&mut self, request: &Request) -> io::Result<()> {
        let record = encode(request);
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(&record);
        let before = self.file.stream_position()?;
        self.file.write_all(&bytes).inspect_err(|_| {
            let _ = self.file.set_len(before).and_then(|()| self.file.seek(SeekFrom::Start(before)));
        })
    }
}

/// The record at the start of `bytes`, and its length in bytes.
fn record_at(bytes: &[u8]) -> Option<(Request, usize)> {
    let (head, rest) = bytes.split_at_checked(4)?;
    let length = usize::try_from(u32::from_be_bytes(head.try_into().ok()?)).ok()?;
    Some((decode(rest.get(..length)?).ok()?, 4 + length))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::reference::app::session::SessionId;

    fn read(path: &Path) -> Vec<Request> {
        let mut requests = Vec::new();
        AppendOnly::open(path, |request| requests.push(request)).unwrap();
        requests
    }

    #[test]
    fn records_are_replayed_in_order_and_a_torn_end_is_cut_off_at_any_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let (one, two) = (SessionId::fresh(), SessionId::fresh());
        let requests =
            || vec![Request::Put(one, Bytes::from_static(b"a")), Request::Put(two, Bytes::new()), Request::Remove(one)];
        let mut file = AppendOnly::open(&path, |_| {}).unwrap();
        for request in requests() {
            file.append(&request).unwrap();
        }
        drop(file);
        assert_eq!(read(&path), requests());
        let whole = std::fs::read(&path).unwrap();
        let last = 4 + encode(&Request::Remove(one)).len();
        for cut in 1..=last {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            assert_eq!(read(&path), requests()[..2], "{cut} bytes missing");
            let mut file = AppendOnly::open(&path, |_| {}).unwrap();
            file.append(&Request::Remove(two)).unwrap();
            assert_eq!(read(&path).last(), Some(&Request::Remove(two)), "appended after the cut");
        }
    }
}
