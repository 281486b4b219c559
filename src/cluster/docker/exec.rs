//! Commands inside a running container.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecResults};
use futures::StreamExt;

use super::Engine;

/// How long a command may take: longer than the loops of all bundled ones.
const MAX_TIME: Duration = Duration::from_secs(60);

/// Runs a command to its end, or for [`MAX_TIME`]. Returns its exit code and its output; -1 for one that did not end.
pub async fn execute(
    engine: &Engine,
    container: &str,
    command: &[String],
) -> Result<(i64, String), bollard::errors::Error> {
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command.to_vec()),
        ..CreateExecOptions::default()
    };
    let id = engine.docker.create_exec(container, options).await?.id;
    let mut text = String::new();
    let run = async {
        if let StartExecResults::Attached { mut output, .. } = engine.docker.start_exec(&id, None).await? {
            while let Some(part) = output.next().await {
                text.push_str(&part?.to_string());
            }
        }
        Ok::<_, bollard::errors::Error>(())
    };
    if let Ok(ended) = tokio::time::timeout(MAX_TIME, run).await {
        ended?;
    } else {
        return Ok((-1, format!("{text}\nit did not end within {} s", MAX_TIME.as_secs())));
    }
    let code = engine.docker.inspect_exec(&id).await?.exit_code;
    Ok((code.unwrap_or(-1), text))
}
