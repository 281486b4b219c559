//! The `[compose]` table of a target file: which services of the user's own Compose files are the tiers of the target. What
//! the files say is Compose's business; this module never reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::image::Statistics;
use super::{Image, Network, Ready, Tier, TierSpec};
use crate::files::{FileError, Source};
use crate::values::OneOrMore;

/// The tiers of a target as services of Compose files.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compose {
    /// The files, in the order in which they are merged.
    pub files: Vec<PathBuf>,
    /// The app nodes.
    pub apps: AppServices,
    /// The services of the other tiers, in the order of their nodes.
    pub services: BTreeMap<Tier, Vec<String>>,
    /// The file's name for each network of the target.
    pub networks: BTreeMap<Network, String>,
}

/// The services of the app nodes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AppServices {
    /// One that is scaled to the number of app nodes.
    Scaled(String),
    /// One for each app node.
    Listed(Vec<String>),
}

impl Compose {
    /// The service of a node, and the number of its container in it, from 1.
    #[must_use]
    pub fn service_of(&self, tier: Tier, number: u8) -> Option<(&str, u8)> {
        let listed = match (&self.apps, tier) {
            (AppServices::Scaled(service), Tier::App) => return Some((service, number)),
            (AppServices::Listed(services), Tier::App) => services,
            _ => self.services.get(&tier)?,
        };
        let index = usize::from(number).checked_sub(1)?;
        listed.get(index).map(|service| (service.as_str(), 1))
    }

    /// The names of all services that are nodes, with their tiers.
    pub fn names(&self) -> impl Iterator<Item = (Tier, &str)> {
        let apps = match &self.apps {
            AppServices::Scaled(service) => std::slice::from_ref(service),
            AppServices::Listed(services) => services,
        };
        let others = self.services.iter().flat_map(|(tier, names)| names.iter().map(|name| (*tier, name)));
        apps.iter().map(|name| (Tier::App, name)).chain(others).map(|(tier, name)| (tier, name.as_str()))
    }

    /// How many app nodes there are; `None`: as many as the profile wants.
    #[must_use]
    pub fn app_nodes(&self) -> Option<usize> {
        match &self.apps {
            AppServices::Scaled(_) => None,
            AppServices::Listed(services) => Some(services.len()),
        }
    }

    /// The files' names, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        self.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// A service, and the port inside its container if it is given: `web` or `web:8000`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Service {
    name: String,
    port: Option<u16>,
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => {
                let port = port.parse().ok().filter(|port| *port > 0);
                (name, Some(port.ok_or_else(|| format!("`{text}` has no port of 1 to 65535 behind its `:`"))?))
            }
            None => (text, None),
        };
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if is_name {
            Ok(Self { name: name.to_owned(), port })
        } else {
            Err(format!("`{text}` is not a name of a service"))
        }
    }
}

impl<'de> Deserialize<'de> for Service {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The table as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComposeFile {
    #[serde(default = "usual_files")]
    files: Spanned<OneOrMore<String>>,
    app: Spanned<OneOrMore<Service>>,
    balancer: Option<Spanned<OneOrMore<Service>>>,
    store: Option<OneOrMore<Service>>,
    endpoint: Spanned<Service>,
    #[serde(default = "usual_networks")]
    networks: Spanned<BTreeMap<Network, String>>,
    ready: Option<Spanned<String>>,
    #[serde(default)]
    drain: Vec<String>,
    #[serde(default)]
    admit: Vec<String>,
    statistics: Option<Statistics>,
}

fn usual_files() -> Spanned<OneOrMore<String>> {
    Spanned::new(0..0, OneOrMore(vec!["compose.yaml".to_owned()]))
}

fn usual_networks() -> Spanned<BTreeMap<Network, String>> {
    Spanned::new(0..0, BTreeMap::from([(Network::Front, "default".to_owned())]))
}

impl ComposeFile {
    /// The services, and the target's tiers made of them.
    ///
    /// # Errors
    /// Names the line and key of what is wrong.
    pub fn check(self, source: &Source) -> Result<(Compose, BTreeMap<Tier, TierSpec>), FileError> {
        let invalid = |span, key: &str, message: String| source.invalid(span, Some(&format!("compose.{key}")), message);
        let folder = Path::new(&source.file).parent().unwrap_or(Path::new(""));
        let files: Vec<PathBuf> = self.files.get_ref().0.iter().map(|file| folder.join(file)).collect();
        if let Some(missing) = files.iter().find(|file| !file.is_file()) {
            let message = format!("there is no file {}", missing.display());
            return Err(invalid(self.files.span(), "files", message));
        }
        let networks = self.networks.get_ref().clone();
        if !networks.contains_key(&Network::Front) {
            let message = "`front` is missing: the network of the balancer and the app nodes".to_owned();
            return Err(invalid(self.networks.span(), "networks", message));
        }
        let endpoint = self.endpoint.get_ref().clone();
        let Some(port) = endpoint.port else {
            let message = format!("it needs the port inside the container, such as `{}:8080`", endpoint.name);
            return Err(invalid(self.endpoint.span(), "endpoint", message));
        };
        let mut balancers = match self.balancer {
            Some(services) if services.get_ref().0.iter().all(|service| service.name != endpoint.name) => {
                let message = format!("the endpoint `{}` is none of them", endpoint.name);
                return Err(invalid(services.span(), "balancer", message));
            }
            Some(services) => services.into_inner().0,
            None => vec![endpoint.clone()],
        };
        // Clients go in at the endpoint alone.
        for balancer in &mut balancers {
            balancer.port = (balancer.name == endpoint.name).then_some(port);
        }
        let span = self.app.span();
        let apps = self.app.into_inner().0;
        let Some(app) = apps.first().cloned() else {
            return Err(invalid(span, "app", "it names a service, or one for each app node".to_owned()));
        };
        if app.port.is_none() || apps.iter().any(|other| other.port != app.port) {
            let message = format!("it needs the port on which each node takes requests, such as `{}:8000`", app.name);
            return Err(invalid(span, "app", message));
        }
        let ready = match self.ready {
            Some(path) if !path.get_ref().starts_with('/') => {
                return Err(invalid(path.span(), "ready", "it is a path of the app, such as `/health`".to_owned()));
            }
            Some(path) => Ready::Http(path.into_inner()),
            None => Ready::Answers,
        };
        let of = |services: &[Service], ready, networks: Vec<Network>| {
            let first = services.first().cloned();
            let (name, port) = first.map_or_else(Default::default, |service| (service.name, service.port));
            TierSpec {
                nodes: u8::try_from(services.len()).unwrap_or(u8::MAX),
                image: Image::of_service(name, port, ready),
                networks,
                settings: BTreeMap::new(),
            }
        };
        let mut tiers = BTreeMap::new();
        let mut balancer = of(&balancers, Ready::Answers, vec![Network::Front]);
        balancer.image = Image { drain: self.drain, admit: self.admit, statistics: self.statistics, ..balancer.image };
        tiers.insert(Tier::Balancer, balancer);
        tiers.insert(Tier::App, of(&apps, ready, networks.keys().copied().collect()));
        let mut services = BTreeMap::from([(Tier::Balancer, names(&balancers))]);
        if let Some(OneOrMore(stores)) = self.store {
            let home = if networks.contains_key(&Network::Store) { Network::Store } else { Network::Front };
            tiers.insert(Tier::Store, of(&stores, Ready::Healthy, vec![home]));
            services.insert(Tier::Store, names(&stores));
        }
        let apps = match names(&apps) {
            one if one.len() == 1 => AppServices::Scaled(app.name),
            several => AppServices::Listed(several),
        };
        let compose = Compose { files, apps, services, networks };
        let mut known = Vec::new();
        for (tier, name) in compose.names() {
            if known.contains(&name) {
                return Err(invalid(span, &tier.to_string(), format!("`{name}` stands twice")));
            }
            known.push(name);
        }
        Ok((compose, tiers))
    }
}

fn names(services: &[Service]) -> Vec<String> {
    services.iter().map(|service| service.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Target;

    fn read(table: &str) -> Result<Target, FileError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("compose.yaml"), "").unwrap();
        let source = Source {
            name: "shop".into(),
            file: folder.path().join("shop.toml").display().to_string(),
            text: format!("strategy = \"store\"\nshows = \"Our shop.\"\n[compose]\n{table}"),
        };
        Target::from_source(&source)
    }

    const SHOP: &str = "app = \"web:8000\"\nstore = \"redis\"\nendpoint = \"proxy:8080\"\n";

    #[test]
    fn services_become_nodes_of_tiers() {
        let target = read(SHOP).unwrap();
        let compose = target.compose.as_ref().unwrap();
        assert_eq!(compose.service_of(Tier::App, 3), Some(("web", 3)));
        assert_eq!(compose.service_of(Tier::Balancer, 1), Some(("proxy", 1)));
        assert_eq!(compose.service_of(Tier::Store, 2), None);
        let topology =
            crate::topology::Topology::resolve(&target, 2, crate::topology::Subnets::Private { first_bytes: [10, 77] });
        let sockets: Vec<_> = topology.unwrap().nodes.iter().map(|node| (node.name.clone(), node.socket())).collect();
        insta::assert_debug_snapshot!(sockets, @r#"
        [
            (
                "store",
                None,
            ),
            (
                "app-1",
                Some(
                    10.77.0.11:8000,
                ),
            ),
            (
                "app-2",
                Some(
                    10.77.0.12:8000,
                ),
            ),
            (
                "balancer",
                Some(
                    10.77.0.3:8080,
                ),
            ),
        ]
        "#);
    }

    #[test]
    fn listed_services_are_one_node_each() {
        let target = read("app = [\"one:80\", \"two:80\"]\nendpoint = \"proxy:8080\"\n").unwrap();
        let compose = target.compose.unwrap();
        assert_eq!(compose.service_of(Tier::App, 2), Some(("two", 1)));
        assert_eq!(compose.app_nodes(), Some(2));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let with = |from: &str, to: &str| {
            let message = read(&SHOP.replace(from, to)).unwrap_err().to_string();
            message.rsplit_once("shop.toml").unwrap().1.to_owned()
        };
        insta::assert_snapshot!([
            with("web:8000", "web"),
            with("proxy:8080", "proxy"),
            with("web:8000", "web:0"),
            with("\"redis\"", "\"web\""),
            with("\"redis\"", "\"a b\""),
            with("store", "balancer"),
            with("store = \"redis\"", "networks = { store = \"data\" }"),
            with("store = \"redis\"", "ready = \"health\""),
            with("store", "stores"),
        ].join("\n"), @r"
        :4: `compose.app`: it needs the port on which each node takes requests, such as `web:8000`
        :6: `compose.endpoint`: it needs the port inside the container, such as `proxy:8080`
        :4: `compose.app`: `web:0` has no port of 1 to 65535 behind its `:`
        :4: `compose.store`: `web` stands twice
        :5: `compose.store`: `a b` is not a name of a service
        :5: `compose.balancer`: the endpoint `proxy` is none of them
        :5: `compose.networks`: `front` is missing: the network of the balancer and the app nodes
        :5: `compose.ready`: it is a path of the app, such as `/health`
        :5: `compose.stores`: unknown field `stores`, expected one of `files`, `app`, `balancer`, `store`, `endpoint`, `networks`, `ready`, `drain`, `admit`, `statistics`
        ");
        let error = read(&format!("{SHOP}files = \"none.yaml\"")).unwrap_err().to_string();
        assert!(error.contains(":7: `compose.files`: there is no file "), "{error}");
    }
}
