//! What a container has printed.

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::Bytes;
use futures::{Stream, TryStreamExt};

use super::Engine;

/// A container's log, in pieces as they come: all of it, or its last lines.
pub fn pieces(engine: &Engine, container: &str, last_lines: Option<usize>) -> impl Stream<Item = Result<Bytes, Error>> {
    let tail = last_lines.map_or("all".to_owned(), |lines| lines.to_string());
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&tail).build();
    engine.docker.logs(container, Some(options)).map_ok(LogOutput::into_bytes)
}

/// The same as one text.
pub async fn read(engine: &Engine, container: &str, last_lines: Option<usize>) -> Result<String, Error> {
    let pieces: Vec<Bytes> = pieces(engine, container, last_lines).try_collect().await?;
    Ok(String::from_utf8_lossy(&pieces.concat()).into_owned())
}
