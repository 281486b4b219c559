//! Several agents that send one load, each its share of the users. The first one also checks the nodes and answers probes.
//! Their starts are agreed on by the first one's clock; their summaries and health are put together, their histories
//! are merged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::{join_all, select_all, try_join, try_join_all};
use tokio::time::timeout;

use super::clock_offset::ClockOffset;
use super::protocol::Walk;
use super::remote::{Agent, AgentError, LoadEvent, Probe, Prober};
use crate::cluster::{Channel, agent_name, unix_ns};
use crate::history::{AgentHealth, GeneratorHealth, Settled};
use crate::load::{Destination, Settle, Share, Workload};
use crate::traffic::Summary;

/// How long an agent may take to reach an endpoint.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long after the order several agents start, so that it has reached all of them.
const START_NOTICE: Duration = Duration::from_millis(500);

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

/// The start of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadStart {
    /// By the first agent's clock, in nanoseconds since 1970.
    unix_ns: u64,
    /// That clock, compared with this machine's.
    clock: ClockOffset,
}

impl LoadStart {
    /// The start by the clock by which a runtime tells the time, which is ahead of this machine's by `ahead_ns`, or is the first
    /// agent's itself (`None`). In nanoseconds since 1970.
    #[must_use]
    pub const fn by_clock(self, ahead_ns: Option<i64>) -> u64 {
        match ahead_ns {
            Some(ahead_ns) => self.clock.relative_to(ClockOffset::known(ahead_ns)).others_time_at(self.unix_ns),
            None => self.unix_ns,
        }
    }
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

    /// Lets all agents do something at the same time, each with its number. An error names its agent.
    async fn on_all<T>(
        &mut self,
        act: impl AsyncFn(usize, &mut Agent) -> Result<T, AgentError>,
    ) -> Result<Vec<T>, AgentError> {
        let (act, several) = (&act, self.count() > 1);
        try_join_all(
            self.all()
                .enumerate()
                .map(async |(number, agent)| act(number, agent).await.map_err(|error| named(several, number, error))),
        )
        .await
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
    /// The first agent's clock at the start.
    ///
    /// # Errors
    /// When an agent fails or is gone, or does not reach the system.
    pub async fn start_load(&mut self, workload: &Workload, agent_of_user: &[u32]) -> Result<LoadStart, AgentError> {
        if self.others.is_empty() {
            self.first.prepare_load(workload.clone()).await?;
            let clock = self.first.clock_offset().await?;
            return Ok(LoadStart { unix_ns: self.first.start_load(None).await?, clock });
        }
        self.check_reach(&workload.destination).await?;
        self.on_all(async |number, agent: &mut Agent| {
            let share = Share::of(u32::try_from(number).unwrap_or(u32::MAX), agent_of_user);
            agent.prepare_load(Workload { share, ..workload.clone() }).await
        })
        .await?;
        // Now that none has anything else to do, they answer soonest.
        let (first, offsets) = self.clock_offsets().await?;
        let agreed_unix_ns = first.time_at(unix_ns()) + u64::try_from(START_NOTICE.as_nanos()).unwrap_or(u64::MAX);
        let started = self.on_all(async |number, agent: &mut Agent| {
            let offset = offsets.get(number).copied().unwrap_or(ClockOffset::NONE);
            let ordered_unix_ns = offset.time_at(agreed_unix_ns);
            let started_unix_ns = agent.start_load(Some(ordered_unix_ns)).await?;
            Ok((offset, started_unix_ns.saturating_sub(ordered_unix_ns)))
        });
        let started = started.await?;
        let first_late_ns = started.first().map_or(0, |(_, late_ns)| *late_ns);
        for (health, (offset, late_ns)) in self.health.iter_mut().zip(started) {
            *health = AgentHealth {
                clock_ahead_ns: offset.ahead_ns,
                clock_error_ns: offset.error_ns,
                late_ns: late_ns.abs_diff(first_late_ns),
                ..std::mem::take(health)
            };
        }
        Ok(LoadStart { unix_ns: agreed_unix_ns + first_late_ns, clock: first })
    }

    /// The first agent's clock compared with this machine's, and each agent's with that of the first one.
    async fn clock_offsets(&mut self) -> Result<(ClockOffset, Vec<ClockOffset>), AgentError> {
        let offsets = self.on_all(async |_, agent: &mut Agent| agent.clock_offset().await).await?;
        let Some(first) = offsets.first().copied() else {
            return Err(AgentError::Gone("the trial has none".to_owned()));
        };
        let others = offsets.into_iter().skip(1).map(|offset| offset.relative_to(first));
        Ok((first, std::iter::once(ClockOffset::NONE).chain(others).collect()))
    }

    /// Clocks go apart. What they have been compared to before the load may be wrong by as much as they have gone since.
    async fn compare_clocks_again(&mut self) -> Result<(), AgentError> {
        let (_, offsets) = self.clock_offsets().await?;
        for (health, offset) in self.health.iter_mut().zip(offsets) {
            health.clock_error_ns = health.clock_error_ns.max(offset.error_of(health.clock_ahead_ns));
        }
        Ok(())
    }

    /// The first agent was told by the nodes' readiness that it reaches them; the others ask each endpoint once. Any reply will do.
    async fn check_reach(&self, destination: &Destination) -> Result<(), AgentError> {
        let Some(scheme) = destination.protocol.scheme() else { return Ok(()) };
        let ask = async |(number, agent): (usize, &Agent)| {
            for endpoint in &destination.endpoints {
                if let Probe::Silent(reason) =
                    agent.prober().probe(&format!("{scheme}://{endpoint}/"), REACH_TIMEOUT).await
                {
                    let reason = format!("it does not reach {endpoint}: {reason}");
                    return Err(named(true, number + 1, AgentError::Failed(reason)));
                }
            }
            Ok(())
        };
        try_join_all(self.others.iter().enumerate().map(ask)).await.map(drop)
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
        // An agent without users ends at once.
        let count = self.done.iter().filter(|done| !**done).count();
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
        if !self.others.is_empty() {
            self.compare_clocks_again().await?;
        }
        let reads = self.on_all(async |_, agent: &mut Agent| agent.final_read(nodes.clone(), settle).await).await?;
        let none =
            FinalRead { sessions: 0, unanswered: 0, settled: Settled { has_settled: true, ..Settled::default() } };
        Ok(reads.into_iter().fold(none, |sum, (sessions, unanswered, settled)| FinalRead {
            sessions: sum.sessions + sessions,
            unanswered: sum.unanswered + unanswered,
            settled: sum.settled.and(settled),
        }))
    }

    /// The histories, with all operations so far: each agent writes a file to its sink, in the order of the agents, within
    /// `limit` if there is one. All are asked even if one fails.
    ///
    /// # Errors
    /// For each agent: when it fails or is gone or takes too long, or its sink fails.
    pub async fn histories(
        &mut self,
        sinks: &mut [tokio::fs::File],
        limit: Option<Duration>,
    ) -> Vec<Result<(), AgentError>> {
        let several = self.count() > 1;
        let histories = (0..).zip(self.all()).zip(sinks).map(async |((number, agent), sink)| {
            let history = agent.history(sink);
            let history = match limit {
                Some(limit) => timeout(limit, history).await.unwrap_or(Err(AgentError::TooSlow(limit.as_secs()))),
                None => history.await,
            };
            history.map_err(|error| named(several, number, error))
        });
        join_all(histories).await
    }
}

/// Says which of several agents failed.
fn named(several: bool, number: usize, error: AgentError) -> AgentError {
    if several { AgentError::OfOne { agent: agent_name(number), error: Box::new(error) } } else { error }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream};
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::agent::protocol::Message;

    /// Agents whose messages the test writes, in the load.
    async fn scripted(count: usize) -> (Agents, Vec<DuplexStream>) {
        let (mut channels, mut agents) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            say(&mut far, &Message::Ready).await;
            let (output, input) = tokio::io::split(near);
            channels.push(Channel { input: Box::pin(input), output: Box::pin(output) });
            agents.push(far);
        }
        let first = channels.remove(0);
        (Agents::connect(first, channels).await.unwrap(), agents)
    }

    async fn say(agent: &mut DuplexStream, message: &Message) {
        let mut line = serde_json::to_vec(message).unwrap();
        line.push(b'\n');
        agent.write_all(&line).await.unwrap();
    }

    fn second(number: u64, ok: u64) -> Message {
        Message::Summary(Summary { at_ns: number * 1_000_000_000, ok, ..Summary::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_is_silent_while_others_talk_is_named_after_30_s() {
        let (mut agents, mut scripts) = scripted(2).await;
        let talking = tokio::spawn(async move {
            for number in 1.. {
                sleep(Duration::from_secs(1)).await;
                say(&mut scripts[0], &second(number, 1)).await;
            }
        });
        let began = Instant::now();
        let error = agents.next_load_event().await.unwrap_err();
        insta::assert_snapshot!(error, @"agent-2: the agent was expected to say a summary and said nothing for 30 s: it hangs, or its machine is too busy");
        assert!(began.elapsed() < Duration::from_secs(32), "{:?}", began.elapsed());
        talking.abort();
    }

    #[tokio::test]
    async fn a_second_is_told_when_all_that_still_send_have_told_it() {
        let (mut agents, mut scripts) = scripted(3).await;
        let health = |started| GeneratorHealth { offered: started, started, ..GeneratorHealth::default() };
        // The third one has no users.
        say(&mut scripts[2], &Message::LoadDone(health(0))).await;
        for (agent, ok) in [(0, 3), (1, 4)] {
            say(&mut scripts[agent], &second(1, ok)).await;
            say(&mut scripts[agent], &Message::LoadDone(health(ok))).await;
        }
        let LoadEvent::Summary(summary) = agents.next_load_event().await.unwrap() else { panic!("no second") };
        assert_eq!(summary.ok, 7);
        assert_eq!(agents.next_load_event().await.unwrap(), LoadEvent::Done(health(7)));
        let of_each: Vec<(&str, u64)> =
            agents.health().iter().map(|one| (one.name.as_str(), one.health.started)).collect();
        assert_eq!(of_each, [("agent", 3), ("agent-2", 4), ("agent-3", 0)]);
    }

    #[test]
    fn the_start_is_told_by_the_clock_of_the_run() {
        // The agent's clock is 400 ms ahead of this machine's, and the run's clock 100 ms.
        let clock = ClockOffset { ahead_ns: 400_000_000, error_ns: 1_000_000 };
        let start = LoadStart { unix_ns: 10_000_000_000, clock };
        assert_eq!(start.by_clock(Some(100_000_000)), 9_700_000_000);
        assert_eq!(start.by_clock(None), 10_000_000_000);
        // Within the error, both are one clock.
        assert_eq!(start.by_clock(Some(400_500_000)), 10_000_000_000);
    }
}
