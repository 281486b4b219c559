//! Several agents that send one load, each its share of the users. The first one also checks the nodes and answers probes.
//! Their starts are agreed on by the first one's clock; their summaries and health are put together, their histories
//! are merged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::{join_all, select_all, try_join, try_join_all};

use super::clock_offset::{ClockOffset, unix_ns};
use super::protocol::Walk;
use super::remote::{Agent, AgentError, LoadEvent, Prober};
use crate::cluster::{Channel, agent_name};
use crate::history::{AgentHealth, GeneratorHealth, Settled};
use crate::load::{Settle, Share, Workload};
use crate::traffic::Summary;

/// How long after the order several agents start, so that it has reached all of them.
const NOTICE: Duration = Duration::from_millis(500);

/// The agents of a trial, at least one.
pub struct Agents {
    first: Agent,
    others: Vec<Agent>,
    /// In the order of the agents; complete once the load has started.
    health: Vec<AgentHealth>,
    /// Which agents have ended their load.
    done: Vec<bool>,
    /// Summaries of seconds that not all agents have reported: how many have, and the sum.
    seconds: BTreeMap<u64, (usize, Summary)>,
}

/// What came of the final read of all agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalRead {
    /// How many sessions there were to read.
    pub sessions: u32,
    /// How many of them gave no complete reply after all tries.
    pub unanswered: u32,
    /// How long states changed before that.
    pub settled: Settled,
}

impl Agents {
    /// Connects to agents that have just been started, over their channels.
    ///
    /// # Errors
    /// When one does not say that it is ready.
    pub async fn connect(first: Channel, others: Vec<Channel>) -> Result<Self, AgentError> {
        let several = !others.is_empty();
        let connect = async |(number, channel): (usize, Channel)| {
            Agent::connect(channel).await.map_err(|error| named(several, number, error))
        };
        let others =
            try_join_all(others.into_iter().enumerate().map(|(number, channel)| connect((number + 1, channel))));
        let (first, others) = try_join(connect((0, first)), others).await?;
        let health = (0..=others.len()).map(|number| AgentHealth { name: agent_name(number), ..Default::default() });
        let done = vec![false; others.len() + 1];
        Ok(Self { first, health: health.collect(), done, others, seconds: BTreeMap::new() })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.others.len() + 1
    }

    /// Probes nodes through the first agent.
    #[must_use]
    pub fn prober(&self) -> Prober {
        self.first.prober()
    }

    /// What each agent did, once the load has ended; empty if there is only one.
    #[must_use]
    pub fn health(&self) -> &[AgentHealth] {
        if self.others.is_empty() { &[] } else { &self.health }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Agent> {
        std::iter::once(&mut self.first).chain(&mut self.others)
    }

    /// See [`Agent::preflight`].
    ///
    /// # Errors
    /// When the agent fails or is gone.
    pub async fn preflight(
        &mut self,
        nodes: BTreeMap<String, SocketAddr>,
        workload: Workload,
    ) -> Result<Vec<String>, AgentError> {
        self.first.preflight(nodes, workload).await
    }

    /// See [`Agent::register`].
    ///
    /// # Errors
    /// When the agent fails or is gone.
    pub async fn register(&mut self, workload: Workload) -> Result<Option<String>, AgentError> {
        self.first.register(workload).await
    }

    /// See [`Agent::walk`].
    ///
    /// # Errors
    /// When the agent fails or is gone.
    pub async fn walk(&mut self, address: SocketAddr, workload: Workload) -> Result<Walk, AgentError> {
        self.first.walk(address, workload).await
    }

    /// Starts the load: prepares it everywhere, and lets all agents start at the same instant. `agent_of_user` names the agent
    /// of each user of a period, see [`Share::of`].
    ///
    /// # Returns
    /// The first agent's clock at the start, in nanoseconds since 1970.
    ///
    /// # Errors
    /// When an agent fails or is gone.
    pub async fn start_load(&mut self, workload: &Workload, agent_of_user: &[u32]) -> Result<u64, AgentError> {
        if self.others.is_empty() {
            self.first.prepare_load(workload.clone()).await?;
            return self.first.start_load(None).await;
        }
        let prepare = async |(number, agent): (usize, &mut Agent)| {
            let share = Share::of(u32::try_from(number).unwrap_or(u32::MAX), agent_of_user);
            let prepared = async {
                agent.prepare_load(Workload { share, ..workload.clone() }).await?;
                // Now that it has nothing else to do, it answers soonest.
                agent.clock_offset().await
            };
            prepared.await.map_err(|error| named(true, number, error))
        };
        let offsets = try_join_all(self.all().enumerate().map(prepare)).await?;
        let Some(first) = offsets.first().copied() else { return Err(AgentError::Gone("there is none".to_owned())) };
        let agreed_unix_ns = first.time_at(unix_ns()) + u64::try_from(NOTICE.as_nanos()).unwrap_or(u64::MAX);
        let start = async |(number, (agent, offset)): (usize, (&mut Agent, ClockOffset))| {
            let offset = if number == 0 { ClockOffset::NONE } else { offset.relative_to(first) };
            let ordered_unix_ns = offset.time_at(agreed_unix_ns);
            let started = agent.start_load(Some(ordered_unix_ns)).await;
            let started_unix_ns = started.map_err(|error| named(true, number, error))?;
            Ok((offset, started_unix_ns.saturating_sub(ordered_unix_ns)))
        };
        let started = try_join_all(self.all().zip(offsets).enumerate().map(start)).await?;
        for (health, (offset, late_ns)) in self.health.iter_mut().zip(started) {
            *health = AgentHealth {
                clock_ahead_ns: offset.ahead_ns,
                clock_error_ns: offset.error_ns,
                late_ns,
                ..std::mem::take(health)
            };
        }
        Ok(agreed_unix_ns + self.health.first().map_or(0, |first| first.late_ns))
    }

    /// Waits for the next event of the load: a second that all agents have reported, or the end. Cancel-safe, as
    /// [`Agent::next_load_event`] is.
    ///
    /// # Errors
    /// When an agent fails or is gone.
    pub async fn next_load_event(&mut self) -> Result<LoadEvent, AgentError> {
        loop {
            let done = self.done.clone();
            if done.iter().all(|done| *done) {
                let sum = self.health.iter().fold(GeneratorHealth::default(), |sum, one| sum.and(one.health));
                return Ok(LoadEvent::Done(sum));
            }
            let waiting = self.all().enumerate().filter(|(number, _)| done.get(*number) == Some(&false));
            let events: Vec<_> = waiting
                .map(|(number, agent)| Box::pin(async move { (number, agent.next_load_event().await) }))
                .collect();
            let ((number, event), ..) = select_all(events).await;
            match event.map_err(|error| named(done.len() > 1, number, error))? {
                LoadEvent::Summary(summary) => {
                    if let Some(whole) = self.add_second(summary) {
                        return Ok(LoadEvent::Summary(whole));
                    }
                }
                LoadEvent::Done(health) => {
                    if let (Some(of_agent), Some(done)) = (self.health.get_mut(number), self.done.get_mut(number)) {
                        (of_agent.health, *done) = (health, true);
                    }
                }
            }
        }
    }

    /// Adds one agent's second; returns the sum once all have reported it.
    fn add_second(&mut self, summary: Summary) -> Option<Summary> {
        let count = self.count();
        let (reported, sum) = self.seconds.entry(summary.at_ns).or_default();
        *reported += 1;
        *sum = sum.and(summary);
        if *reported < count {
            return None;
        }
        self.seconds.remove(&summary.at_ns).map(|(_, sum)| sum)
    }

    /// Waits until states have settled, and reads every session; all agents at the same time.
    ///
    /// # Errors
    /// When an agent fails or is gone.
    pub async fn final_read(
        &mut self,
        nodes: &BTreeMap<String, SocketAddr>,
        settle: Settle,
    ) -> Result<FinalRead, AgentError> {
        let several = self.count() > 1;
        let read = async |(number, agent): (usize, &mut Agent)| {
            let read = agent.final_read(nodes.clone(), settle).await;
            read.map_err(|error| named(several, number, error))
        };
        let reads = try_join_all(self.all().enumerate().map(read)).await?;
        let none =
            FinalRead { sessions: 0, unanswered: 0, settled: Settled { has_settled: true, ..Settled::default() } };
        Ok(reads.into_iter().fold(none, |sum, (sessions, unanswered, settled)| FinalRead {
            sessions: sum.sessions + sessions,
            unanswered: sum.unanswered + unanswered,
            settled: sum.settled.and(settled),
        }))
    }

    /// The histories, with all operations so far: each agent writes a file to its sink, in the order of the agents. All are
    /// asked even if one fails.
    ///
    /// # Errors
    /// For each agent: when it fails or is gone, or its sink fails.
    pub async fn histories(&mut self, sinks: &mut [tokio::fs::File]) -> Vec<Result<(), AgentError>> {
        let several = self.count() > 1;
        let histories = (0..).zip(self.all()).zip(sinks).map(async |((number, agent), sink)| {
            agent.history(sink).await.map_err(|error| named(several, number, error))
        });
        join_all(histories).await
    }
}

/// Says which of several agents failed.
fn named(several: bool, number: usize, error: AgentError) -> AgentError {
    if several { AgentError::OfOne { agent: agent_name(number), error: Box::new(error) } } else { error }
}
