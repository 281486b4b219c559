//! `steadfast images`: builds what targets need, or says what is missing.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::ProgressBar;

use super::output;
use crate::cluster::ClusterError;
use crate::cluster::docker::{Engine, ImageEvent, ImageFacts, ImageState, Images, TOOLBOX};
use crate::plan::TrialPlan;
use crate::profile::PlannedFault;
use crate::topology::{Image, Target};

/// What `images` takes.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Build every image that is not there yet
    Build,
    /// List the images and whether they are there
    List,
    /// Say whether the root of all images can be had; exit with 3 and the command to run if not
    Check,
}

/// Runs the sub-verb.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let engine = Engine::connect().await?;
    match arguments.what {
        What::Build => {
            let references = build(&engine, &all()).await?;
            for reference in references.values() {
                output::line(reference);
            }
        }
        What::List => {
            let images = Images::new(&engine, &|_| {});
            for (name, state) in images.states(&all()).await? {
                let state = match state {
                    ImageState::Present { reference } => reference,
                    ImageState::Missing => "not built".to_owned(),
                };
                output::line(&format!("{name:<12} {state}"));
            }
        }
        What::Check => output::line(&Images::new(&engine, &|_| {}).check_root().await?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Every image that a run may need.
pub fn all() -> Vec<String> {
    let mut names = Image::names();
    names.push(TOOLBOX.to_owned());
    names.sort();
    names
}

/// What some trials need, each image once.
pub fn needed<'a>(trials: impl Iterator<Item = &'a TrialPlan>) -> Vec<String> {
    let mut names = Vec::new();
    for trial in trials {
        names.extend(of_target(&trial.target));
        let is_of_the_network =
            |fault: &PlannedFault| fault.fault.kind().needs.iter().any(|ability| ability.is_of_the_network());
        if trial.needs_hosts() || trial.faults.iter().any(is_of_the_network) {
            names.push(TOOLBOX.to_owned());
        }
    }
    names.sort();
    names.dedup();
    names
}

/// The images of a target, each once.
pub fn of_target(target: &Target) -> Vec<String> {
    let mut names: Vec<String> = target.tiers.values().map(|tier| tier.image.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// What identifies each image, for the record.
pub async fn facts(
    engine: &Engine,
    references: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, ImageFacts>, ClusterError> {
    Images::new(engine, &|_| {}).facts(references).await
}

/// Builds what is missing of `names`, with progress on the terminal.
pub async fn build(engine: &Engine, names: &[String]) -> Result<BTreeMap<String, String>, ClusterError> {
    let bar = ProgressBar::new_spinner();
    let is_hidden = bar.is_hidden();
    bar.enable_steady_tick(Duration::from_millis(200));
    let say = |event: ImageEvent| {
        let is_milestone = ["building", "built"].contains(&event.text.as_str())
            || event.image == "root" && !event.text.starts_with("I: ");
        if is_milestone && is_hidden {
            output::note(&format!("image {}: {}", event.image, event.text));
        } else if is_milestone {
            bar.println(format!("image {}: {}", event.image, event.text));
        }
        let text: String = event.text.chars().filter(|character| !character.is_control()).take(70).collect();
        bar.set_message(format!("image {}: {text}", event.image));
    };
    let result = Images::new(engine, &say).ensure(names).await;
    bar.finish_and_clear();
    result
}
