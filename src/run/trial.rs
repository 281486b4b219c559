//! Runs one trial: creates a cluster, conducts the trial, saves the result, and always removes the cluster.

use std::path::Path;
use std::time::{Duration, Instant};

use super::conduct::{self, Conducted, Files};
use super::event::{Event, TrialEvent};
use super::{Interrupt, RunError, node_logs};
use crate::cluster::attached::AttachedCluster;
use crate::cluster::docker::DockerCluster;
use crate::cluster::process::ProcessCluster;
use crate::cluster::{Cluster, ClusterError, Runtime, RuntimeName, agent_name};
use crate::conclude::{self, Conclusion, TrialContext};
use crate::history::{SessionHistories, Timeline};
use crate::measure::Circumstances;
use crate::plan::TrialPlan;
use crate::record::{Record, Stage, TrialResult};

/// How long an engine may take to come back.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two attempts to reach it.
const ENGINE_PAUSE: Duration = Duration::from_secs(1);

/// Where trials run, and where their results and events go.
pub struct Setting<'a> {
    /// The runtime of the nodes, unless the plan asks for processes.
    pub runtime: &'a Runtime,
    /// The path of this program, which nodes that are processes execute.
    pub program: &'a Path,
    /// The run's name.
    pub run: &'a str,
    /// Where results are saved.
    pub record: &'a Record,
    /// Set when the user interrupts the run.
    pub interrupt: Interrupt,
    /// Receives the events of the run.
    pub say: &'a (dyn Fn(Event<'_>) + Sync),
}

/// Measures the duration of each stage.
struct Stopwatch {
    since: Instant,
    stages: Vec<(Stage, Duration)>,
}

impl Stopwatch {
    fn stop(&mut self, stage: Stage) {
        self.stages.push((stage, self.since.elapsed()));
        self.since = Instant::now();
    }
}

/// Runs one trial. Returns `None` if the user interrupted it before the nodes were ready.
///
/// # Errors
/// When the cluster cannot be made, started or removed, or a result cannot be saved.
pub async fn run_trial(setting: &Setting<'_>, plan: &TrialPlan) -> Result<Option<TrialResult>, RunError> {
    if let Some(reason) = unsupported(setting.runtime, plan) {
        let what = TrialEvent::Fault(&reason);
        (setting.say)(Event::Trial { number: plan.number, target: &plan.target.name, what });
        return Ok(Some(TrialResult::unsupported(plan, runtime_of(setting.runtime, plan), reason)));
    }
    let target = &plan.target;
    let shape = plan.shape();
    if let Some(attached) = &target.attached {
        let id = plan.id();
        let create = async {
            let cluster =
                AttachedCluster::create(setting.program, target, attached, shape.agents, &plan.cpuset).await?;
            match setting.runtime {
                Runtime::Docker { engines, images, .. } if engines.has_hosts() => {
                    cluster.from_other_machines(engines, (setting.run, &id), images).await
                }
                Runtime::Docker { .. } | Runtime::Process => Ok(cluster),
            }
        };
        return Box::pin(run_on(setting, plan, create)).await;
    }
    match setting.runtime {
        Runtime::Docker { engines, images, .. } if !plan.as_processes => {
            let id = plan.id();
            run_on(setting, plan, DockerCluster::create(engines, setting.run, &id, target, shape, images, &plan.cpuset))
                .await
        }
        Runtime::Docker { .. } | Runtime::Process => {
            run_on(setting, plan, async { ProcessCluster::create(setting.program, target, shape, &plan.cpuset) }).await
        }
    }
}

/// The runtime of a trial's nodes.
#[must_use]
pub fn runtime_of(runtime: &Runtime, plan: &TrialPlan) -> RuntimeName {
    match plan.target.attached {
        Some(_) => RuntimeName::Attached,
        None if plan.as_processes => RuntimeName::Process,
        None => runtime.name(),
    }
}

/// Why a fault of the trial is unsupported here; `None` if all are supported.
fn unsupported(runtime: &Runtime, plan: &TrialPlan) -> Option<String> {
    if plan.target.attached.is_some() {
        return plan.lacks_commands();
    }
    plan.faults.iter().find_map(|planned| {
        let kind = planned.fault.kind();
        let lacks = kind.needs.iter().find_map(|ability| runtime.lacks(*ability, plan.as_processes))?;
        Some(format!("{kind} is unsupported: {lacks}"))
    })
}

async fn run_on<C: Cluster>(
    setting: &Setting<'_>,
    plan: &TrialPlan,
    create: impl Future<Output = Result<C, ClusterError>>,
) -> Result<Option<TrialResult>, RunError> {
    let say = |what: TrialEvent| (setting.say)(Event::Trial { number: plan.number, target: &plan.target.name, what });
    let mut watch = Stopwatch { since: Instant::now(), stages: Vec::new() };
    say(TrialEvent::Stage(Stage::Create));
    let cluster = create.await?;
    watch.stop(Stage::Create);
    let outcome = on_cluster(setting, plan, &cluster, &mut watch, &say).await;
    say(TrialEvent::Stage(Stage::Remove));
    let destroyed = destroy(&cluster).await;
    watch.stop(Stage::Remove);
    let result = match outcome {
        // What failed first is the cause.
        Err(RunError::Cluster(error)) => return Err(error.and_then(destroyed).into()),
        outcome => {
            destroyed?;
            outcome?
        }
    };
    let result = result.map(|result| TrialResult { stages: watch.stages.clone(), ..result });
    if let Some(result) = &result {
        setting.record.save_stages(&plan.id(), &result.stages)?;
    }
    Ok(result)
}

/// Removes the cluster. Retries for up to `ENGINE_TIMEOUT`, because the engine may be restarting.
async fn destroy<C: Cluster>(cluster: &C) -> Result<(), ClusterError> {
    let deadline = Instant::now() + ENGINE_TIMEOUT;
    loop {
        match cluster.destroy().await {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(ENGINE_PAUSE).await,
            result => return result,
        }
    }
}

async fn on_cluster<C: Cluster>(
    setting: &Setting<'_>,
    plan: &TrialPlan,
    cluster: &C,
    watch: &mut Stopwatch,
    say: &(dyn Fn(TrialEvent) + Sync),
) -> Result<Option<TrialResult>, RunError> {
    say(TrialEvent::Stage(Stage::Start));
    let mut interrupt = setting.interrupt.clone();
    let agents = tokio::select! {
        agents = conduct::bring_up(cluster) => agents,
        _ = interrupt.wait_for(Option::is_some) => return Ok(None),
    };
    watch.stop(Stage::Start);
    let agents = match agents {
        Ok(agents) => agents,
        Err(error) => {
            node_logs::save(setting.record, &plan.id(), cluster).await?;
            return Err(error.into());
        }
    };
    let file = setting.record.history_file(&plan.id())?;
    let journal = setting.record.journal(&plan.id())?;
    let files = Files { history: &file, journal: &journal };
    let conducted = conduct::conduct(cluster, agents, plan, files, setting.interrupt.clone(), say).await;
    watch.stop(Stage::Load);
    let result = conclude(setting, plan, cluster, conducted);
    // Logs are saved last, because they are the largest: if they fill the disk, the other files are already saved. They
    // are saved even if the other files could not be, because they may say why.
    let saved = node_logs::save(setting.record, &plan.id(), cluster).await;
    watch.stop(Stage::Collect);
    let result = result?;
    saved.map(|()| Some(result))
}

/// Saves the measured data, then judges it.
fn conclude<C: Cluster>(
    setting: &Setting<'_>,
    plan: &TrialPlan,
    cluster: &C,
    conducted: Conducted,
) -> Result<TrialResult, RunError> {
    let id = plan.id();
    let tiers = cluster.topology().nodes.iter().map(|node| (node.name.clone(), node.tier)).collect();
    let standbys =
        cluster.topology().nodes.iter().filter(|node| node.is_standby).map(|node| node.name.clone()).collect();
    let agents = (0..cluster.topology().agents).map(agent_name);
    let nodes = cluster.topology().nodes.iter().map(|node| node.name.clone()).chain(agents);
    let hosts = nodes.filter_map(|node| cluster.host_of(&node).map(str::to_owned).map(|host| (node, host))).collect();
    let faults = conducted.faults.iter().map(|fault| format!("{} of {}", fault.kind, fault.node)).collect();
    let load = &plan.load;
    let mut context = TrialContext {
        format: TrialContext::FORMAT,
        timeline: Timeline {
            faults: conducted.faults,
            warm_up: load.warm_up.get(),
            load_end: load.warm_up.get() + load.duration.get(),
            expiry: plan.sessions.expiry(),
            log_outs_overtake: plan.sessions.log_out_while_busy,
            owners: plan.sessions.owners(),
        },
        started_unix_ns: conducted.started_unix_ns,
        judged: plan.judged.clone(),
        min_examined: u64::from(plan.min_examined.get()),
        generator: plan.generator,
        circumstances: Circumstances {
            tiers,
            standbys,
            hosts,
            links: conducted.links,
            internals: conducted.internals,
            balancer: conducted.balancer.nodes,
            balancer_totals: conducted.balancer.totals,
            generator: conducted.health,
            agents: conducted.agents,
        },
        settled: conducted.settled,
        has_history: conducted.has_history,
        missing: conducted.missing,
        inconclusive_reasons: conducted.inconclusive_reasons,
        warnings: cluster.warnings(),
    };
    let history = setting.record.history_file(&id)?;
    setting.record.save_samples(&id, &conducted.samples)?;
    // Saved after all data that the judgement needs: a trial with this file can be judged again.
    setting.record.save_context(&id, &context)?;
    let histories =
        conducted.has_history.then(|| SessionHistories::open(&history)).transpose().unwrap_or_else(|error| {
            context.inconclusive_reasons.push(error.to_string());
            None
        });
    let Conclusion { judgement, measurements, response_log, invalid } =
        conclude::conclude(histories, &context, &conducted.samples);
    setting.record.save_verdict(&id, &judgement, invalid.as_deref())?;
    if let Some(measurements) = &measurements {
        setting.record.save_measurements(&id, measurements)?;
        setting.record.save_response_log(&id, &response_log)?;
    }
    Ok(TrialResult {
        number: plan.number,
        target: plan.target.name.clone(),
        nodes: plan.app_nodes,
        runtime: runtime_of(setting.runtime, plan),
        judgement,
        measurements,
        invalid,
        unsupported: None,
        faults,
        stages: Vec::new(),
        interrupted: conducted.interrupted,
    })
}
