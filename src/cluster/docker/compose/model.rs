//! The model that Compose makes of its files (`config --format json`): interpolated, merged and complete. Only the keys that
//! are changed are known here; all others stay as they are.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::tool::{Tool, words_of};
use crate::cluster::ClusterError;
use crate::cluster::docker::IMAGE_LABEL;
use crate::cluster::docker::images::repository;
use crate::files::FileError;
use crate::topology::{AppServices, Compose, Network, Tier};

/// How long Compose may take to read its files.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The model of a project.
#[derive(Clone, Debug, PartialEq)]
pub struct Model(Value);

impl Model {
    /// Lets Compose read the files.
    ///
    /// # Errors
    /// When the tool does not run; or, in the inner result, what it has against the files, in its own words.
    pub async fn read(tool: &Tool, files: &[PathBuf]) -> Result<Result<Self, FileError>, ClusterError> {
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let mut words: Vec<&str> = files.iter().flat_map(|file| ["-f", file]).collect();
        words.extend(["config", "--format", "json"]);
        let output = tool.run(&words, b"", READ_TIMEOUT).await?;
        let refused = |message: String| FileError::Unreadable { file: files.join(", "), message };
        if !output.status.success() {
            return Ok(Err(refused(format!("{} refuses it:\n    {}", tool.name(), words_of(&output)))));
        }
        let model = serde_json::from_slice(&output.stdout);
        Ok(model.map(Self).map_err(|error| refused(format!("the model that {} made of it: {error}", tool.name()))))
    }

    /// Checks that the services and networks that a target names are there, and that no service would share the machine's
    /// network.
    ///
    /// # Errors
    /// Names what is missing and what there is.
    pub fn check(&self, compose: &Compose, networks_of: impl Fn(Tier) -> Vec<Network>) -> Result<(), ClusterError> {
        let wrong = |reason: String| {
            ClusterError::new(format!("finding the target's services in {}", compose.describe()), reason)
        };
        let services = self.table("services");
        let list = |names: Vec<&String>| names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        for (name, service) in services.iter().flat_map(|services| services.iter()) {
            if service.get("network_mode").and_then(Value::as_str) == Some("host") {
                let reason =
                    format!("service `{name}` has `network_mode: host`, and faults would hit this machine's network");
                return Err(wrong(reason).advise("give it a network of the project"));
            }
        }
        for (tier, name) in compose.names() {
            let Some(service) = services.and_then(|services| services.get(name)) else {
                let there = services.map(|services| list(services.keys().collect())).unwrap_or_default();
                return Err(wrong(format!("there is no service `{name}` for the {tier} tier; there are: {there}")));
            };
            let own = service.get("networks").and_then(Value::as_object);
            for network in networks_of(tier) {
                let Some(wanted) = compose.networks.get(&network) else { continue };
                if !own.is_some_and(|own| own.contains_key(wanted)) {
                    let there = own.map_or_else(|| "none".to_owned(), |own| list(own.keys().collect()));
                    return Err(wrong(format!(
                        "service `{name}` is not in the network `{wanted}`, which the target calls {network}; it is in: {there}"
                    ))
                    .advise("say with `networks` of `[compose]` which network is which"));
                }
            }
        }
        Ok(())
    }

    /// Whether a service has a limit of memory.
    #[must_use]
    pub fn limits_memory(&self, service: &str) -> bool {
        let service = self.table("services").and_then(|services| services.get(service));
        let deployed = service.and_then(|service| service.pointer("/deploy/resources/limits/memory"));
        deployed.is_some() || service.is_some_and(|service| service.get("mem_limit").is_some())
    }

    /// The images that Compose builds, by service.
    #[must_use]
    pub fn built_images(&self, target: &str) -> BTreeMap<String, String> {
        let services = self.table("services").into_iter().flatten();
        let built = services.filter(|(_, service)| service.get("build").is_some());
        built.map(|(name, service)| (name.clone(), image_of(target, name, service))).collect()
    }

    /// The model for building: each image has a name that does not depend on the project, and our label.
    #[must_use]
    pub fn for_build(&self, target: &str) -> Self {
        let mut model = self.clone();
        model.each_service(|name, service| {
            let image = image_of(target, name, &Value::Object(service.clone()));
            if let Some(build) = service.get_mut("build").and_then(Value::as_object_mut) {
                label(build, &HashMap::from([(IMAGE_LABEL.to_owned(), image.clone())]));
                service.insert("image".to_owned(), json!(image));
            }
        });
        model
    }

    /// The model of a trial: labels on everything, networks that exist already, no port of this machine, the images as they
    /// were built, and the wanted number of app nodes.
    #[must_use]
    pub fn for_trial(&self, trial: &Trial<'_>) -> Self {
        let mut model = self.for_build(trial.target);
        model.each_service(|name, service| {
            label(service, trial.labels);
            service.remove("ports");
            if service.remove("build").is_some() {
                service.insert("pull_policy".to_owned(), json!("never"));
            }
            if let Some(cores) = &trial.cores {
                service.insert("cpuset".to_owned(), json!(cores));
            }
            if matches!(&trial.compose.apps, AppServices::Scaled(scaled) if scaled == name) {
                service.remove("container_name");
                service.remove("scale");
                let deploy = service.entry("deploy").or_insert_with(|| json!({}));
                if let Some(deploy) = deploy.as_object_mut() {
                    deploy.insert("replicas".to_owned(), json!(trial.app_nodes));
                }
            }
        });
        for kind in ["networks", "volumes"] {
            model.each_of(kind, |_, entry| {
                if entry.get("external").and_then(Value::as_bool) != Some(true) {
                    label(entry, trial.labels);
                    entry.remove("name");
                }
            });
        }
        model.each_of("networks", |name, network| {
            let ours = trial.compose.networks.iter().find(|(_, called)| *called == name);
            if let Some(existing) = ours.and_then(|(network, _)| trial.networks.get(network)) {
                *network = Map::from_iter([("name".to_owned(), json!(existing)), ("external".to_owned(), json!(true))]);
            }
        });
        model.0["name"] = json!(trial.project);
        model
    }

    /// Whether containers of a network cannot reach others.
    #[must_use]
    pub fn is_internal(&self, network: &str) -> bool {
        let network = self.table("networks").and_then(|networks| networks.get(network));
        network.and_then(|network| network.get("internal")).and_then(Value::as_bool).unwrap_or_default()
    }

    /// All of it.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.0
    }

    /// The text for Compose.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }

    fn table(&self, key: &str) -> Option<&Map<String, Value>> {
        self.0.get(key).and_then(Value::as_object)
    }

    fn each_service(&mut self, change: impl FnMut(&str, &mut Map<String, Value>)) {
        self.each_of("services", change);
    }

    fn each_of(&mut self, key: &str, mut change: impl FnMut(&str, &mut Map<String, Value>)) {
        let entries = self.0.get_mut(key).and_then(Value::as_object_mut);
        for (name, entry) in entries.into_iter().flatten() {
            if entry.is_null() {
                *entry = json!({});
            }
            if let Some(entry) = entry.as_object_mut() {
                change(name, entry);
            }
        }
    }
}

/// What is different in the model of each trial.
pub struct Trial<'a> {
    /// The target's name.
    pub target: &'a str,
    /// The services of the target.
    pub compose: &'a Compose,
    /// The project's name.
    pub project: &'a str,
    /// The labels of all that is made.
    pub labels: &'a HashMap<String, String>,
    /// The engine's names of networks that exist already.
    pub networks: &'a BTreeMap<Network, String>,
    /// How many app nodes there are.
    pub app_nodes: u8,
    /// The cores of the nodes; `None`: all.
    pub cores: Option<String>,
}

/// The name of a service's image: the user's, or one that no other target has.
fn image_of(target: &str, service: &str, of: &Value) -> String {
    let own = of.get("image").and_then(Value::as_str);
    own.map_or_else(|| format!("steadfast/{}-{}", repository(target), repository(service)), str::to_owned)
}

fn label(entry: &mut Map<String, Value>, labels: &HashMap<String, String>) {
    let table = entry.entry("labels").or_insert_with(|| json!({}));
    if !table.is_object() {
        *table = json!({});
    }
    if let Some(table) = table.as_object_mut() {
        table.extend(labels.iter().map(|(name, value)| (name.clone(), json!(value))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compose() -> Compose {
        Compose {
            files: vec![PathBuf::from("compose.yaml")],
            apps: AppServices::Scaled("web".into()),
            services: BTreeMap::from([
                (Tier::Balancer, vec!["proxy".to_owned()]),
                (Tier::Store, vec!["redis".to_owned()]),
            ]),
            networks: BTreeMap::from([(Network::Front, "default".to_owned())]),
        }
    }

    /// As Compose 2.26 prints it, in short.
    fn model() -> Model {
        Model(json!({
            "name": "shop",
            "services": {
                "web": {
                    "build": {"context": "/shop", "dockerfile": "Dockerfile"}, "container_name": "web", "scale": 1,
                    "environment": {"HOME": "$$HOME"}, "labels": {"team": "shop"}, "networks": {"default": null},
                    "restart": "always"
                },
                "proxy": {"image": "proxy", "networks": {"default": null}, "ports": [{"target": 80, "published": "8080"}]},
                "redis": {
                    "image": "redis", "networks": {"default": null, "data": null},
                    "deploy": {"resources": {"limits": {"memory": "67108864"}}}
                }
            },
            "networks": {"default": {"name": "shop_default", "ipam": {}}, "data": {"name": "shop_data"}, "out": {"name": "out", "external": true}},
            "volumes": {"disk": {"name": "shop_disk"}}
        }))
    }

    #[test]
    fn a_trial_has_labels_its_own_networks_and_no_port_of_this_machine() {
        let labels = HashMap::from([("io.steadfast.run".to_owned(), "r".to_owned())]);
        let networks = BTreeMap::from([(Network::Front, "steadfast-r-t-front".to_owned())]);
        let trial = Trial {
            target: "shop",
            compose: &compose(),
            project: "steadfast-r-t",
            labels: &labels,
            networks: &networks,
            app_nodes: 3,
            cores: None,
        };
        let text = serde_json::to_string_pretty(&model().for_trial(&trial).0).unwrap();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_a_target_names_must_be_there() {
        let check = |change: &dyn Fn(&mut Model, &mut Compose)| {
            let (mut model, mut compose) = (model(), compose());
            change(&mut model, &mut compose);
            let networks = |_| vec![Network::Front];
            model.check(&compose, networks).map_or_else(|error| error.to_string(), |()| "all is there".to_owned())
        };
        insta::assert_snapshot!([
            check(&|_, _| ()),
            check(&|_, compose| compose.apps = AppServices::Scaled("app".into())),
            check(&|_, compose| { compose.networks.insert(Network::Front, "front".into()); }),
            check(&|model, _| model.0["services"]["redis"]["network_mode"] = json!("host")),
        ].join("\n"), @r"
        all is there
        finding the target's services in compose.yaml: there is no service `app` for the app tier; there are: proxy, redis, web
        finding the target's services in compose.yaml: service `web` is not in the network `front`, which the target calls front; it is in: default
          say with `networks` of `[compose]` which network is which
        finding the target's services in compose.yaml: service `redis` has `network_mode: host`, and faults would hit this machine's network
          give it a network of the project
        ");
        assert!(model().limits_memory("redis") && !model().limits_memory("web"));
    }
}
