//! The engines on which a run's containers live: one, or one on each host of a file, which Docker's swarm has joined.

use std::collections::BTreeMap;

use futures::future::{join_all, try_join_all};

use super::cleanup::Removed;
use super::swarm::{self, Member};
use super::{Engine, Leftovers, RUN_LABEL, TOOLBOX};
use crate::cluster::{ClusterError, agent_name};
use crate::hosts::{Host, Hosts, Placement, Room, place};
use crate::topology::{AddressRange, Shape, Subnets, Target, Topology};

/// One engine, or several that one of them manages.
#[derive(Clone)]
pub struct Engines {
    /// Makes images and networks. If it is alone, it runs all nodes.
    manager: Engine,
    several: Option<Several>,
}

#[derive(Clone)]
struct Several {
    hosts: Hosts,
    /// By host, with the manager.
    engines: BTreeMap<String, Engine>,
    /// How far the manager's clock is ahead of this machine's.
    manager_ahead_ns: i64,
}

/// What is removed from all engines.
#[derive(Clone, Copy, Debug)]
pub enum Removal<'a> {
    /// All of a run.
    Run(&'a str),
    /// All of a trial.
    Trial {
        /// Its run.
        run: &'a str,
        /// The trial.
        trial: &'a str,
    },
}

impl Removal<'_> {
    async fn remove(self, host: Option<&str>, engine: &Engine) -> Result<Removed, ClusterError> {
        let removed = async {
            let found = match self {
                Self::Run(run) => Leftovers::find(engine, Some(&format!("{RUN_LABEL}={run}"))).await?,
                Self::Trial { run, trial } => Leftovers::of_trial(engine, run, trial).await?,
            };
            found.remove(engine).await
        };
        removed.await.map_err(|error: ClusterError| error.of_host(host))
    }
}

impl From<Engine> for Engines {
    fn from(engine: Engine) -> Self {
        Self { manager: engine, several: None }
    }
}

impl Engines {
    /// Connects to the engines of all hosts, which must be able to run a cluster together.
    ///
    /// # Errors
    /// When an engine does not answer; or with all that keeps them from running a cluster together.
    pub async fn of_hosts(hosts: Hosts) -> Result<Self, ClusterError> {
        let members = swarm::ask(&hosts).await.into_iter().collect::<Result<Vec<Member>, ClusterError>>()?;
        let problems = swarm::problems_of(&hosts, &members).await?;
        let doing = || format!("using the hosts of {}", hosts.file);
        if !problems.is_empty() {
            return Err(ClusterError::new(doing(), problems.join("\n  ")));
        }
        let clock_of = |member: &Member| member.membership.clock_ms;
        let manager = members.iter().find(|member| hosts.is_manager(&member.host));
        let no_manager = || ClusterError::new(doing(), "none of them manages the swarm");
        let (manager, its_clock) =
            manager.map(|member| (member.engine.clone(), clock_of(member))).ok_or_else(no_manager)?;
        let with_clock = |member: Member| {
            let ahead_ns = swarm::ahead_ns(clock_of(&member), its_clock);
            let engine = member.engine.with_clock_ahead(ahead_ns);
            let engine = if hosts.is_manager(&member.host) { engine } else { engine.led_by_another() };
            (member.host.name, engine)
        };
        let engines = members.into_iter().map(with_clock).collect();
        let manager_ahead_ns = swarm::ahead_ns(its_clock, Some((0.0, 0.0)));
        Ok(Self { manager, several: Some(Several { hosts, engines, manager_ahead_ns }) })
    }

    /// The same engines, with networks in the user's address range, if any.
    #[must_use]
    pub fn with_addresses(mut self, range: Option<AddressRange>) -> Self {
        self.manager = self.manager.with_addresses(range);
        self
    }

    /// The engine that makes images and networks.
    #[must_use]
    pub const fn manager(&self) -> &Engine {
        &self.manager
    }

    /// How far the clock by which a run tells the time is ahead of this machine's, as far as is known. In nanoseconds.
    #[must_use]
    pub fn clock_ahead_ns(&self) -> i64 {
        self.several.as_ref().map_or(0, |several| several.manager_ahead_ns)
    }

    /// The engines that nodes may run on, each with its host's name, if it has one.
    pub fn of_nodes(&self) -> impl Iterator<Item = (Option<&str>, &Engine)> {
        let manager = self.manager_host();
        self.iter().filter(move |(host, _)| host.is_none() || *host != manager)
    }

    /// Whether there are hosts, even if only one.
    #[must_use]
    pub const fn has_hosts(&self) -> bool {
        self.several.is_some()
    }

    /// The largest packet of the networks in common, if the user has chosen it. In bytes.
    pub(super) fn mtu_bytes(&self) -> Option<u32> {
        self.several.as_ref()?.hosts.mtu_bytes
    }

    /// The image that clusters on them need besides those of their targets.
    #[must_use]
    pub fn needs(&self) -> Option<&'static str> {
        // Of the sandboxes, which tell nodes on an overlay the way to the clients.
        self.has_hosts().then_some(TOOLBOX)
    }

    /// The engine of a host; the manager for what is on none.
    pub(super) fn of(&self, host: Option<&String>) -> &Engine {
        let engines = self.several.as_ref().map(|several| &several.engines);
        host.zip(engines).and_then(|(host, engines)| engines.get(host)).unwrap_or(&self.manager)
    }

    /// All engines, each with its host's name, if it has one; the manager comes last.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&str>, &Engine)> {
        let manager = self.manager_host();
        let others = self.several.iter().flat_map(|several| &several.engines);
        let others =
            others.map(|(host, engine)| (Some(host.as_str()), engine)).filter(move |(host, _)| *host != manager);
        others.chain([(manager, &self.manager)])
    }

    /// Whether what is on this host, or on none, goes by the manager's clock.
    pub(super) fn is_manager(&self, host: Option<&String>) -> bool {
        host.is_none_or(|host| self.manager_host() == Some(host))
    }

    fn manager_host(&self) -> Option<&str> {
        Some(self.several.as_ref()?.hosts.manager()?.name.as_str())
    }

    /// The host of each node and of each agent; empty without hosts.
    ///
    /// # Errors
    /// When a node finds no host.
    pub fn place(&self, topology: &Topology) -> Result<Placement, ClusterError> {
        let Some(Several { hosts, engines, .. }) = &self.several else { return Ok(Placement::new()) };
        let nodes_may_use = hosts.iter().filter(|host| !hosts.is_manager(host));
        let rooms = nodes_may_use.filter_map(|host| {
            let engine = engines.get(&host.name)?;
            Some(Room { host, cores: host.cores.unwrap_or(engine.facts().cores as f64) })
        });
        let rooms: Vec<_> = rooms.collect();
        let mut placement = place(hosts.placement, &rooms, &topology.nodes).map_err(|unplaced| {
            ClusterError::new(format!("dealing out nodes to the hosts of {}", hosts.file), unplaced.to_string())
        })?;
        placement.extend(self.place_agents(topology.agents));
        Ok(placement)
    }

    /// The host of each agent; empty without hosts.
    pub(super) fn place_agents(&self, count: usize) -> Placement {
        let Some(Several { hosts, .. }) = &self.several else { return Placement::new() };
        let of_agents: Vec<&Host> = hosts.of_agents().collect();
        let agents = (0..count).zip(of_agents.iter().cycle());
        agents.map(|(number, host)| (agent_name(number), host.name.clone())).collect()
    }

    /// Checks that each node of a target finds a host, before anything is built for it.
    ///
    /// # Errors
    /// When one does not, or Compose would have to deal them out.
    pub fn check(&self, target: &Target, shape: impl Into<Shape>) -> Result<(), ClusterError> {
        if !self.has_hosts() || target.attached.is_some() {
            return Ok(());
        }
        if target.compose.is_some() {
            let reason = "Compose starts all services of a project on one engine, and cannot deal them out to hosts";
            return Err(ClusterError::new(format!("starting {} on several hosts", target.name), reason)
                .advise("leave --hosts out, or write a target whose tiers name images"));
        }
        self.place(&Topology::resolve(target, shape, Subnets::SAMPLE)?).map(drop)
    }

    /// Does something on all engines at once.
    ///
    /// # Errors
    /// The first one; names the host.
    pub async fn on_all<T>(
        &self,
        act: impl AsyncFn(&Engine) -> Result<T, ClusterError>,
    ) -> Result<Vec<T>, ClusterError> {
        let act = &act;
        try_join_all(self.iter().map(async |(host, engine)| act(engine).await.map_err(|error| error.of_host(host))))
            .await
    }

    /// Removes something on each engine: containers everywhere before the manager's networks, because an engine that
    /// still has a container in one keeps it. Goes on where one engine fails.
    ///
    /// # Errors
    /// The first one; names the host.
    pub async fn remove(&self, what: Removal<'_>) -> Result<Removed, ClusterError> {
        let all: Vec<_> = self.iter().collect();
        let Some(((host, manager), others)) = all.split_last() else { return Ok(Removed::default()) };
        let mut results = join_all(others.iter().map(|(host, engine)| what.remove(*host, engine))).await;
        results.push(what.remove(*host, manager).await);
        results.into_iter().try_fold(Removed::default(), |sum, removed| Ok(sum + removed?))
    }
}
