//! Prepares a run before its first trial: removes leftovers of earlier runs, builds images, finds out what the engine's
//! machine cannot do, and starts the reaper, which removes everything if the driver cannot.

use std::collections::BTreeMap;
use std::path::Path;

use super::event::Event;
use super::images::images_needed;
use super::{RunError, compose};
use crate::cluster::docker::{
    Engine, ImageEvent, Images, Leftovers, PROGRAM, TOOLBOX, Watch, missing_by_itself, missing_in_the_kernel,
    watched_runs,
};
use crate::cluster::{ClusterError, Runtime};
use crate::plan::Plan;
use crate::record::Environment;

/// Receives the events of a run.
pub type Tell<'a> = &'a (dyn Fn(Event<'_>) + Sync);

/// Removes leftovers and builds the images that the plan needs. Without an engine, nodes are processes.
pub async fn runtime(engine: Option<Box<Engine>>, plan: &Plan, emit: Tell<'_>) -> Result<Runtime, RunError> {
    let Some(engine) = engine else { return Ok(Runtime::Process) };
    remove_leftovers(&engine, emit).await?;
    let needed = images_needed(plan.trials.iter().filter(|trial| !trial.as_processes));
    let say = |event: ImageEvent| emit(Event::Image(&event));
    let mut images = Images::new(&engine, &say).ensure(&needed).await?;
    for target in compose::targets(plan) {
        images.extend(compose::prepare(&engine, target, Some(plan), &|text| emit(Event::Note(text))).await?);
    }
    let missing = missing_by_itself(engine.facts());
    Ok(Runtime::Docker { engine, images, missing })
}

/// Starts the reaper, which removes everything if this process cannot. `None` if nodes are processes.
pub async fn watch(
    runtime: &Runtime,
    program: &Path,
    run: &str,
    emit: Tell<'_>,
) -> Result<Option<Watch>, ClusterError> {
    let Runtime::Docker { engine, images, .. } = runtime else { return Ok(None) };
    let watch = watch_run(engine, images, program, run).await?;
    if let Some(reason) = watch.lacks_container() {
        emit(Event::Note(&format!(
            "the engine's machine has no socket that a container could be given ({reason}); a process on this machine watches over the run"
        )));
    }
    Ok(Some(watch))
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

/// Adds the abilities that the kernel of the engine's machine lacks, if the plan has faults that need the toolbox
/// image.
pub async fn ask_for_abilities(runtime: &mut Runtime, run: &str) -> Result<(), ClusterError> {
    if let Runtime::Docker { engine, images, missing } = runtime
        && let Some(toolbox) = images.get(TOOLBOX)
    {
        missing.extend(missing_in_the_kernel(engine, toolbox, run).await?);
    }
    Ok(())
}

/// Describes the environment, which the run's figures depend on.
pub async fn environment(runtime: &Runtime, started_at: &str) -> Result<Environment, ClusterError> {
    let docker = match runtime {
        Runtime::Docker { engine, images, .. } => {
            Some((engine.facts(), Images::new(engine, &|_| {}).facts(images).await?))
        }
        Runtime::Process => None,
    };
    Ok(Environment::describe(started_at.to_owned(), docker))
}

/// Removes leftovers on this machine whose driver is dead and whose reaper did not finish. Reports all other leftovers
/// and the runs that are active.
async fn remove_leftovers(engine: &Engine, emit: Tell<'_>) -> Result<(), ClusterError> {
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
