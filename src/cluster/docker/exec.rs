//! Commands inside a running container.

use bollard::exec::{CreateExecOptions, StartExecResults};
use futures::StreamExt;

use super::Engine;

/// Runs a command to its end. Returns its exit code and its output.
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
    if let StartExecResults::Attached { mut output, .. } = engine.docker.start_exec(&id, None).await? {
        while let Some(part) = output.next().await {
            text.push_str(&part?.to_string());
        }
    }
    let code = engine.docker.inspect_exec(&id).await?.exit_code;
    Ok((code.unwrap_or(-1), text))
}
