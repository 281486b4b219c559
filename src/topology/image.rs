//! Images: each has a folder in `docker/`. Its `image.toml` has what a target needs: ports, limits, configuration
//! templates, settings, readiness. This module does not know how images are built.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Needs, Tier};
use crate::files::{self, Source};
use crate::load::ProtocolName;

/// How to check that a node accepts requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ready {
    /// This path answers 200 on the front network.
    Http(String),
    /// This command, run in the node, exits with 0. `ADDRESS` has the node's own address.
    Command(Vec<String>),
    /// It answers a request for `/`, whatever it says, and its own health check, if it has one, is content.
    Answers,
    /// It runs, and its own health check, if it has one, is content.
    Healthy,
}

/// The format of a balancer's statistics. Each format has a parser in `src/run/balancer/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatisticsFormat {
    /// HAProxy's comma-separated values.
    HaproxyCsv,
    /// The counters of nginx's `stub_status` module.
    NginxStubStatus,
}

/// Where a balancer publishes the states of its app nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// The port on its front address.
    pub port: u16,
    /// The path.
    pub path: String,
    /// The format of the statistics.
    pub format: StatisticsFormat,
}

/// How finely an app can be told when its sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    /// After whole seconds.
    Seconds,
    /// After milliseconds.
    Milliseconds,
}

/// What an administrator can do to a store while it runs: commands that run in the node, with `ADDRESS`, and exit with 0 once it is
/// done. A command that is left out cannot be run, and the fault that needs it is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Administration {
    /// Empties it.
    pub flush: Vec<String>,
    /// Makes a replica the primary, and returns when one is.
    pub failover: Vec<String>,
    /// Gives it less memory than its data take, and returns when it refuses or forgets something; `{policy}` says which.
    pub full: Vec<String>,
    /// The policies of the command before.
    pub policies: Vec<String>,
    /// Lets it use as much as before again.
    pub roomy: Vec<String>,
}

/// The properties of an image that a target needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The name of its folder in `docker/`.
    #[serde(skip_deserializing)]
    pub name: String,
    /// The bundled image that its Dockerfile adds to; `None`: the one from which all others are made.
    #[serde(default)]
    pub base: Option<String>,
    /// The port on which it accepts requests; `None` for a service that no request is sent to.
    pub port: Option<u16>,
    /// The port on which its nodes receive each other's messages.
    #[serde(default)]
    pub cluster_port: Option<u16>,
    /// The tier of a reference node: this program itself, in an empty image or as a process. `None` for a real product.
    #[serde(default)]
    pub reference: Option<Tier>,
    /// For a balancer: its clients' protocols.
    #[serde(default = "http_alone")]
    pub protocols: Vec<ProtocolName>,
    /// For a balancer: the command that stops new requests to an app node and returns when the node has none in flight;
    /// empty if there is none. `{node}` is the node's name, `ADDRESS` the balancer's own address.
    #[serde(default)]
    pub drain: Vec<String>,
    /// For a balancer: the command that adds an app node, for the first time or again.
    #[serde(default)]
    pub admit: Vec<String>,
    /// For a balancer: where it publishes the states of its app nodes.
    #[serde(default)]
    pub statistics: Option<Statistics>,
    /// Whether its configuration takes `expires_after_ms`, and how finely; `None`: nobody can say when its sessions end.
    #[serde(default)]
    pub expires: Option<Granularity>,
    /// For a store: what can be done to it while it runs.
    #[serde(default)]
    pub administration: Administration,
    /// The memory limit of a node, in MiB.
    pub memory_mib: u32,
    /// The CPU limit of a node, in cores.
    pub cpus: f64,
    /// How to check that a node accepts requests.
    pub ready: Ready,
    /// Templates in the folder, by path in the container.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Allowed values of each setting, the default first.
    #[serde(default)]
    pub settings: BTreeMap<String, Vec<String>>,
    /// What values of settings need of the rest of a target.
    #[serde(default, skip_serializing_if = "Needs::is_empty")]
    pub needs: Needs,
}

fn http_alone() -> Vec<ProtocolName> {
    vec![ProtocolName::Http]
}

impl Image {
    /// The image of this name, or in the folder of this path if it has a `/`.
    ///
    /// # Errors
    /// A text for a message about a target file.
    pub fn find(name: &str) -> Result<Self, String> {
        let is_path = name.contains('/');
        let files = if is_path { files::files_below(Path::new(name))? } else { files::image_files(name) };
        let Some(text) = files.get("image.toml") else {
            return Err(if is_path {
                format!("the folder `{name}` has no `image.toml`")
            } else {
                let names = Self::names().join(", ");
                format!("no image is called `{name}`; a folder beside the file is `./{name}`; there are: {names}")
            });
        };
        let source = Source {
            name: name.to_owned(),
            file: if is_path { format!("{name}/image.toml") } else { format!("docker/{name}/image.toml") },
            text: String::from_utf8_lossy(text).into_owned(),
        };
        let image: Self = source.parse().map_err(|error| error.to_string())?;
        if image.port.is_none() {
            return Err(source
                .invalid(0..0, Some("port"), "the port on which it takes requests is missing")
                .to_string());
        }
        // One step is enough for what images have in common, and cannot go round in a circle.
        let is_base = |base: &String| {
            let files = files::image_files(base);
            let text = files.get("image.toml").map(|text| String::from_utf8_lossy(text).into_owned());
            let read = text.and_then(|text| toml::from_str::<Self>(&text).ok());
            files.contains_key("Dockerfile") && read.is_some_and(|found| found.base.is_none())
        };
        if image.base.as_ref().is_some_and(|base| base == name || !is_base(base)) {
            let base = image.base.unwrap_or_default();
            let message = format!(
                "`{base}` cannot be added to: it takes the name of a bundled image that has a Dockerfile and no `base` of its own"
            );
            return Err(source.invalid(0..0, Some("base"), message).to_string());
        }
        if let Some(problem) = image.needs.unknown(&image) {
            return Err(source.invalid(0..0, Some("needs"), problem).to_string());
        }
        Ok(Self { name: name.to_owned(), ..image })
    }

    /// What is known of the image of a service in the user's Compose files.
    pub(super) fn of_service(name: String, port: Option<u16>, ready: Ready) -> Self {
        Self {
            name,
            base: None,
            port,
            cluster_port: None,
            reference: None,
            protocols: http_alone(),
            drain: Vec::new(),
            admit: Vec::new(),
            statistics: None,
            expires: None,
            administration: Administration::default(),
            // The engine says what the limits are.
            memory_mib: 0,
            cpus: 0.0,
            ready,
            files: BTreeMap::new(),
            settings: BTreeMap::new(),
            needs: Needs::default(),
        }
    }

    /// The images that a tier can have, sorted by name.
    #[must_use]
    pub fn names() -> Vec<String> {
        let usable = |name: &String| files::image_files(name).contains_key("image.toml");
        files::image_names().into_iter().filter(usable).collect()
    }

    /// Every setting with its default value.
    #[must_use]
    pub fn default_settings(&self) -> BTreeMap<String, String> {
        let first = |(key, values): (&String, &Vec<String>)| Some((key.clone(), values.first()?.clone()));
        self.settings.iter().filter_map(first).collect()
    }

    /// Checks that a target may set `key` to `value`.
    ///
    /// # Errors
    /// A text for a message about a target file.
    pub fn check_setting(&self, key: &str, value: &str) -> Result<(), String> {
        let Some(allowed) = self.settings.get(key) else {
            let known: Vec<&str> = self.settings.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(format!("the image `{}` has no such setting; it has: {known}", self.name));
        };
        if allowed.iter().any(|one| one == value) {
            return Ok(());
        }
        Err(format!("`{value}` is not one of {}", allowed.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{TEXT, as_source, survives};

    #[test]
    fn every_image_of_a_tier_can_be_read_and_has_its_templates() {
        for name in Image::names() {
            let image = Image::find(&name).unwrap();
            let files = files::image_files(&name);
            assert_eq!(files.contains_key("Dockerfile"), image.reference.is_none(), "{name}");
            for template in image.files.values() {
                assert!(files.contains_key(template), "{name} lacks {template}");
            }
        }
    }

    #[test]
    fn an_image_adds_to_a_bundled_one_that_adds_to_none() {
        let folder = tempfile::tempdir().unwrap();
        let error = |base: &str| {
            let text =
                format!("base = \"{base}\"\nport = 80\nmemory_mib = 64\ncpus = 1.0\nready = {{ http = \"/\" }}\n");
            std::fs::write(folder.path().join("image.toml"), text).unwrap();
            Image::find(folder.path().to_str().unwrap()).err()
        };
        assert_eq!(error("php"), None);
        for refused in ["symfony", "php8", "reference-app", "../php"] {
            let message = error(refused).unwrap();
            assert!(message.contains("cannot be added to: it takes the name of a bundled image"), "{message}");
        }
    }

    #[test]
    fn a_damaged_image_file_is_refused_or_read_without_a_panic() {
        let whole = Image::names().into_iter().map(|name| files::image_files(&name)["image.toml"].clone());
        survives(&whole.collect::<Vec<_>>(), TEXT, |bytes| {
            if let Ok(image) = as_source(bytes).parse::<Image>() {
                let _ = image.check_setting("durability", &image.default_settings().into_values().collect::<String>());
            }
        });
    }
}
