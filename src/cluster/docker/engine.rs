//! The connection to the engine, and its facts, which are read once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{LocalNodeState, SystemInfo};
use bollard::query_parameters::StartContainerOptions;
use bollard::{API_DEFAULT_VERSION, Docker};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::endpoint::{Certificates, Endpoint, Surroundings};
use super::forward::Forward;
use super::socket;
use crate::cluster::ClusterError;
use crate::hosts::Host;
use crate::topology::AddressRange;

/// The oldest supported API (Docker 20.10): it has statistics without a wait of one second.
pub const OLDEST_API: (u32, u32) = (1, 41);
/// The timeout of the first request.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// The timeout of the facts: a busy engine takes longer.
const FACTS_TIMEOUT: Duration = Duration::from_secs(20);
/// The timeout of every other call: pulling and building answer at once and then stream.
const CALL_TIMEOUT_S: u64 = 120;

/// A connection to an engine that answers.
#[derive(Clone)]
pub struct Engine {
    pub(super) docker: Docker,
    endpoint: Endpoint,
    facts: EngineFacts,
    addresses: Option<AddressRange>,
    /// Whether another engine manages its swarm.
    is_worker: bool,
    /// How far its clock is ahead of the manager's, where that is known.
    clock_ahead_ns: i64,
    /// Held by the one who starts a container.
    starting: Arc<Mutex<()>>,
    /// The forwarded socket that it uses, if any.
    _forward: Option<Arc<Forward>>,
}

/// Facts that an engine reports about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineFacts {
    /// Its address, and the source of the address.
    pub found_at: String,
    /// The product: `Docker` or `Podman`.
    pub product: String,
    /// The engine's version.
    pub version: String,
    /// The newest API it supports.
    pub api_version: String,
    /// Its kernel's version.
    pub kernel: String,
    /// Its operating system.
    pub operating_system: String,
    /// Its machine's architecture.
    pub architecture: String,
    /// Cores that it can use.
    pub cores: u64,
    /// Memory that it can use.
    pub memory_bytes: u64,
    /// Control groups v1 or v2.
    pub cgroup_version: String,
    /// The driver that stores images and containers.
    pub storage_driver: String,
    /// Whether it runs without root privileges.
    pub is_rootless: bool,
    /// Its abilities that need control groups.
    pub control_groups: ControlGroups,
    /// Its warnings.
    pub warnings: Vec<String>,
}

/// An engine's abilities that need control groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ControlGroups {
    /// The driver that creates them; `none` if there is none.
    pub driver: String,
    /// Whether the engine can limit and count the memory of containers.
    pub counts_memory: bool,
    /// Whether the engine can limit and count the CPU time of containers.
    pub counts_cpu: bool,
    /// Whether containers can be paused.
    pub can_freeze: bool,
}

impl EngineFacts {
    /// The product; Docker in records that do not name one.
    #[must_use]
    pub fn product_name(&self) -> &str {
        if self.product.is_empty() { "Docker" } else { &self.product }
    }

    fn of(found_at: String, version: bollard::models::SystemVersion, info: SystemInfo) -> Self {
        let components = version.components.iter().flatten();
        let is_podman = components.map(|component| component.name.to_lowercase()).any(|name| name.contains("podman"));
        let driver = info.cgroup_driver.map(|driver| driver.to_string()).unwrap_or_default();
        // Without control groups, limits are ignored and figures are the whole machine's.
        let has_groups = driver != "none";
        let options = info.security_options.unwrap_or_default();
        let positive = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default();
        Self {
            found_at,
            product: if is_podman { "Podman" } else { "Docker" }.to_owned(),
            version: version.version.unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            kernel: version.kernel_version.unwrap_or_default(),
            operating_system: info.operating_system.unwrap_or_default(),
            architecture: version.arch.unwrap_or_default(),
            cores: positive(info.ncpu),
            memory_bytes: positive(info.mem_total),
            cgroup_version: info.cgroup_version.map(|version| version.to_string()).unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
            is_rootless: options.iter().any(|option| option.contains("name=rootless")),
            control_groups: ControlGroups {
                driver,
                counts_memory: has_groups && info.memory_limit != Some(false),
                counts_cpu: has_groups && info.cpu_cfs_quota != Some(false),
                can_freeze: has_groups,
            },
            warnings: info.warnings.unwrap_or_default(),
        }
    }

    /// Product and version.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} engine {}", self.product, self.version)
    }

    /// Whether it is Podman, which answers some requests differently.
    #[must_use]
    pub fn is_podman(&self) -> bool {
        self.product == "Podman"
    }
}

impl Engine {
    /// Connects to the engine; `None` if none is named or found.
    ///
    /// # Errors
    /// When it is misconfigured, does not answer, or is too old.
    pub async fn find() -> Result<Option<Self>, ClusterError> {
        match Surroundings::of_this_process().endpoint()? {
            Some(endpoint) => Self::connect_to(endpoint).await.map(Some),
            None => Ok(None),
        }
    }

    /// Connects to the engine, which must exist.
    ///
    /// # Errors
    /// As [`Self::find`], and when there is no engine.
    pub async fn connect() -> Result<Self, ClusterError> {
        let none = || {
            ClusterError::new("looking for a Docker engine", NO_SIGN).advise(
                "start one, or set DOCKER_HOST to one that runs; without one `--runtime process` runs reference nodes",
            )
        };
        Self::find().await?.ok_or_else(none)
    }

    /// Connects to the engine of a host, which `file` names.
    ///
    /// # Errors
    /// When it does not answer, or is too old.
    pub async fn of_host(host: &Host, file: &str) -> Result<Self, ClusterError> {
        Self::connect_to(Endpoint::of_host(host, file)?).await
    }

    async fn connect_to(endpoint: Endpoint) -> Result<Self, ClusterError> {
        let (docker, forward) = open(&endpoint).await?;
        let failed = |reason: &dyn std::fmt::Display| {
            ClusterError::new(format!("connecting to the engine at {endpoint}"), reason.to_string())
                .advise(endpoint.advice())
        };
        let silent = |limit: Duration| failed(&format!("it does not answer within {} s", limit.as_secs()));
        let docker = timeout(PING_TIMEOUT, docker.negotiate_version()).await.map_err(|_| silent(PING_TIMEOUT))?;
        let docker = docker.map_err(|error| failed(&whole(&error)))?;
        let facts = async { tokio::try_join!(docker.version(), docker.info()) };
        let facts = timeout(FACTS_TIMEOUT, facts).await.map_err(|_| silent(FACTS_TIMEOUT))?;
        let (version, info) = facts.map_err(|error| failed(&whole(&error)))?;
        let swarm = info.swarm.as_ref();
        let is_active = swarm.is_some_and(|swarm| swarm.local_node_state == Some(LocalNodeState::ACTIVE));
        let is_worker = is_active && swarm.is_some_and(|swarm| swarm.control_available != Some(true));
        let facts = EngineFacts::of(endpoint.to_string(), version, info);
        check_api(&facts)?;
        Ok(Self {
            docker,
            endpoint,
            facts,
            addresses: None,
            is_worker,
            clock_ahead_ns: 0,
            starting: Arc::default(),
            _forward: forward,
        })
    }

    /// The same engine, with networks in the user's address range, if any.
    #[must_use]
    pub fn with_addresses(mut self, range: Option<AddressRange>) -> Self {
        self.addresses = range;
        self
    }

    /// The same engine, whose clock is so far ahead of the one by which a run tells the time.
    #[must_use]
    pub(super) fn with_clock_ahead(mut self, ns: i64) -> Self {
        self.clock_ahead_ns = ns;
        self
    }

    /// How far its clock is ahead of the one by which a run tells the time, in milliseconds.
    #[must_use]
    pub fn clock_ahead_ms(&self) -> f64 {
        self.clock_ahead_ns as f64 / 1e6
    }

    /// The same engine, where another one makes and removes the networks that they have in common, even if it could too.
    #[must_use]
    pub(super) const fn led_by_another(mut self) -> Self {
        self.is_worker = true;
        self
    }

    /// A time that this engine told, by the clock of the run. In nanoseconds since 1970.
    pub(super) const fn by_the_runs_clock(&self, unix_ns: u64) -> u64 {
        unix_ns.saturating_add_signed(-self.clock_ahead_ns)
    }

    /// Whether another engine manages its swarm: then that one makes and removes the networks that they have in common.
    pub(super) const fn is_worker(&self) -> bool {
        self.is_worker
    }

    /// Whether it is the engine at the same address.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.endpoint.address == other.endpoint.address
    }

    /// Starts a container, one at a time. Docker keeps for each network the number of its endpoints, and counts one twice when
    /// two starts write that number at once (seen with 20.10, its libnetwork changes a cached number in place and changes it
    /// again when the write is retried). The network can then not be removed before the engine is restarted. Of 68 networks
    /// with twelve containers each, started at once, two were left so.
    ///
    /// # Errors
    /// When the engine cannot start it.
    pub(super) async fn start_container(&self, name: &str) -> Result<(), bollard::errors::Error> {
        let _alone = self.starting.lock().await;
        self.docker.start_container(name, None::<StartContainerOptions>).await
    }

    /// Whether it has an image.
    pub async fn has_image(&self, reference: &str) -> bool {
        self.docker.inspect_image(reference).await.is_ok()
    }

    /// The facts about it.
    #[must_use]
    pub const fn facts(&self) -> &EngineFacts {
        &self.facts
    }

    pub(super) const fn addresses(&self) -> Option<AddressRange> {
        self.addresses
    }

    /// The path of its socket here, if its address is one.
    pub(super) fn socket(&self) -> Option<&str> {
        self.endpoint.address.strip_prefix("unix://")
    }

    /// Variables with which another process finds the same engine.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![("DOCKER_HOST", self.endpoint.address.clone())];
        if let Some(Certificates(folder)) = &self.endpoint.certificates {
            variables.push(("DOCKER_TLS_VERIFY", "1".to_owned()));
            variables.push(("DOCKER_CERT_PATH", folder.to_string_lossy().into_owned()));
        }
        variables
    }
}

/// The reason to report if there is no engine.
pub const NO_SIGN: &str =
    "there is no sign of one: no DOCKER_HOST, no docker context, and no socket where engines have theirs";

/// An error with its causes: the library's own message is just "client error".
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string);
    let mut words = vec![error.to_string()];
    for cause in causes {
        // Some errors repeat their cause.
        if !words.iter().any(|known| known.contains(&cause)) {
            words.push(cause);
        }
    }
    words.join(": ")
}

/// Opens the connection, without a request yet.
async fn open(endpoint: &Endpoint) -> Result<(Docker, Option<Arc<Forward>>), ClusterError> {
    let failed = |error: bollard::errors::Error| {
        ClusterError::new(format!("connecting to the engine at {endpoint}"), error.to_string())
    };
    let unix = |path: &Path| {
        Docker::connect_with_unix(&path.to_string_lossy(), CALL_TIMEOUT_S, API_DEFAULT_VERSION).map_err(failed)
    };
    if let Some(path) = endpoint.address.strip_prefix("unix://") {
        socket::check(Path::new(path), endpoint).await?;
        return Ok((unix(Path::new(path))?, None));
    }
    if endpoint.address.starts_with("ssh://") {
        let forward = Forward::open(&endpoint.address).await?;
        return Ok((unix(&forward.socket())?, Some(Arc::new(forward))));
    }
    let docker = match &endpoint.certificates {
        Some(Certificates(folder)) => {
            // The library uses this process's default provider.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let file = |name: &str| folder.join(name);
            let (key, certificate, authority) = (file("key.pem"), file("cert.pem"), file("ca.pem"));
            Docker::connect_with_ssl(
                &endpoint.address,
                &key,
                &certificate,
                &authority,
                CALL_TIMEOUT_S,
                API_DEFAULT_VERSION,
            )
        }
        None => Docker::connect_with_http(&endpoint.address, CALL_TIMEOUT_S, API_DEFAULT_VERSION),
    };
    docker.map(|docker| (docker, None)).map_err(failed)
}

fn check_api(facts: &EngineFacts) -> Result<(), ClusterError> {
    let mut parts = facts.api_version.split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return Err(ClusterError::new(
            "asking the Docker engine for its API",
            format!("`{}` is not a version", facts.api_version),
        ));
    };
    if (major, minor) >= OLDEST_API {
        return Ok(());
    }
    let (oldest_major, oldest_minor) = OLDEST_API;
    Err(ClusterError::new(
        format!("using Docker engine {}", facts.version),
        format!("it speaks API {}, and {oldest_major}.{oldest_minor} is the oldest that will do", facts.api_version),
    )
    .advise("install Docker 20.10 or later, or set DOCKER_HOST to a newer engine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(api_version: &str) -> EngineFacts {
        EngineFacts { version: "19.03".into(), api_version: api_version.into(), ..EngineFacts::default() }
    }

    #[test]
    fn an_engine_older_than_the_oldest_api_is_refused_with_a_fix() {
        assert!(check_api(&facts("1.41")).is_ok());
        assert!(check_api(&facts("1.52")).is_ok());
        assert!(check_api(&facts("2.0")).is_ok());
        insta::assert_snapshot!(check_api(&facts("1.40")).unwrap_err(), @r"
        using Docker engine 19.03: it speaks API 1.40, and 1.41 is the oldest that will do
          install Docker 20.10 or later, or set DOCKER_HOST to a newer engine
        ");
        assert!(check_api(&facts("new")).is_err());
    }

    /// Facts from the parts of the replies that matter.
    fn facts_of(info: &str, component: &str) -> EngineFacts {
        let version = format!(
            r#"{{"Version":"5.4.2","ApiVersion":"1.41","Components":[{{"Name":"{component}","Version":"5"}}]}}"#
        );
        EngineFacts::of("here".into(), serde_json::from_str(&version).unwrap(), serde_json::from_str(info).unwrap())
    }

    #[test]
    fn missing_abilities_are_read_from_the_engines_facts() {
        let whole = facts_of(r#"{"CgroupDriver":"systemd","MemoryLimit":true,"CpuCfsQuota":true}"#, "Engine");
        assert!(
            whole.control_groups.counts_memory
                && whole.control_groups.counts_cpu
                && whole.control_groups.can_freeze
                && !whole.is_podman()
        );
        let rootless = r#"{"CgroupDriver":"none","MemoryLimit":false,"CpuCfsQuota":false,"SecurityOptions":["name=seccomp","name=rootless"]}"#;
        let rootless = facts_of(rootless, "Engine");
        assert!(
            !rootless.control_groups.counts_memory
                && !rootless.control_groups.counts_cpu
                && !rootless.control_groups.can_freeze
                && rootless.is_rootless
        );
        let no_controllers =
            facts_of(r#"{"CgroupDriver":"systemd","MemoryLimit":false,"CpuCfsQuota":false}"#, "Engine");
        assert!(
            !no_controllers.control_groups.counts_memory
                && !no_controllers.control_groups.counts_cpu
                && no_controllers.control_groups.can_freeze
        );
        assert!(facts_of(r#"{"CgroupDriver":"systemd"}"#, "Podman Engine").is_podman());
    }
}
