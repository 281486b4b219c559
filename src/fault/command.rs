//! Command: runs a program of the user on the driver's machine to inject a fault, and another one to heal it. The exit
//! code says whether it took effect. A reaper heals the fault if the driver dies.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::{Claim, Hurts};
use super::{Definition, FaultKind, Site, Verified};
use crate::cluster::reaper::Reaper;
use crate::cluster::{Ability, Cluster, ClusterError};
use crate::commands::Program;
use crate::topology::Node;

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

impl Definition for Command {
    const KIND: FaultKind = FaultKind {
        commands: Some(&[]),
        claims: Claim::Nothing,
        hurts: Hurts::Everybody,
        ..FaultKind::new("command", "runs a command of your own, and another one to heal", &[Ability::Commands])
    };

    fn detail(&self) -> String {
        self.command.shown()
    }

    fn guard(&self, node: &Node) -> Result<Option<Reaper>, ClusterError> {
        heal_when_driver_ends(node, &self.heal_command).map(Some)
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        run(site.node, &self.command, TIMEOUT).await
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        run(site.node, &self.heal_command, TIMEOUT).await
    }
}

/// Starts a reaper that runs `heal` if the driver ends, or drops the reaper, before the fault is healed.
fn heal_when_driver_ends(node: &Node, heal: &Program) -> Result<Reaper, ClusterError> {
    let failed = |error: std::io::Error| ClusterError::new("looking for this program's own file", error.to_string());
    Reaper::start_for(&std::env::current_exe().map_err(failed)?, heal, node)
}

async fn run(node: &Node, command: &Program, within: Duration) -> Result<Verified, ClusterError> {
    let shown = command.shown();
    let failed = |reason| ClusterError::new(format!("running `{shown}` for {}", node.name), reason);
    command.run(&node.variables(), within).await.map_err(failed)?;
    Ok(Verified::seen(format!("`{shown}` exited with 0")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::FakeCluster;

    async fn of(script: &str, within: Duration) -> Result<Vec<String>, String> {
        let cluster = FakeCluster::of("tomcat-none");
        let command = Program::of_shell(script);
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
