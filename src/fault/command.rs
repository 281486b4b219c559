//! Command: runs a program of the user on the driver's machine to inject a fault, and another one to heal it. The exit
//! code says whether it took effect. A reaper heals the fault if the driver dies.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use tokio::process::Command as Process;
use tokio::time::timeout;

use super::kind::{Claim, Hurts};
use super::{Definition, FaultKind, Site, Verified};
use crate::cluster::reaper::Reaper;
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::secrets::{self, masked};
use crate::topology::{Network, Node};

/// How long a command may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Programs with their arguments. They get the node's name in `NODE`, and its addresses in `ADDRESS_FRONT` and so on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    /// What is run to inject; it must exit with 0.
    pub command: Program,
    /// What is run to heal; it must exit with 0.
    pub heal_command: Program,
}

/// A program and its arguments; never empty. Secrets are masked when it is serialised.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>")]
#[schemars(with = "Vec<String>")]
pub struct Program(Vec<String>);

impl TryFrom<Vec<String>> for Program {
    type Error = String;

    fn try_from(words: Vec<String>) -> Result<Self, String> {
        if words.is_empty() { Err("it takes a program and its arguments".to_owned()) } else { Ok(Self(words)) }
    }
}

impl Serialize for Program {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        secrets::serialize(&self.0, serializer)
    }
}

impl Definition for Command {
    const KIND: FaultKind = FaultKind {
        claims: Claim::Nothing,
        hurts: Hurts::Everybody,
        ..FaultKind::new("command", "runs a command of your own, and another one to heal", &[Ability::Commands])
    };

    fn detail(&self) -> String {
        masked(&self.command.0).join(" ")
    }

    fn guard(&self, node: &Node) -> Result<Option<Reaper>, ClusterError> {
        heal_when_driver_ends(node, &self.heal_command.0).map(Some)
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        run(site.node, &self.command.0, TIMEOUT).await
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        run(site.node, &self.heal_command.0, TIMEOUT).await
    }
}

/// Starts a reaper that runs `heal` if the driver ends, or drops the reaper, before the fault is healed.
fn heal_when_driver_ends(node: &Node, heal: &[String]) -> Result<Reaper, ClusterError> {
    let failed = |error: std::io::Error| ClusterError::new("looking for this program's own file", error.to_string());
    let program = std::env::current_exe().map_err(failed)?;
    let arguments: Vec<&str> = std::iter::once("--").chain(heal.iter().map(String::as_str)).collect();
    let variables = variables(node);
    let variables: Vec<(&str, String)> = variables.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    Reaper::start(&program, &arguments, &variables)
}

/// The environment variables that describe the node to a command.
fn variables(node: &Node) -> Vec<(String, String)> {
    let address = |(network, address): (&Network, &_)| {
        (format!("ADDRESS_{}", network.to_string().to_uppercase()), format!("{address}"))
    };
    node.addresses.iter().map(address).chain([("NODE".to_owned(), node.name.clone())]).collect()
}

async fn run(node: &Node, command: &[String], within: Duration) -> Result<Verified, ClusterError> {
    let shown = masked(command).join(" ");
    let failed = |reason: String| ClusterError::new(format!("running `{shown}` for {}", node.name), reason);
    let Some((program, arguments)) = command.split_first() else { return Err(failed("it is empty".to_owned())) };
    let mut process = Process::new(program);
    process.args(arguments).envs(variables(node)).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // In a process group of its own, so that its child processes are killed with it.
    let child = process.kill_on_drop(true).process_group(0).spawn();
    let child = child.map_err(|error| failed(error.to_string()).advise("is the program there, and on the PATH?"))?;
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let output = timeout(within, child.wait_with_output()).await;
    if output.is_err()
        && let Some(group) = group
    {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let output = output
        .map_err(|_| failed(format!("it did not end within {} s and was killed", within.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(Verified::seen(format!("`{shown}` exited with 0")));
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
        let ran = run(cluster.topology().node("app-2").unwrap(), &command, within).await;
        ran.map(|verified| verified.seen).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_command_gets_its_node_in_variables_and_its_exit_code_decides() {
        let (long, short) = (Duration::from_secs(10), Duration::from_millis(100));
        let test = "[ \"$NODE $ADDRESS_FRONT\" = 'app-2 10.77.0.12' ]";
        assert_eq!(of(test, long).await.unwrap(), [format!("`sh -c {test}` exited with 0")]);
        let error = of("echo no such disk >&2; exit 3", long).await.unwrap_err();
        assert!(error.ends_with("exit status: 3: no such disk"), "{error}");
        let error = of("sleep 60", short).await.unwrap_err();
        assert!(error.contains("did not end within"), "{error}");
    }
}
