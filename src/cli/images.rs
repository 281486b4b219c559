//! `steadfast images`: builds the images that targets need, or lists the missing ones.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::ProgressBar;

use super::output;
use crate::cluster::ClusterError;
use crate::cluster::docker::{Engine, ImageEvent, ImageState, Images, TOOLBOX};
use crate::topology::Image;

/// Arguments of `images`.
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

/// Builds those of `names` that are missing, with progress on the terminal.
pub async fn build(engine: &Engine, names: &[String]) -> Result<BTreeMap<String, String>, ClusterError> {
    let building = Building::new();
    let result = Images::new(engine, &|event: ImageEvent| building.show(&event)).ensure(names).await;
    building.finish();
    result
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
            || event.image == "root" && !event.text.starts_with("I: ");
        if is_milestone && self.0.is_hidden() {
            output::note(&format!("image {}: {}", event.image, event.text));
        } else if is_milestone {
            self.0.println(format!("image {}: {}", event.image, event.text));
        }
        let text: String = event.text.chars().filter(|character| !character.is_control()).take(70).collect();
        self.0.set_message(format!("image {}: {text}", event.image));
    }

    /// Removes the progress line.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
