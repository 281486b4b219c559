//! Images: built through the engine from the files in the binary, cached by a hash of their inputs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use bollard::query_parameters::BuildImageOptionsBuilder;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Engine, IMAGE_LABEL, base, certificates, program};
use crate::cluster::ClusterError;
use crate::digest;
use crate::files;
use crate::topology::Image;

/// The image from which all others are built, except the program's.
const BASE: &str = "base";
/// This program in an empty image: the agent, and every image without its own Dockerfile.
pub const PROGRAM: &str = "program";
/// How many lines of a failed build are shown.
const LAST_LINES: usize = 25;

/// A progress message while images are built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageEvent {
    /// The image's name.
    pub image: String,
    /// The progress, as text.
    pub text: String,
}

impl ImageEvent {
    pub(super) fn progress(image: &str, text: impl Into<String>) -> Self {
        Self { image: image.to_owned(), text: text.into() }
    }
}

/// Whether an image has to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageState {
    /// The engine has it, built from exactly these inputs.
    Present {
        /// Its reference.
        reference: String,
    },
    /// It has to be built.
    Missing,
}

/// The reference and id of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// Its name, with a hash of its inputs.
    pub reference: String,
    /// The engine's own id of its content.
    pub id: String,
}

/// Makes sure that the engine has the images that a run needs.
pub struct Images<'a> {
    engine: &'a Engine,
    say: &'a (dyn Fn(ImageEvent) + Sync),
}

/// The inputs of an image.
struct Recipe {
    name: String,
    files: BTreeMap<String, Vec<u8>>,
    base: Option<String>,
}

impl Recipe {
    /// Changes with every input: files, their names, and the base image.
    fn reference(&self) -> String {
        let mut hash = Sha256::new();
        for (path, bytes) in &self.files {
            for part in [path.as_bytes(), bytes.as_slice()] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        hash.update(self.base.as_deref().unwrap_or("scratch").as_bytes());
        format!("steadfast/{}:{}", repository(&self.name), digest::short(hash))
    }

    /// Whether its build fetches something over TLS.
    fn asks_for_certificates(&self) -> bool {
        if self.files.contains_key(certificates::FILE) {
            return false;
        }
        let dockerfile = self.files.get("Dockerfile");
        dockerfile.is_some_and(|text| String::from_utf8_lossy(text).contains(certificates::FILE))
    }

    /// The build context, as tar.
    fn context(&self) -> std::io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        // Not in the reference: what is fetched with them is pinned by its own hash.
        let certificates = self.asks_for_certificates().then(certificates::of_machine);
        let certificates = certificates.as_deref().map(|bytes| (certificates::FILE, bytes));
        let files = self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
        for (path, bytes) in files.chain(certificates) {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(if program::is_run(path) { 0o755 } else { 0o644 });
            archive.append_data(&mut header, Path::new(path), bytes)?;
        }
        archive.into_inner()
    }
}

impl<'a> Images<'a> {
    /// `say` receives progress messages.
    #[must_use]
    pub fn new(engine: &'a Engine, say: &'a (dyn Fn(ImageEvent) + Sync)) -> Self {
        Self { engine, say }
    }

    /// Makes sure that the engine has all of `names` and this program's image.
    ///
    /// # Returns
    /// The reference of each, by name.
    ///
    /// # Errors
    /// When one cannot be built, with the last lines of its build.
    pub async fn ensure(&self, names: &[String]) -> Result<BTreeMap<String, String>, ClusterError> {
        let (played, named): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| is_program(name));
        let mut references = if named.is_empty() { BTreeMap::new() } else { self.ensure_built(&named).await? };
        let program = self.make(&program_recipe()?, None).await?;
        references.extend(played.into_iter().map(|name| (name.clone(), program.clone())));
        references.insert(PROGRAM.to_owned(), program);
        Ok(references)
    }

    /// Makes sure that the engine has the base and these images, which are built from it.
    async fn ensure_built(&self, names: &[&String]) -> Result<BTreeMap<String, String>, ClusterError> {
        let root = base::ensure(self.engine, &|text| (self.say)(ImageEvent::progress("root", text))).await?;
        let root_id = self.id_of(&root).await.unwrap_or(root.clone());
        let base = self
            .make(&Recipe { name: BASE.into(), files: build_files(BASE), base: Some(root_id) }, Some(&root))
            .await?;
        let mut references = BTreeMap::from([(BASE.to_owned(), base)]);
        // Bases come before the images that add to them.
        let bases: BTreeSet<String> = names.iter().map(|name| base_of(name)).filter(|base| base != BASE).collect();
        let others = names.iter().map(|name| (*name).clone()).filter(|name| !bases.contains(name));
        for round in [bases.iter().cloned().collect::<Vec<_>>(), others.collect()] {
            let built = &references;
            let builds = round.into_iter().map(|name| async move {
                let base = &built[&base_of(&name)];
                let recipe = Recipe { files: build_files(&name), base: Some(base.clone()), name };
                let reference = self.make(&recipe, Some(base)).await?;
                Ok::<_, ClusterError>((recipe.name, reference))
            });
            // Two at a time: a build waits for the network about as long as it computes.
            let built: Vec<_> = futures::stream::iter(builds).buffer_unordered(2).try_collect().await?;
            references.extend(built);
        }
        Ok(references)
    }

    /// The reference and id of each image.
    ///
    /// # Errors
    /// When one of them is gone.
    pub async fn facts(
        &self,
        references: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, ImageFacts>, ClusterError> {
        let mut facts = BTreeMap::new();
        for (name, reference) in references {
            let gone =
                || ClusterError::new(format!("inspecting image {reference}"), "the engine does not have it any more");
            let id = self.id_of(reference).await.ok_or_else(gone)?;
            facts.insert(name.clone(), ImageFacts { reference: reference.clone(), id });
        }
        Ok(facts)
    }

    /// Whether each of `names` is present; builds nothing.
    ///
    /// # Errors
    /// When this program cannot be read.
    pub async fn states(&self, names: &[String]) -> Result<BTreeMap<String, ImageState>, ClusterError> {
        let mut states = BTreeMap::new();
        let base = match base::present(self.engine).await {
            Some(root) => {
                let recipe = Recipe { name: BASE.into(), files: build_files(BASE), base: self.id_of(&root).await };
                self.state(&recipe).await
            }
            None => ImageState::Missing,
        };
        states.insert(BASE.to_owned(), base);
        for name in names.iter().filter(|name| !is_program(name)) {
            let base = base_of(name);
            if !states.contains_key(&base) {
                let state = self.state_on(&base, &states[BASE]).await;
                states.insert(base.clone(), state);
            }
            let state = self.state_on(name, &states[&base]).await;
            states.insert(name.clone(), state);
        }
        states.insert(PROGRAM.to_owned(), self.state(&program_recipe()?).await);
        Ok(states)
    }

    /// Checks that the root image is present or can be bootstrapped, or else pulls it.
    ///
    /// # Errors
    /// When that is impossible, with the command that fixes it.
    pub async fn check_root(&self) -> Result<String, ClusterError> {
        if let Some(reference) = base::present(self.engine).await {
            return Ok(format!("the root image {reference} is there"));
        }
        if base::can_bootstrap().await {
            return Ok("the root image will be pulled, or else bootstrapped with mmdebstrap".to_owned());
        }
        match base::pull(self.engine).await {
            Ok(()) => Ok("the root image has been pulled".to_owned()),
            Err(reason) => Err(ClusterError::new(
                "looking for a root image",
                format!("it cannot be pulled ({reason}), and mmdebstrap is not installed"),
            )
            .advise(format!("run: {}", base::INSTALL_BOOTSTRAP))),
        }
    }

    async fn id_of(&self, reference: &str) -> Option<String> {
        self.engine.docker.inspect_image(reference).await.ok()?.id
    }

    async fn state(&self, recipe: &Recipe) -> ImageState {
        let reference = recipe.reference();
        match self.id_of(&reference).await {
            Some(_) => ImageState::Present { reference },
            None => ImageState::Missing,
        }
    }

    /// The state of an image whose base is in this state.
    async fn state_on(&self, name: &str, base: &ImageState) -> ImageState {
        match base {
            ImageState::Present { reference } => {
                self.state(&Recipe { name: name.to_owned(), files: build_files(name), base: Some(reference.clone()) })
                    .await
            }
            ImageState::Missing => ImageState::Missing,
        }
    }

    async fn make(&self, recipe: &Recipe, base: Option<&str>) -> Result<String, ClusterError> {
        if let ImageState::Present { reference } = self.state(recipe).await {
            return Ok(reference);
        }
        let reference = recipe.reference();
        (self.say)(ImageEvent::progress(&recipe.name, "building"));
        let context = recipe
            .context()
            .map_err(|error| ClusterError::new(format!("packing image {}", recipe.name), error.to_string()))?;
        let mut options = BuildImageOptionsBuilder::new()
            .dockerfile("Dockerfile")
            .t(&reference)
            .rm(true)
            .forcerm(true)
            .labels(&HashMap::from([(IMAGE_LABEL, recipe.name.as_str())]));
        if let Some(base) = base {
            options = options.buildargs(&HashMap::from([("BASE", base)]));
        }
        let body = bollard::body_full(Bytes::from(context));
        let mut lines = self.engine.docker.build_image(options.build(), None, Some(body));
        let mut last = Vec::new();
        while let Some(info) = lines.next().await {
            let error = match info {
                Ok(info) => {
                    for line in info.stream.iter().flat_map(|text| text.lines()).filter(|line| !line.trim().is_empty())
                    {
                        (self.say)(ImageEvent::progress(&recipe.name, line));
                        last.push(line.to_owned());
                    }
                    info.error_detail.map(|detail| detail.message.unwrap_or_default())
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = error {
                let tail = &last[last.len().saturating_sub(LAST_LINES)..];
                return Err(ClusterError::new(
                    format!("building image {} (docker/{}/Dockerfile)", recipe.name, recipe.name),
                    format!("{error}\n  its last lines:\n    {}", tail.join("\n    ")),
                )
                .advise("fix the error shown above, then run `steadfast images build`"));
            }
        }
        match self.id_of(&reference).await {
            Some(_) => {
                (self.say)(ImageEvent::progress(&recipe.name, "built"));
                Ok(reference)
            }
            None => Err(ClusterError::new(
                format!("building image {}", recipe.name),
                "the engine ended the build without an image",
            )),
        }
    }
}

/// An image's name as a part of a reference: of a folder the last part of its path, in the letters that references may have.
pub(super) fn repository(name: &str) -> String {
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or(name).to_lowercase();
    let allowed: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    match allowed.trim_matches('-') {
        "" => "image".to_owned(),
        part => part.to_owned(),
    }
}

/// The files of the build context: not `image.toml`, nor templates, which are rendered later.
fn build_files(image: &str) -> BTreeMap<String, Vec<u8>> {
    let built = |path: &String| path != "image.toml" && Path::new(path).extension().is_none_or(|ending| ending != "j2");
    files::image_files(image).into_iter().filter(|(path, _)| built(path)).collect()
}

/// The image to which an image's Dockerfile adds.
fn base_of(image: &str) -> String {
    Image::find(image).ok().and_then(|image| image.base).unwrap_or_else(|| BASE.to_owned())
}

/// Whether an image is this program with other arguments.
fn is_program(image: &str) -> bool {
    !files::image_files(image).contains_key("Dockerfile")
}

fn program_recipe() -> Result<Recipe, ClusterError> {
    let mut files = build_files(PROGRAM);
    let program = program::files();
    files.extend(program.map_err(|reason| ClusterError::new("putting this program into an image", reason))?);
    Ok(Recipe { name: PROGRAM.to_owned(), files, base: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_changes_with_every_input() {
        let recipe = |file: &str, base: &str| Recipe {
            name: "x".into(),
            files: BTreeMap::from([("Dockerfile".into(), file.into())]),
            base: Some(base.into()),
        };
        let reference = recipe("a", "b").reference();
        assert_eq!(reference, recipe("a", "b").reference());
        assert_ne!(reference, recipe("b", "b").reference());
        assert_ne!(reference, recipe("a", "c").reference());
    }

    #[test]
    fn the_folder_of_an_image_gives_its_reference_a_name_that_is_allowed() {
        assert_eq!(
            ["haproxy", "../shop/My App/", "./-.-", "/a/b_c"].map(repository),
            ["haproxy", "my-app", "image", "b-c"]
        );
    }
}
