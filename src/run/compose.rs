//! What is done for targets that the user's Compose files describe before anything starts: Compose reads the files, faults are
//! held against them, and images are built.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::RunError;
use crate::cluster::docker::Engines;
use crate::cluster::docker::compose::{self, Model, Tool};
use crate::fault::Inventory;
use crate::plan::{Plan, PlanError};
use crate::profile::PlannedNode;
use crate::topology::{Compose, Target, Tier};

/// The targets of a plan that Compose files describe, each once.
#[must_use]
pub fn targets(plan: &Plan) -> Vec<&Target> {
    let mut targets: Vec<&Target> = Vec::new();
    for (target, _) in plan.cases() {
        if target.compose.is_some() && !targets.iter().any(|other| other.name == target.name) {
            targets.push(target);
        }
    }
    targets
}

/// Lets Compose read the files of a plan's targets, and holds the plan's faults against them. Starts nothing.
///
/// # Returns
/// The tool that reads each target's files.
///
/// # Errors
/// When there is no Compose, it refuses the files, they lack something, or a fault cannot be done.
pub async fn check(plan: &Plan) -> Result<Vec<String>, RunError> {
    let mut tools = Vec::new();
    for target in targets(plan) {
        let Some(compose) = &target.compose else { continue };
        let (tool, model) = compose::read(None, target, compose).await?.map_err(PlanError::from)?;
        check_faults(plan, target, (compose, &model))?;
        tools.push(format!("{}: {} is read by {}", target.name, compose.describe(), tool.name()));
    }
    Ok(tools)
}

/// The model that Compose makes of files.
///
/// # Errors
/// When there is no Compose, or it refuses the files.
pub async fn model(files: &[PathBuf]) -> Result<Value, RunError> {
    let tool = Tool::find(None).await?;
    Ok(Model::read(&tool, files).await?.map_err(PlanError::from)?.value().clone())
}

/// Reads and checks the files of a target, and lets Compose build its images. Nothing is done for a target without such files.
///
/// # Returns
/// References of the images, by `TARGET/SERVICE`.
///
/// # Errors
/// As [`check`], and when an image cannot be built.
pub async fn prepare(
    engines: &Engines,
    target: &Target,
    plan: Option<&Plan>,
    say: &(dyn Fn(&str) + Sync),
) -> Result<BTreeMap<String, String>, RunError> {
    let Some(compose) = &target.compose else { return Ok(BTreeMap::new()) };
    let (tool, model) = compose::read(Some(engines.manager()), target, compose).await?.map_err(PlanError::from)?;
    say(&format!("{}: {} is started by {}", target.name, compose.describe(), tool.name()));
    if let Some(plan) = plan {
        check_faults(plan, target, (compose, &model))?;
    }
    let images = compose::build(&tool, &model, target).await?;
    Ok(images.into_iter().map(|(service, image)| (format!("{}/{service}", target.name), image)).collect())
}

/// Refuses to fill memory that has no limit, because that would be the machine's.
fn check_faults(plan: &Plan, target: &Target, (compose, model): (&Compose, &Model)) -> Result<(), PlanError> {
    let trials = plan.trials.iter().filter(|trial| trial.target.name == target.name);
    for planned in trials.flat_map(|trial| &trial.faults).filter(|planned| planned.fault.kind().name == "memory") {
        let tier = match &planned.node {
            PlannedNode::Named(name) => Inventory::tier_of(name),
            _ => Tier::App,
        };
        let unlimited = compose.names().find(|(of, service)| *of == tier && !model.limits_memory(service));
        if let Some((_, service)) = unlimited {
            return Err(PlanError::Override(format!(
                "profile {} fills the memory of {}, and service `{service}` of {} has no limit of its own, so the machine's memory would be filled; set `deploy.resources.limits.memory`",
                plan.profile,
                planned.node,
                compose.describe()
            )));
        }
    }
    Ok(())
}
