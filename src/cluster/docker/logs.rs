//! What a container has printed.

use bollard::errors::Error;
use bollard::query_parameters::LogsOptionsBuilder;
use futures::TryStreamExt;

use super::Engine;

/// A container's log: all of it, or its last lines.
pub async fn read(engine: &Engine, container: &str, last_lines: Option<usize>) -> Result<String, Error> {
    let tail = last_lines.map_or("all".to_owned(), |lines| lines.to_string());
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&tail).build();
    let parts: Vec<_> = engine.docker.logs(container, Some(options)).try_collect().await?;
    Ok(parts.iter().map(ToString::to_string).collect())
}
