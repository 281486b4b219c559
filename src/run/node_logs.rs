//! Saves what the nodes have printed, at the end of a trial. It passes pieces on, because a log can be larger than memory.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::time::timeout;

use super::RunError;
use crate::cluster::{Cluster, ClusterError};
use crate::record::{Record, RecordError, UnfinishedFile};

/// How long the runtime may take for the next piece of a log.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Saves the log of each node, one after the other. Of a log that cannot be read, the file says why.
///
/// # Errors
/// When a file cannot be written.
pub async fn save<C: Cluster>(record: &Record, trial: &str, cluster: &C) -> Result<(), RunError> {
    for node in &cluster.topology().nodes {
        let mut file = record.begin_log(trial, &node.name)?;
        copy(cluster.log_pieces(&node.name), &mut file).await?;
        file.finish()?;
    }
    Ok(())
}

async fn copy(
    pieces: impl Stream<Item = Result<Bytes, ClusterError>>,
    into: &mut UnfinishedFile,
) -> Result<(), RecordError> {
    let mut pieces = pin!(pieces);
    loop {
        match timeout(MAX_WAIT, pieces.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(piece))) => into.write(&piece)?,
            Ok(Some(Err(error))) => return into.write(format!("{error}\n").as_bytes()),
            Err(_) => {
                let seconds = MAX_WAIT.as_secs();
                return into.write(format!("the rest could not be read: no answer in {seconds} s\n").as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    async fn copied(pieces: impl Stream<Item = Result<Bytes, ClusterError>>) -> String {
        let reports = tempfile::tempdir().unwrap();
        let record = Record::create(&reports.path().join("r")).unwrap();
        let mut file = record.begin_log("01-x", "app-1").unwrap();
        copy(pieces, &mut file).await.unwrap();
        let path = record.folder().join("trials/01-x/logs/app-1.log");
        assert!(!path.exists(), "a log that is not whole has another name");
        file.finish().unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    fn pieces(texts: &[&'static str]) -> impl Stream<Item = Result<Bytes, ClusterError>> {
        stream::iter(texts.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn a_log_is_saved_piece_by_piece_and_an_error_ends_it_with_its_words() {
        assert_eq!(copied(pieces(&["one\n", "two\n"])).await, "one\ntwo\n");
        let gone = ClusterError::new("reading the log of app-1", "no such container".to_owned());
        let after = copied(pieces(&["one\n"]).chain(stream::iter([Err(gone)])).chain(pieces(&["two\n"]))).await;
        assert_eq!(after, "one\nreading the log of app-1: no such container\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_runtime_that_does_not_go_on_with_a_log_is_not_waited_for_without_end() {
        let stuck = pieces(&["one\n"]).chain(stream::pending());
        assert_eq!(copied(stuck).await, "one\nthe rest could not be read: no answer in 30 s\n");
    }
}
