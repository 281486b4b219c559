//! Command: whatever the user's own program does to a node, on the driver's machine, and another one that undoes it. That
//! it took effect is what its exit code says.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::{Site, Verified};
use crate::cluster::{Cluster, ClusterError};
use crate::target::Node;

/// How long it may take.
const TIMEOUT: Duration = Duration::from_secs(60);

pub async fn run<C: Cluster>(site: &Site<'_, C>, command: &[String]) -> Result<Verified, ClusterError> {
    run_for(site.node, command, TIMEOUT).await
}

async fn run_for(node: &Node, command: &[String], within: Duration) -> Result<Verified, ClusterError> {
    let shown = command.join(" ");
    let failed = |reason: String| ClusterError::new(format!("running `{shown}` for {}", node.name), reason);
    let Some((program, arguments)) = command.split_first() else { return Err(failed("it is empty".to_owned())) };
    let mut process = Command::new(program);
    process.args(arguments).env("NODE", &node.name).stdin(Stdio::null()).kill_on_drop(true);
    for (network, address) in &node.addresses {
        process.env(format!("ADDRESS_{}", network.to_string().to_uppercase()), address.to_string());
    }
    let output = timeout(within, process.output()).await;
    let output = output
        .map_err(|_| failed(format!("it did not end within {} s and was killed", within.as_secs())))?
        .map_err(|error| failed(error.to_string()).advise("is the program there, and on the PATH?"))?;
    if output.status.success() {
        return Ok(Verified { unix_ns: None, seen: vec![format!("`{shown}` exited with 0")] });
    }
    let printed = [output.stderr, output.stdout].concat();
    let last = String::from_utf8_lossy(&printed).lines().last().unwrap_or_default().to_owned();
    Err(failed(format!("{}: {last}", output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::FakeCluster;

    async fn of(script: &str, within: Duration) -> Result<Vec<String>, String> {
        let cluster = FakeCluster::of("tomcat-none");
        let command = ["sh", "-c", script].map(str::to_owned);
        let run = run_for(cluster.topology().node("app-2").unwrap(), &command, within).await;
        run.map(|verified| verified.seen).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_command_is_told_its_node_and_its_exit_code_decides() {
        let (long, short) = (Duration::from_secs(10), Duration::from_millis(100));
        let told = "[ \"$NODE $ADDRESS_FRONT\" = 'app-2 10.77.0.12' ]";
        assert_eq!(of(told, long).await.unwrap(), [format!("`sh -c {told}` exited with 0")]);
        let error = of("echo no such disk >&2; exit 3", long).await.unwrap_err();
        assert!(error.ends_with("exit status: 3: no such disk"), "{error}");
        let error = of("sleep 60", short).await.unwrap_err();
        assert!(error.contains("did not end within"), "{error}");
    }
}
