//! Lists the images that trials need.

use crate::cluster::docker::TOOLBOX;
use crate::plan::TrialPlan;
use crate::profile::PlannedFault;
use crate::topology::Target;

/// The images that these trials need, sorted, each once.
#[must_use]
pub fn images_needed<'a>(trials: impl Iterator<Item = &'a TrialPlan>) -> Vec<String> {
    let mut names = Vec::new();
    for trial in trials.filter(|trial| trial.target.attached.is_none()) {
        names.extend(images_of(&trial.target));
        let is_of_the_network =
            |fault: &PlannedFault| fault.fault.kind().needs.iter().any(|ability| ability.is_of_the_network());
        if trial.needs_sandboxes() || trial.faults.iter().any(is_of_the_network) {
            names.push(TOOLBOX.to_owned());
        }
    }
    names.sort();
    names.dedup();
    names
}

/// The images of a target that are ours to build, sorted, each once.
#[must_use]
pub fn images_of(target: &Target) -> Vec<String> {
    if target.compose.is_some() || target.attached.is_some() {
        return Vec::new();
    }
    let mut names: Vec<String> = target.tiers.values().map(|tier| tier.image.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}
