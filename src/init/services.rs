//! The services of Compose files, and guesses at their roles by names, images and ports.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Draft, quoted};

const BALANCERS: [&str; 10] =
    ["nginx", "haproxy", "traefik", "envoy", "caddy", "proxy", "balancer", "gateway", "ingress", "lb"];
const STORES: [&str; 12] = [
    "redis",
    "valkey",
    "keydb",
    "memcache",
    "postgres",
    "mysql",
    "mariadb",
    "mongo",
    "cache",
    "database",
    "db",
    "dragonfly",
];

/// What the model of Compose says of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its image, if it names one.
    pub image: String,
    /// Whether Compose builds it.
    pub is_built: bool,
    /// The ports inside its containers that it publishes or exposes.
    pub ports: Vec<u16>,
    /// Its networks.
    pub networks: Vec<String>,
}

/// The port of a store of this name or image.
fn usual_port(store: &Service) -> Option<u16> {
    let ports: [(&[&str], u16); 5] = [
        (&["redis", "valkey", "keydb", "dragonfly"], 6379),
        (&["memcache"], 11211),
        (&["postgres"], 5432),
        (&["mysql", "mariadb"], 3306),
        (&["mongo"], 27017),
    ];
    let text = format!("{} {}", store.name, store.image).to_lowercase();
    ports.into_iter().find(|(words, _)| words.iter().any(|word| text.contains(word))).map(|(_, port)| port)
}

/// The services of a model of Compose.
#[must_use]
pub fn services(model: &Value) -> Vec<Service> {
    let table = model.get("services").and_then(Value::as_object);
    table.into_iter().flatten().map(|(name, service)| of(name, service)).collect()
}

fn of(name: &str, service: &Value) -> Service {
    let list = |key: &str| service.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let published = list("ports").into_iter().filter_map(|port| port.get("target")?.as_u64());
    // A range is not taken apart: the first port is as good a guess.
    let exposed = list("expose").into_iter().filter_map(|port| match port {
        Value::String(text) => text.split(['-', '/']).next()?.parse().ok(),
        other => other.as_u64(),
    });
    let networks = service.get("networks").and_then(Value::as_object);
    Service {
        name: name.to_owned(),
        image: service.get("image").and_then(Value::as_str).unwrap_or_default().to_owned(),
        is_built: service.get("build").is_some(),
        ports: published.chain(exposed).filter_map(|port| u16::try_from(port).ok()).collect(),
        networks: networks.map(|networks| networks.keys().cloned().collect()).unwrap_or_default(),
    }
}

/// Which service has which role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Takes the clients' requests.
    pub balancer: Option<Service>,
    /// The app.
    pub app: Option<Service>,
    /// Keep sessions.
    pub stores: Vec<Service>,
    /// Have no role.
    pub others: Vec<Service>,
}

impl Roles {
    /// Guesses the roles: a store by its name, else a balancer by its name; of the others, the first that is built is the app.
    #[must_use]
    pub fn guess(services: &[Service]) -> Self {
        let is = |service: &Service, words: &[&str]| {
            let image = service.image.rsplit('/').next().unwrap_or_default().to_lowercase();
            let name = service.name.to_lowercase();
            words
                .iter()
                .any(|word| image.starts_with(word) || name.split(['-', '_']).any(|part| part.starts_with(word)))
        };
        let (stores, rest): (Vec<_>, Vec<_>) = services.iter().cloned().partition(|service| is(service, &STORES));
        let mut rest = rest;
        let mut take = |wanted: &dyn Fn(&Service) -> bool| rest.iter().position(wanted).map(|place| rest.remove(place));
        let balancer = take(&|service| is(service, &BALANCERS));
        let app = take(&|service| service.is_built && !service.networks.is_empty()).or_else(|| take(&|_| true));
        Self { balancer, app, stores, others: rest }
    }

    /// Writes the `[compose]` table.
    pub(super) fn write(&self, files: &[String], draft: &mut Draft) {
        let files: Vec<String> = files.iter().map(|file| quoted(file)).collect();
        let _ = write!(draft.text, "\n[compose]\nfiles = [{}]\n", files.join(", "));
        let port = |service: &Service, usual: u16| service.ports.first().copied().unwrap_or(usual);
        let mut line = |key: &str, value: Option<String>, missing: &str| {
            let _ = match value {
                Some(value) => writeln!(draft.text, "{key} = {}  # a guess", quoted(&value)),
                None => writeln!(draft.text, "# {key} = \"\"  # {missing}"),
            };
        };
        let with_port = |service: &Service, usual: u16| format!("{}:{}", service.name, port(service, usual));
        line(
            "app",
            self.app.as_ref().map(|app| with_port(app, 8000)),
            "the service that is scaled, and its port, such as web:8000",
        );
        line(
            "endpoint",
            self.balancer.as_ref().map(|balancer| with_port(balancer, 80)),
            "where clients go in: the balancer's service and the port inside its container",
        );
        let store = |store: &Service| match store.ports.first().copied().or_else(|| usual_port(store)) {
            Some(port) => quoted(&format!("{}:{port}", store.name)),
            None => quoted(&store.name),
        };
        let stores: Vec<String> = self.stores.iter().map(store).collect();
        if !stores.is_empty() {
            let list = if let [one] = stores.as_slice() { one.clone() } else { format!("[{}]", stores.join(", ")) };
            let _ = writeln!(draft.text, "store = {list}  # a guess");
        }
        if let Some(networks) = self.networks() {
            let _ = writeln!(draft.text, "networks = {networks}  # a guess");
        }
        draft.text.push_str("# ready = \"/health\"  # a path of the app that answers 200 when it can work\n");
        if !self.others.is_empty() {
            let others: Vec<&str> = self.others.iter().map(|service| service.name.as_str()).collect();
            draft.notes.push(format!("started, but without a role: {}", others.join(", ")));
        }
    }

    fn networks(&self) -> Option<String> {
        let (app, balancer) = (self.app.as_ref()?, self.balancer.as_ref()?);
        let shared = |one: &Service, other: &Service| {
            one.networks.iter().find(|network| other.networks.contains(network)).cloned()
        };
        let front = shared(balancer, app)?;
        let apart = |store: &Service| {
            let common = shared(store, app)?;
            (!store.networks.contains(&front)).then_some(common)
        };
        Some(match self.stores.iter().find_map(apart) {
            Some(store) => format!("{{ front = {}, store = {} }}", quoted(&front), quoted(&store)),
            None => format!("{{ front = {} }}", quoted(&front)),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::draft;
    use super::*;

    #[test]
    fn roles_are_guessed_from_names_images_and_ports() {
        let model = json!({"services": {
            "web": {"build": {}, "expose": ["8000"], "networks": {"default": null, "data": null}},
            "worker": {"build": {}, "networks": {"data": null}},
            "edge": {"image": "images.test/library/nginx:1.27", "ports": [{"target": 8080}], "networks": {"default": null}},
            "sessions": {"image": "redis:7", "networks": {"data": null}},
        }});
        let drafted = draft(Some((&["compose.yaml".to_owned()], &services(&model))), None);
        assert_eq!(drafted.notes, ["started, but without a role: worker"]);
        insta::assert_snapshot!(drafted.text, @r#"
        # A guess is marked as one. `steadfast probe` of this file says what is wrong with it.
        # Where sessions live: none, sticky-cookie, sticky-ip, replicate-all, primary-backup, store, client-side.
        strategy = "store"  # a guess
        shows = "Our system as we deploy it."

        [compose]
        files = ["compose.yaml"]
        app = "web:8000"  # a guess
        endpoint = "edge:8080"  # a guess
        store = "sessions:6379"  # a guess
        networks = { front = "default", store = "data" }  # a guess
        # ready = "/health"  # a path of the app that answers 200 when it can work

        # How a user logs in, writes, reads and logs out; `steadfast init --har` writes it from a browser's recording.
        # [session]
        "#);
    }

    #[test]
    fn what_no_service_can_be_is_left_for_the_user() {
        let model = json!({"services": {"redis": {"image": "redis"}}});
        insta::assert_snapshot!(draft(Some((&["a.yaml".to_owned()], &services(&model))), None).text, @r#"
        # A guess is marked as one. `steadfast probe` of this file says what is wrong with it.
        # Where sessions live: none, sticky-cookie, sticky-ip, replicate-all, primary-backup, store, client-side.
        strategy = "store"  # a guess
        shows = "Our system as we deploy it."

        [compose]
        files = ["a.yaml"]
        # app = ""  # the service that is scaled, and its port, such as web:8000
        # endpoint = ""  # where clients go in: the balancer's service and the port inside its container
        store = "redis:6379"  # a guess
        # ready = "/health"  # a path of the app that answers 200 when it can work

        # How a user logs in, writes, reads and logs out; `steadfast init --har` writes it from a browser's recording.
        # [session]
        "#);
    }
}
