//! Prepares a run before its first trial: removes leftovers of earlier runs, builds images, finds out what the engine's
//! machine cannot do, and starts the reaper, which removes everything if the driver cannot.

use std::collections::BTreeMap;
use std::path::Path;

use super::event::Event;
use super::images::images_needed;
use super::{RunError, compose};
use crate::cluster::docker::{
    Engine, Engines, ImageEvent, Images, Leftovers, PROGRAM, TOOLBOX, Watch, missing_by_itself, missing_in_the_kernel,
    spread_images, watched_runs,
};
use crate::cluster::{Ability, ClusterError, Runtime};
use crate::plan::Plan;
use crate::record::{Environment, HostFacts};

/// Receives the events of a run.
pub type Tell<'a> = &'a (dyn Fn(Event<'_>) + Sync);

/// Removes leftovers and builds the images that the plan needs. Without an engine, nodes are processes.
pub async fn runtime(engines: Option<Box<Engines>>, plan: &Plan, emit: Tell<'_>) -> Result<Runtime, RunError> {
    let Some(engines) = engines else { return Ok(Runtime::Process) };
    for trial in plan.trials.iter().filter(|trial| !trial.as_processes) {
        engines.check(&trial.target, trial.shape())?;
    }
    remove_leftovers(&engines, emit).await?;
    let engine = engines.manager();
    let mut needed = images_needed(plan.trials.iter().filter(|trial| !trial.as_processes));
    let makes_nodes = plan.trials.iter().any(|trial| trial.target.attached.is_none());
    needed.extend(engines.needs().filter(|_| makes_nodes).map(str::to_owned));
    needed.sort();
    needed.dedup();
    let say = |event: ImageEvent| emit(Event::Image(&event));
    let mut images = Images::new(engine, &say).ensure(&needed).await?;
    for target in compose::targets(plan) {
        images.extend(compose::prepare(&engines, target, Some(plan), &|text| emit(Event::Note(text))).await?);
    }
    spread_images(&engines, &images, &say).await?;
    let mut missing: BTreeMap<Ability, String> = BTreeMap::new();
    for (host, engine) in engines.of_nodes() {
        missing.extend(of_host(host, missing_by_itself(engine.facts())));
    }
    if !engines.has_hosts() {
        let reason = "all nodes are on one engine; --hosts FILE deals them out to several machines";
        missing.insert(Ability::Hosts, reason.to_owned());
    }
    Ok(Runtime::Docker { engines, images, missing })
}

/// Starts the reapers of each engine, which remove everything if this process cannot. Empty if nodes are processes.
pub async fn watch(runtime: &Runtime, program: &Path, run: &str, emit: Tell<'_>) -> Result<Vec<Watch>, ClusterError> {
    let Runtime::Docker { engines, images, .. } = runtime else { return Ok(Vec::new()) };
    let watches = engines.on_all(async |engine| watch_run(engine, images, program, run).await).await?;
    for (watch, (host, _)) in watches.iter().zip(engines.iter()) {
        if let Some(reason) = watch.lacks_container() {
            let whose = host.map_or_else(|| "the engine's machine".to_owned(), |host| format!("host {host}"));
            emit(Event::Note(&format!(
                "{whose} has no socket that a container could be given ({reason}); a process on this machine watches over the run"
            )));
        }
    }
    Ok(watches)
}

/// Starts a reaper that removes everything of `run` if this process cannot.
///
/// # Errors
/// When it cannot be started.
pub async fn watch_run(
    engine: &Engine,
    images: &BTreeMap<String, String>,
    program: &Path,
    run: &str,
) -> Result<Watch, ClusterError> {
    let missing = || ClusterError::new("starting the reaper", "this program's image was not built");
    let image = images.get(PROGRAM).ok_or_else(missing)?;
    Watch::start(engine, program, image, run).await
}

/// Reasons with the name of the host that they are about.
fn of_host(host: Option<&str>, missing: BTreeMap<Ability, String>) -> BTreeMap<Ability, String> {
    let named = |reason: String| host.map_or_else(|| reason.clone(), |host| format!("{host}: {reason}"));
    missing.into_iter().map(|(ability, reason)| (ability, named(reason))).collect()
}

/// Adds the abilities that the kernel of the engine's machine lacks, if the plan has faults that need the toolbox
/// image.
pub async fn ask_for_abilities(runtime: &mut Runtime, run: &str) -> Result<(), ClusterError> {
    if let Runtime::Docker { engines, images, missing } = runtime
        && let Some(toolbox) = images.get(TOOLBOX)
    {
        for (host, engine) in engines.of_nodes() {
            let lacking = missing_in_the_kernel(engine, toolbox, run).await.map_err(|error| error.of_host(host))?;
            missing.extend(of_host(host, lacking));
        }
    }
    Ok(())
}

fn facts(engine: &Engine) -> HostFacts {
    HostFacts { engine: engine.facts().clone(), clock_ahead_ms: engine.clock_ahead_ms() }
}

/// Describes the environment, which the run's figures depend on.
pub async fn environment(runtime: &Runtime, started_at: &str) -> Result<Environment, ClusterError> {
    let docker = match runtime {
        Runtime::Docker { engines, images, .. } => {
            let engine = engines.manager();
            Some((engine.facts(), Images::new(engine, &|_| {}).facts(images).await?))
        }
        Runtime::Process => None,
    };
    let mut environment = Environment::describe(started_at.to_owned(), docker);
    if let Runtime::Docker { engines, .. } = runtime {
        environment.hosts =
            engines.iter().filter_map(|(host, engine)| Some((host?.to_owned(), facts(engine)))).collect();
    }
    Ok(environment)
}

/// Removes leftovers on this machine whose driver is dead and whose reaper did not finish. Reports all other leftovers
/// and the runs that are active.
async fn remove_leftovers(engines: &Engines, emit: Tell<'_>) -> Result<(), ClusterError> {
    engines.on_all(async |engine| remove_leftovers_of(engine, emit).await).await.map(drop)
}

async fn remove_leftovers_of(engine: &Engine, emit: Tell<'_>) -> Result<(), ClusterError> {
    let note = |text: &str| emit(Event::Note(text));
    let watched = watched_runs(engine).await?;
    // A run that a reaper watches is left to that reaper.
    let orphaned = Leftovers::of_dead_drivers(engine, &watched).await?;
    if !orphaned.is_empty() {
        note(&match orphaned.remove(engine).await {
            Ok(removed) => {
                let counts = removed.counts;
                let stuck = removed.complete().err().map(|error| format!("\n{error}")).unwrap_or_default();
                format!("removed {counts} of runs on this machine whose drivers are no more{stuck}")
            }
            // Only reported, because the object in the way may be about to disappear.
            Err(error) => error.to_string(),
        });
    }
    let dead = Leftovers::of_other_runs(engine, &watched).await?;
    if !dead.is_empty() {
        let counts = dead.counts();
        note(&format!("leftovers of an aborted run or of `up`: {counts}; `steadfast clean` removes them"));
    }
    for run in watched {
        note(&format!(
            "another run is active, or has just ended, in this engine: {run}; they will disturb each other's figures"
        ));
    }
    Ok(())
}
