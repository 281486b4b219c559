//! What a run needs before its first trial: images, what this machine can do, and what removes everything if the driver
//! cannot. And what earlier runs have left.

use std::path::Path;

use super::event::Event;
use super::images::images_needed;
use crate::cluster::docker::{
    Engine, ImageEvent, Images, Leftovers, PROGRAM, TOOLBOX, Watch, missing_by_itself, missing_in_the_kernel,
    watched_runs,
};
use crate::cluster::{ClusterError, Runtime};
use crate::plan::Plan;
use crate::record::Environment;

/// Is told what happens.
pub type Tell<'a> = &'a (dyn Fn(Event<'_>) + Sync);

/// Builds what the plan needs.
pub async fn runtime(engine: Option<Box<Engine>>, plan: &Plan, tell: Tell<'_>) -> Result<Runtime, ClusterError> {
    let Some(engine) = engine else { return Ok(Runtime::Process) };
    remove_leftovers(&engine, tell).await?;
    let needed = images_needed(plan.trials.iter().filter(|trial| !trial.as_processes));
    let say = |event: ImageEvent| tell(Event::Image(&event));
    let images = Images::new(&engine, &say).ensure(&needed).await?;
    let missing = missing_by_itself(engine.facts());
    Ok(Runtime::Docker { engine, images, missing })
}

/// What removes everything if this process cannot.
pub async fn watch(
    runtime: &Runtime,
    program: &Path,
    run: &str,
    tell: Tell<'_>,
) -> Result<Option<Watch>, ClusterError> {
    let Runtime::Docker { engine, images, .. } = runtime else { return Ok(None) };
    let missing = || ClusterError::new("starting the reaper", "this program's image was not built");
    let image = images.get(PROGRAM).ok_or_else(missing)?;
    let watch = Watch::start(engine, program, image, run).await?;
    if let Some(reason) = watch.lacks_container() {
        tell(Event::Note(&format!(
            "the engine's machine has no socket that a container could be given ({reason}); a process on this machine watches over the run"
        )));
    }
    Ok(Some(watch))
}

/// What the engine's machine cannot do, where the plan has faults that not every machine can.
pub async fn ask_for_abilities(runtime: &mut Runtime, run: &str) -> Result<(), ClusterError> {
    if let Runtime::Docker { engine, images, missing } = runtime
        && let Some(toolbox) = images.get(TOOLBOX)
    {
        missing.extend(missing_in_the_kernel(engine, toolbox, run).await?);
    }
    Ok(())
}

/// What a run's figures depend on.
pub async fn environment(runtime: &Runtime, started_at: &str) -> Result<Environment, ClusterError> {
    let docker = match runtime {
        Runtime::Docker { engine, images, .. } => {
            Some((engine.facts(), Images::new(engine, &|_| {}).facts(images).await?))
        }
        Runtime::Process => None,
    };
    Ok(Environment::describe(started_at.to_owned(), docker))
}

/// Finishes the work of reapers that could not, and tells what else there is.
async fn remove_leftovers(engine: &Engine, tell: Tell<'_>) -> Result<(), ClusterError> {
    let note = |text: &str| tell(Event::Note(text));
    let watched = watched_runs(engine).await?;
    // Where a reaper is at work it is left to that.
    let orphaned = Leftovers::of_dead_drivers(engine, &watched).await?;
    if !orphaned.is_empty() {
        note(&match orphaned.remove(engine).await {
            Ok(removed) => format!("removed {removed} of runs on this machine whose drivers are no more"),
            // What is in the way may be on its way out.
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
            "another run goes on, or has just ended, in this engine: {run}; they will disturb each other's figures"
        ));
    }
    Ok(())
}
