//! Conducts one trial on a cluster that has been created: starts the nodes, sends the traffic, plays the faults, lets
//! states settle, reads every session, and saves the history. Works on any runtime.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::Interrupt;
use super::balancer::{self, BalancerStatistics};
use super::event::TrialEvent;
use super::faults::{FaultLog, HealFailed, LoadClock, Player};
use super::sampler::{Sampled, Sampler};
use super::unplanned;
use crate::agent::fleet::{Agents, FinalRead};
use crate::agent::readiness;
use crate::agent::remote::{AgentError, LoadEvent, Prober};
use crate::cluster::{Cluster, ClusterError, NodeState};
use crate::conclude::TrialContext;
use crate::history::{FaultRecord, GeneratorHealth, LinkSample, NodeSample, SessionHistories, Settled, merge};
use crate::load::{
    Destination, Generator, Lifetime, Population, SessionSettings, Settle, Share, Timing, Users, Workload,
};
use crate::measure::{AgentsOfTrial, Internals};
use crate::plan::TrialPlan;
use crate::profile::Sessions;
use crate::record::{Journal, Stage};
use crate::topology::{Node, Subnets, Tier, Topology};
use crate::values::{Time, Within};
use futures::future::{join_all, try_join, try_join_all};

/// How long a node may take to become ready.
const READY_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a node may take that Compose has found healthy.
const READY_AFTER_COMPOSE: Duration = Duration::from_secs(30);
/// How long a node may take that runs already.
const READY_WHERE_ATTACHED: Duration = Duration::from_secs(5);
/// How long sessions may still change after the load.
const MAX_SETTLE: Time = Time::from_millis(30_000);
/// How long a node may take to collect its garbage and count its sessions.
const INTERNALS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an interrupted trial waits for its history.
const INTERRUPTED_HISTORY: Duration = Duration::from_secs(30);

/// The results of a trial, as far as it got.
#[derive(Default)]
pub struct Conducted {
    /// Whether the history was saved.
    pub has_history: bool,
    /// One record per fault, with its observed steps.
    pub faults: Vec<FaultRecord>,
    /// CPU, memory and traffic of the nodes.
    pub samples: Vec<NodeSample>,
    /// What nodes had sent to nodes on other hosts.
    pub links: Vec<LinkSample>,
    /// The wall clock at the start of the load, in nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// The reply of each app node to `/internals` at the end.
    pub internals: BTreeMap<String, Internals>,
    /// What the balancers published in the end.
    pub balancer: BalancerStatistics,
    /// What the schedule asked for and what was started.
    pub health: GeneratorHealth,
    /// Who sent it, if there were several agents.
    pub agents: AgentsOfTrial,
    /// How long states changed after the load.
    pub settled: Option<Settled>,
    /// Why operations are missing in the history.
    pub missing: Vec<String>,
    /// Why the trial is inconclusive.
    pub inconclusive_reasons: Vec<String>,
    /// Whether the user interrupted it.
    pub interrupted: bool,
}

/// Starts every node and the agents, and waits until all are ready.
///
/// # Errors
/// When a node does not start or does not become ready.
pub async fn bring_up<C: Cluster>(cluster: &C) -> Result<Agents, ClusterError> {
    cluster.launch().await?;
    let within = ready_within(cluster.topology());
    let mut waves = waves(cluster.topology()).into_iter();
    let first = waves.next().unwrap_or_default();
    let others = (1..cluster.topology().agents).map(|number| cluster.open_agent(number));
    let opening = try_join(cluster.open_agent(0), try_join_all(others));
    let ((channel, others), ()) = try_join(opening, start(cluster, &first)).await?;
    let gone = |error: AgentError| ClusterError::new("starting the agents", error.to_string());
    let agents = Agents::connect(channel, others).await.map_err(gone)?;
    let prober = agents.prober();
    let serving = |node| readiness::wait_until_serving(cluster, &prober, node, within);
    try_join_all(first.into_iter().map(serving)).await?;
    for wave in waves {
        start(cluster, &wave).await?;
        try_join_all(wave.into_iter().map(serving)).await?;
    }
    let ready = |node| readiness::wait_until_ready(cluster, &prober, node, within);
    try_join_all(cluster.topology().nodes.iter().filter(|node| !node.is_standby).map(ready)).await?;
    Ok(agents)
}

async fn start<C: Cluster>(cluster: &C, wave: &[&Node]) -> Result<(), ClusterError> {
    try_join_all(wave.iter().map(|node| cluster.start(&node.name))).await.map(drop)
}

const fn ready_within(topology: &Topology) -> Duration {
    match (&topology.target.attached, &topology.target.compose) {
        (Some(_), _) => READY_WHERE_ATTACHED,
        (None, Some(_)) => READY_AFTER_COMPOSE,
        (None, None) => READY_TIMEOUT,
    }
}

/// Groups the nodes into waves. The nodes of a wave start concurrently, once the wave before serves. Stores start
/// first, because apps connect to them; the balancer starts last, so that it finds every app node up. If the app nodes
/// form a cluster, one starts before the others: two that start at the same instant wait for each other's sessions
/// until a timeout.
fn waves(topology: &Topology) -> Vec<Vec<&Node>> {
    let mut waves: Vec<Vec<&Node>> = Vec::new();
    for tier in [Tier::Store, Tier::App, Tier::Balancer] {
        let mut nodes = topology.tier(tier).filter(|node| !node.is_standby);
        if tier == Tier::App && topology.target.app_nodes_form_a_cluster() {
            waves.push(nodes.next().into_iter().collect());
        }
        waves.push(nodes.collect());
    }
    waves.retain(|wave| !wave.is_empty());
    waves
}

/// The files that a trial writes while it runs.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// The history, written at the end.
    pub history: &'a Path,
    /// Each step of each fault, written at once.
    pub journal: &'a Journal,
}

/// Conducts a trial on a cluster whose nodes are ready, and writes its files.
pub async fn conduct<C: Cluster>(
    cluster: &C,
    mut agents: Agents,
    plan: &TrialPlan,
    files: Files<'_>,
    mut interrupt: Interrupt,
    say: &(dyn Fn(TrialEvent) + Sync),
) -> Conducted {
    let mut conducted = Conducted::default();
    say(TrialEvent::Stage(Stage::Load));
    let Some(workload) = workload(cluster, plan) else {
        conducted.inconclusive_reasons.push("the target has no balancer that takes requests".to_owned());
        return conducted;
    };
    let of_user = agent_of_user(&workload, agents.count());
    let begun = tokio::select! {
        begun = begin(cluster, &mut agents, &workload, &of_user) => begun,
        _ = interrupt.wait_for(Option::is_some) => {
            conducted.interrupted = true;
            Err(vec![TrialContext::INTERRUPTED.to_owned()])
        }
    };
    conducted.started_unix_ns = match begun {
        Ok(unix_ns) => unix_ns,
        Err(inconclusive_reasons) => {
            conducted.inconclusive_reasons.extend(inconclusive_reasons);
            return conducted;
        }
    };
    let time = LoadClock::started_at(conducted.started_unix_ns, cluster.clock_ahead_ns());
    let sampler = Sampler::default();
    let log = FaultLog::new(files.journal);
    tokio::select! {
        result = load_and_settle(cluster, &mut agents, plan, time, &sampler, &log, say) => match result {
            Ok(Loaded { health, settled, inconclusive_reasons }) => {
                conducted.health = health;
                conducted.settled = Some(settled);
                conducted.inconclusive_reasons.extend(inconclusive_reasons);
            }
            Err(error) => conducted.inconclusive_reasons.push(error),
        },
        _ = interrupt.wait_for(Option::is_some) => {
            conducted.interrupted = true;
            conducted.inconclusive_reasons.push(TrialContext::INTERRUPTED.to_owned());
        }
    }
    say(TrialEvent::Stage(Stage::Collect));
    conducted.faults = log.into_records();
    let Sampled { samples, links, failures } = sampler.into_samples();
    (conducted.samples, conducted.links) = (samples, links);
    if failures > 0 {
        say(TrialEvent::Fault(&format!("{failures} samples of the nodes failed")));
    }
    if !conducted.interrupted {
        conducted
            .inconclusive_reasons
            .extend(unplanned::ends(cluster, &conducted.faults, conducted.started_unix_ns).await);
        conducted.balancer = balancer::ask(cluster.topology(), &agents.prober()).await;
        conducted.internals = internals(cluster, &agents.prober()).await;
    }
    if agents.count() > 1 {
        conducted.agents = AgentsOfTrial { each: agents.health().to_vec(), of_user };
    }
    let limit = conducted.interrupted.then_some(INTERRUPTED_HISTORY);
    match save_history(&mut agents, files.history, limit).await {
        Ok(missing) => {
            conducted.has_history = true;
            conducted.missing = missing;
        }
        Err(error) => {
            conducted.inconclusive_reasons.push(format!("there is no history: {error}"));
            // An incomplete history is of no use, and on a full disk the removal frees room for the other files.
            let _ = tokio::fs::remove_file(files.history).await;
        }
    }
    conducted
}

/// Runs the preflight and starts the load. Returns the wall clock at its start, in nanoseconds since 1970, or why it
/// did not start.
async fn begin<C: Cluster>(
    cluster: &C,
    agents: &mut Agents,
    workload: &Workload,
    agent_of_user: &[u32],
) -> Result<u64, Vec<String>> {
    let clock_ahead_ns = (!cluster.first_agent_has_its_clock()).then(|| cluster.clock_ahead_ns());
    let reasons = |error: AgentError| vec![error.to_string()];
    if let Some(failure) = agents.register(workload.clone()).await.map_err(reasons)? {
        return Err(vec![failure]);
    }
    let failures = agents.preflight(started_apps(cluster), workload.clone()).await.map_err(reasons)?;
    if !failures.is_empty() {
        return Err(failures);
    }
    let start = agents.start_load(workload, agent_of_user).await.map_err(reasons)?;
    Ok(start.by_clock(clock_ahead_ns))
}

/// Saves the history of the only agent as it is, and those of several merged.
///
/// # Returns
/// Why operations are missing in it, if an agent did not hand its own over.
async fn save_history(agents: &mut Agents, file: &Path, limit: Option<Duration>) -> Result<Vec<String>, String> {
    let unusable = |error: std::io::Error| format!("{}: {error}", file.display());
    if agents.count() == 1 {
        let sink = tokio::fs::File::create(file).await.map_err(unusable)?;
        let saved = agents.histories(&mut [sink], limit).await.into_iter().collect::<Result<(), AgentError>>();
        return saved.map(|()| Vec::new()).map_err(|error| error.to_string());
    }
    // Beside the history, where there is room for them, and without names, so that they cannot become leftovers.
    let folder = file.parent().unwrap_or(Path::new("."));
    let parts = (0..agents.count()).map(|_| tempfile::tempfile_in(folder)).collect::<Result<Vec<_>, _>>();
    let mut parts: Vec<_> = parts.map_err(unusable)?.into_iter().map(tokio::fs::File::from_std).collect();
    let saved = agents.histories(&mut parts, limit).await;
    let parts = join_all(parts.into_iter().map(tokio::fs::File::into_std)).await;
    let (there, missing): (Vec<_>, Vec<_>) = parts.into_iter().zip(saved).partition(|(_, saved)| saved.is_ok());
    let missing: Vec<String> =
        missing.into_iter().filter_map(|(_, saved)| Some(format!("there is no history of {}", saved.err()?))).collect();
    if there.is_empty() {
        return Err(missing.join("; "));
    }
    let sink = std::fs::File::create(file).map_err(unusable)?;
    let merging = tokio::task::spawn_blocking(move || {
        let parts = there.into_iter().map(|(part, _)| SessionHistories::of(part)).collect::<Result<Vec<_>, _>>()?;
        merge(parts, sink).map(drop)
    });
    let merged =
        merging.await.map_err(|_| "the histories of the agents could not be merged: a defect of this program")?;
    merged.map_err(|error| format!("the histories of the agents cannot be merged: {error}"))?;
    Ok(missing)
}

/// The agent of each user of a period: that of its client address, because an address cannot be on two agents. Without
/// addresses, users are dealt out in turn.
fn agent_of_user(workload: &Workload, agents: usize) -> Vec<u32> {
    let of_address = |address: &IpAddr| match address {
        IpAddr::V4(address) => Subnets::agent_of(*address, agents),
        IpAddr::V6(_) => 0,
    };
    let addresses = &workload.users.addresses;
    if addresses.is_empty() {
        return (0..agents).map(|agent| u32::try_from(agent).unwrap_or(u32::MAX)).collect();
    }
    addresses.iter().map(of_address).collect()
}

fn workload<C: Cluster>(cluster: &C, plan: &TrialPlan) -> Option<Workload> {
    let topology = cluster.topology();
    let (sessions, load) = (&plan.sessions, &plan.load);
    let endpoints = topology.endpoints();
    Some(Workload {
        destination: Destination {
            endpoints: endpoints.iter().copied().map(SocketAddr::V4).collect(),
            protocol: topology.target.client_protocol(),
            host: topology.host()?,
        },
        users: Users {
            population: sessions.count.map_or(Population::Arriving, |count| Population::Fixed(count.get())),
            at_once: sessions.at_once.get(),
            read_share: sessions.read_share.get(),
            popularity: sessions.popularity.into(),
            addresses: addresses(topology.subnets, sessions, plan.seed),
            connections: load.connections,
        },
        sessions: SessionSettings {
            payload_bytes: sessions.payload_bytes.get(),
            write_bytes: sessions.write_bytes.get(),
            lifetime: sessions.log_out_after.map(|after| Lifetime { mean: after.into(), spread: sessions.lifetimes }),
            transitions: sessions.transitions(),
        },
        timing: Timing {
            model: load.model.clone(),
            think: load.think,
            warm_up_ns: load.warm_up.as_nanos(),
            length_ns: load.duration.as_nanos(),
            timeout_ns: load.timeout.as_nanos(),
            overload: load.overload,
        },
        generator: Generator { threads: plan.agent.threads.get(), pacing: plan.agent.pacing },
        share: Share::default(),
        seed: plan.seed,
        mapped: topology.mapped_sessions().map(Box::new),
    })
}

/// The client addresses that sessions get in turn. For sessions that arrive, the list has `TURNS_OF_ARRIVALS` entries
/// and is repeated.
fn addresses(subnets: Subnets, sessions: &Sessions, seed: u64) -> Vec<IpAddr> {
    const TURNS_OF_ARRIVALS: u32 = 1000;
    let count = sessions.count.map_or(TURNS_OF_ARRIVALS, Within::get);
    let dealt = sessions.client_addresses.deal(count as usize, seed);
    let most = dealt.iter().max().map_or(0, |most| u32::try_from(most + 1).unwrap_or(u32::MAX));
    let addresses = subnets.clients(most);
    dealt.into_iter().filter_map(|address| addresses.get(address).copied()).map(IpAddr::V4).collect()
}

/// The results of a load.
struct Loaded {
    health: GeneratorHealth,
    settled: Settled,
    inconclusive_reasons: Vec<String>,
}

/// Sends the load, plays the faults, and reads every session once states have settled.
async fn load_and_settle<C: Cluster>(
    cluster: &C,
    agents: &mut Agents,
    plan: &TrialPlan,
    time: LoadClock,
    sampler: &Sampler,
    log: &FaultLog<'_>,
    say: &(dyn Fn(TrialEvent) + Sync),
) -> Result<Loaded, String> {
    let prober = agents.prober();
    let length = plan.load.warm_up.get() + plan.load.duration.get();
    let tell_fault = |text: &str| say(TrialEvent::Fault(text));
    let health = {
        let player = Player { cluster, prober: &prober, sampler, time, log, say: &tell_fault };
        let load = async { follow_load(agents, length, say).await.map_err(|error| error.to_string()) };
        // A fault that cannot be healed ends the trial at once.
        let faults = async { player.play(&plan.faults).await.map_err(|HealFailed(reason)| reason) };
        let both = async { tokio::try_join!(load, faults) };
        tokio::select! {
            both = both => both?.0,
            () = sampler.run(cluster, time.zero, (plan.load.warm_up.get(), length)) => return Err("the sampler ended".to_owned()),
        }
    };
    say(TrialEvent::Stage(Stage::Settle));
    let nodes = app_sockets(cluster).await;
    let settle = Settle { pause_ns: plan.settle.as_nanos(), limit_ns: MAX_SETTLE.as_nanos() };
    let read = agents.final_read(&nodes, settle).await.map_err(|error| error.to_string())?;
    let FinalRead { sessions, unanswered, settled } = read;
    let mut inconclusive_reasons = Vec::new();
    if !settled.has_settled {
        inconclusive_reasons.push(format!("sessions still changed {} s after the load", settled.took_ms / 1000));
    }
    if unanswered > 0 {
        inconclusive_reasons
            .push(format!("{unanswered} of {sessions} sessions gave no complete reply to the final read"));
    }
    Ok(Loaded { health, settled, inconclusive_reasons })
}

async fn follow_load(
    agents: &mut Agents,
    length: Duration,
    say: &(dyn Fn(TrialEvent) + Sync),
) -> Result<GeneratorHealth, AgentError> {
    loop {
        match agents.next_load_event().await? {
            LoadEvent::Summary(summary) => say(TrialEvent::Traffic { summary, length }),
            LoadEvent::Done(health) => return Ok(health),
        }
    }
}

/// The addresses of the app nodes that run from the start, by name.
pub fn started_apps<C: Cluster>(cluster: &C) -> BTreeMap<String, SocketAddr> {
    let started = cluster.topology().tier(Tier::App).filter(|node| !node.is_standby);
    started.filter_map(|node| Some((node.name.clone(), SocketAddr::V4(node.socket()?)))).collect()
}

/// The addresses of the app nodes that have not ended, by name.
async fn app_sockets<C: Cluster>(cluster: &C) -> BTreeMap<String, SocketAddr> {
    let running = askable_apps(cluster).await.into_iter();
    running.filter_map(|node| Some((node.name.clone(), SocketAddr::V4(node.socket()?)))).collect()
}

/// The app nodes that have not ended. A node is included if the runtime does not know its state.
async fn askable_apps<C: Cluster>(cluster: &C) -> Vec<&Node> {
    let mut running = Vec::new();
    for node in cluster.topology().tier(Tier::App) {
        if !matches!(cluster.state_of(&node.name).await, Ok(NodeState::Ended)) {
            running.push(node);
        }
    }
    running
}

async fn internals<C: Cluster>(cluster: &C, prober: &Prober) -> BTreeMap<String, Internals> {
    let asked = askable_apps(cluster).await.into_iter().map(|node| async move {
        let url = readiness::url_of(node, "/internals")?;
        let answer = prober.probe(&url, INTERNALS_TIMEOUT).await;
        let internals = serde_json::from_str(answer.success()?).ok()?;
        Some((node.name.clone(), internals))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::cluster::fake::{FakeCluster, HISTORY};
    use crate::fault::{Fault, FaultKind};
    use crate::plan::{Overrides, Plan};
    use crate::profile::{PlannedFault, PlannedNode, Profile};

    fn plan(fault_node: &str) -> TrialPlan {
        let mut plan = Plan::new(&Profile::find("quick").unwrap(), &Overrides::default(), 1).unwrap().trials.remove(0);
        plan.settle = Time::from_millis(1);
        plan.faults = vec![PlannedFault {
            fault: Fault::read(FaultKind::find("kill").unwrap(), &BTreeMap::new()).unwrap(),
            node: PlannedNode::Named(fault_node.to_owned()),
            at: Time::from_millis(10),
            heal_at: Time::from_millis(20),
        }];
        plan
    }

    /// The results, and the bytes of the history file.
    async fn conduct_on(
        cluster: &FakeCluster,
        plan: &TrialPlan,
        signal_at_the_fault: Option<i32>,
    ) -> (Conducted, Vec<u8>) {
        let agents = bring_up(cluster).await.unwrap();
        let (sender, interrupt) = watch::channel(None);
        let say = |event: TrialEvent| {
            if matches!(event, TrialEvent::Fault(_)) {
                sender.send_replace(signal_at_the_fault);
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history");
        let journal = Journal::open(&folder.path().join("journal")).unwrap();
        let files = Files { history: &file, journal: &journal };
        let conducted = conduct(cluster, agents, plan, files, interrupt, &say).await;
        (conducted, std::fs::read(file).unwrap())
    }

    #[test]
    fn stores_start_first_the_balancer_last_and_one_node_of_a_cluster_ahead_of_the_others() {
        let names = |target: &str| -> Vec<Vec<String>> {
            let cluster = FakeCluster::of(target);
            let named = |wave: Vec<&Node>| wave.into_iter().map(|node| node.name.clone()).collect();
            waves(cluster.topology()).into_iter().map(named).collect()
        };
        assert_eq!(names("tomcat-redis"), [vec!["store"], vec!["app-1", "app-2", "app-3"], vec!["balancer"]]);
        assert_eq!(names("tomcat-delta"), [vec!["app-1"], vec!["app-2", "app-3"], vec!["balancer"]]);
    }

    #[tokio::test]
    async fn a_cluster_is_brought_up_whole_and_members_see_each_other() {
        let cluster = FakeCluster::of("tomcat-delta");
        bring_up(&cluster).await.unwrap();
        assert_eq!(cluster.running(), ["app-1", "app-2", "app-3", "balancer"]);
    }

    #[tokio::test]
    async fn a_trial_returns_history_faults_and_internals() {
        let cluster = FakeCluster::of("tomcat-none");
        let (conducted, history) = conduct_on(&cluster, &plan("app-3"), None).await;
        assert!(conducted.has_history);
        assert_eq!(history, HISTORY);
        assert!(conducted.faults[0].landed_and_healed(), "{:?}", conducted.faults);
        assert_eq!(conducted.internals.len(), 3);
        assert_eq!(conducted.health.started, 10);
        assert_eq!(conducted.inconclusive_reasons, ["1 of 5 sessions gave no complete reply to the final read"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_without_effect_is_recorded_with_its_reason() {
        let mut cluster = FakeCluster::of("tomcat-none");
        cluster.immortal.insert("app-3".into());
        let (conducted, _) = conduct_on(&cluster, &plan("app-3"), None).await;
        assert!(!conducted.faults[0].landed_and_healed());
        assert_eq!(
            conducted.faults[0].error.as_deref(),
            Some("killing app-3: the runtime reported no end within 10 s")
        );
    }

    #[tokio::test]
    async fn an_interrupted_trial_still_saves_its_history() {
        let cluster = FakeCluster::of("tomcat-none");
        let (conducted, history) = conduct_on(&cluster, &plan("app-3"), Some(2)).await;
        assert!(conducted.interrupted);
        assert_eq!(history, HISTORY);
    }
}
