//! One trial from an empty engine to a saved result, with everything removed again whatever happens.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::{Duration, Instant};

use super::conduct::{self, Conducted};
use super::event::{Event, TrialEvent};
use super::{Interrupt, RunError};
use crate::check::{self, Judgement};
use crate::cluster::docker::DockerCluster;
use crate::cluster::process::ProcessCluster;
use crate::cluster::{Cluster, ClusterError, Runtime, RuntimeName};
use crate::history::{History, read_operations};
use crate::measure::{self, Circumstances, Measurements};
use crate::plan::TrialPlan;
use crate::record::{Record, Stage, TrialResult};

/// Where trials run and what they report to.
pub struct Setting<'a> {
    /// Where nodes run, unless the plan leaves no choice.
    pub runtime: &'a Runtime,
    /// This program's own file, which nodes run that are processes.
    pub program: &'a Path,
    /// The run's name.
    pub run: &'a str,
    /// Where results are saved.
    pub record: &'a Record,
    /// Says when the user wants to end.
    pub interrupt: Interrupt,
    /// Is told what happens.
    pub say: &'a (dyn Fn(Event) + Sync),
}

/// Measures where the time goes.
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

/// Runs one trial. Returns none where the user ended it before the traffic began.
///
/// # Errors
/// When the cluster cannot be made, started or removed, or a result cannot be saved.
pub async fn run_trial(setting: &Setting<'_>, plan: &TrialPlan) -> Result<Option<TrialResult>, RunError> {
    let (target, nodes) = plan.case();
    match setting.runtime {
        Runtime::Docker { engine, images } if !plan.as_processes => {
            let id = plan.id();
            run_on(setting, plan, DockerCluster::create(engine, setting.run, &id, target, nodes, images)).await
        }
        Runtime::Docker { .. } | Runtime::Process => {
            run_on(setting, plan, async { ProcessCluster::create(setting.program, target, nodes) }).await
        }
    }
}

async fn run_on<C: Cluster>(
    setting: &Setting<'_>,
    plan: &TrialPlan,
    create: impl Future<Output = Result<C, ClusterError>>,
) -> Result<Option<TrialResult>, RunError> {
    let say = |what: TrialEvent| (setting.say)(Event { trial: plan.number, target: &plan.target.name, what });
    let mut watch = Stopwatch { since: Instant::now(), stages: Vec::new() };
    say(TrialEvent::Stage(Stage::Create));
    let cluster = create.await?;
    watch.stop(Stage::Create);
    let outcome = on_cluster(setting, plan, &cluster, &mut watch, &say).await;
    say(TrialEvent::Stage(Stage::Remove));
    cluster.destroy().await?;
    watch.stop(Stage::Remove);
    let result = outcome?.map(|result| TrialResult { stages: watch.stages.clone(), ..result });
    if let Some(result) = &result {
        setting.record.save_stages(&plan.id(), &result.stages)?;
    }
    Ok(result)
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
    let agent = tokio::select! {
        agent = conduct::bring_up(cluster) => agent,
        _ = interrupt.wait_for(Option::is_some) => return Ok(None),
    };
    watch.stop(Stage::Start);
    let agent = match agent {
        Ok(agent) => agent,
        Err(error) => {
            save_logs(setting, plan, cluster).await?;
            return Err(error.into());
        }
    };
    let conducted = conduct::conduct(cluster, agent, plan, setting.interrupt.clone(), say).await;
    watch.stop(Stage::Load);
    save_logs(setting, plan, cluster).await?;
    let result = conclude(setting, plan, cluster, conducted)?;
    watch.stop(Stage::Collect);
    Ok(Some(result))
}

async fn save_logs<C: Cluster>(setting: &Setting<'_>, plan: &TrialPlan, cluster: &C) -> Result<(), RunError> {
    for node in &cluster.topology().nodes {
        let log = cluster.log(&node.name, None).await.unwrap_or_else(|error| format!("{error}\n"));
        setting.record.save_log(&plan.id(), &node.name, &log)?;
    }
    Ok(())
}

/// Saves what was measured first, then judges it.
fn conclude<C: Cluster>(
    setting: &Setting<'_>,
    plan: &TrialPlan,
    cluster: &C,
    conducted: Conducted,
) -> Result<TrialResult, RunError> {
    let id = plan.id();
    let tiers = cluster.topology().nodes.iter().map(|node| (node.name.clone(), node.tier)).collect();
    let circumstances = Circumstances {
        tiers,
        internals: conducted.internals,
        offered: conducted.health.offered,
        started: conducted.health.started,
    };
    if let Some(bytes) = &conducted.history {
        setting.record.save_history(&id, bytes)?;
    }
    setting.record.save_faults(&id, &conducted.faults)?;
    setting.record.save_samples(&id, conducted.started_unix_ns, &conducted.samples)?;
    setting.record.save_circumstances(&id, &circumstances)?;
    let faults = conducted.faults.iter().map(|fault| format!("{} of {}", fault.kind, fault.node)).collect();
    let mut result = TrialResult {
        number: plan.number,
        target: plan.target.name.clone(),
        nodes: plan.app_nodes,
        runtime: if plan.as_processes { RuntimeName::Process } else { setting.runtime.name() },
        judgement: Judgement::unknown("there is no history"),
        measurements: None,
        invalid: None,
        faults,
        stages: Vec::new(),
        interrupted: conducted.interrupted,
    };
    if let Some(bytes) = &conducted.history {
        match read_operations(bytes.as_slice()) {
            Ok(operations) => {
                let history = History {
                    operations,
                    faults: conducted.faults,
                    samples: conducted.samples,
                    started_unix_ns: conducted.started_unix_ns,
                    warm_up: plan.load.warm_up.get(),
                    load_end: plan.load.warm_up.get() + plan.load.duration.get(),
                };
                (result.judgement, result.measurements) = judge_and_measure(&history, &circumstances);
            }
            Err(error) => result.judgement = Judgement::unknown(error.to_string()),
        }
    }
    result.judgement = conducted.doubts.into_iter().fold(result.judgement, Judgement::but);
    result.invalid = result.measurements.as_ref().and_then(|measurements| {
        measurements.generator.beyond(plan.generator.rate.get(), plan.generator.lag_p99.get())
    });
    setting.record.save_verdict(&id, &result.judgement, result.invalid.as_deref())?;
    if let Some(measurements) = &result.measurements {
        setting.record.save_measurements(&id, measurements)?;
    }
    Ok(result)
}

/// A checker that crashes proves nothing, and takes nothing with it.
fn judge_and_measure(history: &History, circumstances: &Circumstances) -> (Judgement, Option<Measurements>) {
    let judgement = std::panic::catch_unwind(AssertUnwindSafe(|| check::judge(history)))
        .unwrap_or_else(|_| Judgement::unknown("the checker crashed"));
    match std::panic::catch_unwind(AssertUnwindSafe(|| measure::measure(history, circumstances))) {
        Ok(Ok(measurements)) => (judgement, Some(measurements)),
        Ok(Err(error)) => (judgement.but(format!("it could not be measured: {error}")), None),
        Err(_) => (judgement.but("the measurement crashed"), None),
    }
}
