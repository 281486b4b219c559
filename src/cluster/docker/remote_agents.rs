//! Agents in containers on several hosts, for a system that runs already: nothing else of it is ours. They use their hosts'
//! own networks, because the system is in none that an engine has made.

use std::collections::BTreeMap;

use bollard::container::LogOutput;
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures::StreamExt;
use tokio_util::io::StreamReader;

use super::container::{self, Spec};
use super::networks::Ownership;
use super::{Engine, Engines, PROGRAM, Removal};
use crate::cluster::{Channel, ClusterError, agent_name};
use crate::hosts::Placement;
use crate::topology::CoreSets;

/// Attaches to a container that was created for an agent, and starts it: its output must not be missed.
pub async fn attach(engine: &Engine, container: &str) -> Result<Attached, ClusterError> {
    let options = AttachContainerOptionsBuilder::new().stdin(true).stdout(true).stderr(true).stream(true).build();
    let attached = engine.docker.attach_container(container, Some(options)).await;
    attached.map_err(|error| ClusterError::new(format!("attaching to {container}"), error.to_string())).map(Attached)
}

/// The open channel to an agent's container, which may not run yet.
pub struct Attached(bollard::container::AttachContainerResults);

impl Attached {
    /// What the agent prints, and its input.
    pub fn channel(self) -> Channel {
        let bytes = self.0.output.map(|part| match part {
            Ok(LogOutput::StdErr { message }) => {
                Err(std::io::Error::other(String::from_utf8_lossy(&message).trim().to_owned()))
            }
            Ok(output) => Ok(output.into_bytes()),
            Err(error) => Err(std::io::Error::other(error.to_string())),
        });
        Channel { input: self.0.input, output: Box::pin(StreamReader::new(bytes)) }
    }
}

/// The agents of one trial.
pub struct RemoteAgents {
    engines: Engines,
    owner: Ownership,
    placement: Placement,
    containers: Vec<String>,
}

impl RemoteAgents {
    /// Creates the containers, but starts nothing. If something fails, removes what it created.
    ///
    /// # Errors
    /// When an engine refuses something.
    pub async fn create(
        engines: &Engines,
        (run, trial): (&str, &str),
        count: usize,
        images: &BTreeMap<String, String>,
        cores: &CoreSets,
    ) -> Result<Self, ClusterError> {
        let missing = || ClusterError::new("making the agents", "this program's image was not built");
        let image = images.get(PROGRAM).ok_or_else(missing)?;
        let owner = Ownership { run: run.to_owned(), trial: trial.to_owned() };
        let mut agents =
            Self { engines: engines.clone(), owner, placement: engines.place_agents(count), containers: Vec::new() };
        match agents.create_all(count, image, cores).await {
            Ok(()) => Ok(agents),
            Err(error) => Err(error.and_then(agents.destroy().await)),
        }
    }

    async fn create_all(&mut self, count: usize, image: &str, cores: &CoreSets) -> Result<(), ClusterError> {
        let no_files = BTreeMap::new();
        for number in 0..count {
            let name = agent_name(number);
            let spec = Spec::agent_of_host(&name, image, &no_files, cores);
            let host = self.host_of(&name).map(str::to_owned);
            let created = container::create(self.engine_of(&name), &self.owner, &BTreeMap::new(), &spec).await;
            self.containers.push(created.map_err(|error| error.of_host(host.as_deref()))?.0);
        }
        Ok(())
    }

    fn engine_of(&self, agent: &str) -> &Engine {
        self.engines.of(self.placement.get(agent))
    }

    /// The host of an agent.
    pub fn host_of(&self, agent: &str) -> Option<&str> {
        self.placement.get(agent).map(String::as_str)
    }

    /// Starts the agent with this number, from 0, and opens its control channel.
    ///
    /// # Errors
    /// When its engine refuses.
    pub async fn open(&self, number: usize) -> Result<Channel, ClusterError> {
        let name = agent_name(number);
        let missing = || ClusterError::new(format!("starting {name}"), "there is none of this name");
        let (engine, container) = (self.engine_of(&name), self.containers.get(number).ok_or_else(missing)?);
        let attached = attach(engine, container).await.map_err(|error| error.of_host(self.host_of(&name)))?;
        let started = engine.start_container(container).await;
        started.map_err(|error| ClusterError::new(format!("starting {container}"), error.to_string()))?;
        Ok(attached.channel())
    }

    /// Ends and removes all of them. Safe to call again.
    ///
    /// # Errors
    /// When an engine is away.
    pub async fn destroy(&self) -> Result<(), ClusterError> {
        let what = Removal::Trial { run: &self.owner.run, trial: &self.owner.trial };
        self.engines.remove(what).await.map(drop)
    }
}
