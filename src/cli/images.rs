//! `steadfast images`: builds the images that targets need, or lists the missing ones.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::ProgressBar;

use super::output;
use super::runtime::engines;
use crate::cluster::ClusterError;
use crate::cluster::docker::{Engine, Engines, ImageEvent, ImageState, Images, TOOLBOX, spread_images};
use crate::run::{images_of, prepare_compose};
use crate::topology::{Image, Target};

/// Arguments of `images`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    /// On the machines that this file names: built on the one that manages the swarm, and sent to the others
    #[arg(long, value_name = "FILE", global = true)]
    hosts: Option<String>,
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
    let engines = engines(arguments.hosts.as_deref()).await?;
    match arguments.what {
        What::Build => {
            let references = build(&engines, &all()).await?;
            for reference in references.values() {
                output::line(reference);
            }
        }
        What::List => {
            let states = Images::new(engines.manager(), &|_| {}).states(&all()).await?;
            for (host, engine) in engines.iter() {
                list(host, engine, &states).await;
            }
        }
        What::Check => output::line(&Images::new(engines.manager(), &|_| {}).check_root().await?),
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

/// Prints which of the images are on an engine. What is not built has no reference yet.
async fn list(host: Option<&str>, engine: &Engine, states: &BTreeMap<String, ImageState>) {
    if let Some(host) = host {
        output::line(&format!("{host}:"));
    }
    for (name, state) in states {
        let state = match state {
            ImageState::Present { reference } if engine.has_image(reference).await => reference,
            ImageState::Present { .. } => "not there",
            ImageState::Missing => "not built",
        };
        output::line(&format!("{name:<12} {state}"));
    }
}

/// Builds those of `names` that are missing, and sends them to the other hosts, with progress on the terminal.
pub async fn build(engines: &Engines, names: &[String]) -> Result<BTreeMap<String, String>, ClusterError> {
    let building = Building::new();
    let show = |event: ImageEvent| building.show(&event);
    let result = async {
        let images = Images::new(engines.manager(), &show).ensure(names).await?;
        spread_images(engines, &images, &show).await?;
        Ok(images)
    };
    let result = result.await;
    building.finish();
    result
}

/// Builds what a target needs where it is missing, with progress on the terminal.
pub async fn of_target(engines: &Engines, target: &Target) -> anyhow::Result<BTreeMap<String, String>> {
    let of_hosts = engines.needs().filter(|_| target.attached.is_none());
    let needed = images_of(target).into_iter().chain(of_hosts.map(str::to_owned));
    let mut images = build(engines, &needed.collect::<Vec<_>>()).await?;
    images.extend(prepare_compose(engines, target, None, &output::note).await?);
    Ok(images)
}

/// The progress line while images are built.
pub struct Building(ProgressBar);

impl Building {
    /// Starts the progress line.
    pub fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Shows an event in the progress line, and a milestone also as its own line.
    pub fn show(&self, event: &ImageEvent) {
        let is_milestone = ["building", "built"].contains(&event.text.as_str())
            || ["sending ", "sent, "].iter().any(|begin| event.text.starts_with(begin))
            || event.image == "root" && !event.text.starts_with("I: ");
        let of = if event.image.contains(' ') { event.image.clone() } else { format!("image {}", event.image) };
        if is_milestone && self.0.is_hidden() {
            output::note(&format!("{of}: {}", event.text));
        } else if is_milestone {
            self.0.println(format!("{of}: {}", event.text));
        }
        let text: String = event.text.chars().filter(|character| !character.is_control()).take(70).collect();
        self.0.set_message(format!("{of}: {text}"));
    }

    /// Removes the progress line.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
