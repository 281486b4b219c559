//! Creates one container: a node, a sandbox or the agent.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, HostConfigLogConfig, NetworkConnectRequest,
    NetworkingConfig,
};
use bollard::query_parameters::{CreateContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;

use super::networks::Ownership;
use super::{Engine, NODE_LABEL};
use crate::cluster::ClusterError;
use crate::topology::{CoreSet, CoreSets, Network, Node, Subnet, Subnets};

/// The agent's memory limit: it keeps its history in memory until the end.
const AGENT_MEMORY_MIB: u32 = 2048;

/// The period of the CPU limit: the kernel's default. Engines without the cpu controller refuse the same limit as
/// `NanoCpus`, and Podman silently ignores it.
pub const CPU_PERIOD_US: i64 = 100_000;

/// The CPU time per period for this number of cores.
#[expect(clippy::cast_possible_truncation, reason = "a handful of cores in microseconds")]
pub fn quota_us(cores: f64) -> i64 {
    (cores * CPU_PERIOD_US as f64).round() as i64
}

/// The limit of processes: threads count, and Tomcat has hundreds.
const MAX_PROCESSES: i64 = 4096;
/// For each of a node's two log files.
const MAX_LOG: &str = "64m";

/// The memory limit of a sandbox, which sleeps.
const SANDBOX_MEMORY_MIB: u32 = 32;

/// The role of a container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A node, which reads its configuration from files and may write sessions and logs to others.
    Node,
    /// Keeps a node's network namespace, and sleeps.
    Sandbox,
    /// The same; before it sleeps it sets routes and counters in that namespace.
    RoutingSandbox,
    /// Sends the traffic.
    Agent,
    /// The same from its host's own network, where it changes nothing.
    AgentOfHost,
}

/// A container to create.
pub struct Spec<'a> {
    pub name: &'a str,
    pub image: &'a str,
    pub addresses: BTreeMap<Network, Ipv4Addr>,
    pub files: &'a BTreeMap<String, String>,
    pub memory_mib: u32,
    pub cpus: Option<f64>,
    pub cores: Option<&'a CoreSet>,
    pub arguments: Vec<String>,
    role: Role,
    /// The container whose network namespace it uses instead of its own.
    pub sandbox: Option<String>,
}

impl<'a> Spec<'a> {
    pub fn node(node: &'a Node, image: &'a str, cores: &'a CoreSets, sandbox: Option<String>) -> Self {
        Self {
            name: &node.name,
            image,
            addresses: node.addresses.clone(),
            files: &node.files,
            memory_mib: node.image.memory_mib,
            cpus: Some(node.image.cpus),
            cores: cores.target.as_ref(),
            // The image of a real product has its own command.
            arguments: node.image.reference.map_or_else(Vec::new, |role| vec!["node".to_owned(), role.to_string()]),
            role: Role::Node,
            sandbox,
        }
    }

    /// A sandbox has a node's addresses and does nothing: when the node's process ends, connections to them are refused.
    /// On an overlay it first runs a script in its network, of which [`way_to_clients`] is a part.
    pub fn sandbox(
        name: &'a str,
        node: &'a Node,
        image: &'a str,
        no_files: &'a BTreeMap<String, String>,
        script: Option<String>,
    ) -> Self {
        Self {
            name,
            image,
            addresses: node.addresses.clone(),
            files: no_files,
            memory_mib: SANDBOX_MEMORY_MIB,
            cpus: None,
            cores: None,
            role: if script.is_some() { Role::RoutingSandbox } else { Role::Sandbox },
            arguments: match script {
                Some(script) => {
                    ["bash", "-c", &format!("set -e\n{script}exec sleep infinity")].map(str::to_owned).into()
                }
                None => ["sleep", "infinity"].map(str::to_owned).into(),
            },
            sandbox: None,
        }
    }

    pub fn agent(
        name: &'a str,
        image: &'a str,
        address: Ipv4Addr,
        no_files: &'a BTreeMap<String, String>,
        cores: &'a CoreSets,
    ) -> Self {
        Self {
            name,
            image,
            addresses: BTreeMap::from([(Network::Front, address)]),
            files: no_files,
            memory_mib: AGENT_MEMORY_MIB,
            // A CPU limit would stall the agent and distort its measurements.
            cpus: None,
            cores: cores.agent.as_ref(),
            arguments: vec!["agent".to_owned()],
            role: Role::Agent,
            sandbox: None,
        }
    }

    /// Sleeps in a network, from which it may send packets of every kind.
    pub fn station(
        name: &'a str,
        image: &'a str,
        addresses: BTreeMap<Network, Ipv4Addr>,
        no_files: &'a BTreeMap<String, String>,
    ) -> Self {
        Self {
            name,
            image,
            addresses,
            files: no_files,
            memory_mib: SANDBOX_MEMORY_MIB,
            cpus: None,
            cores: None,
            arguments: ["sleep", "infinity"].map(str::to_owned).into(),
            role: Role::RoutingSandbox,
            sandbox: None,
        }
    }

    /// An agent in its host's own network.
    pub fn agent_of_host(
        name: &'a str,
        image: &'a str,
        no_files: &'a BTreeMap<String, String>,
        cores: &'a CoreSets,
    ) -> Self {
        let agent = Self::agent(name, image, Ipv4Addr::UNSPECIFIED, no_files, cores);
        Self { addresses: BTreeMap::new(), role: Role::AgentOfHost, ..agent }
    }
}

/// The command that tells a node on an overlay where clients are. Agents have their addresses besides their own, of which the
/// engines know nothing, and an overlay finds no address that engines do not know (it passes no broadcasts). What is not of
/// another agent is of the first one. Empty for a node that clients do not reach.
pub fn way_to_clients(node: &Node, subnets: Subnets, agents: usize) -> String {
    if !node.addresses.contains_key(&Network::Front) {
        return String::new();
    }
    let route = |agent: usize, range: Subnet| format!("route replace {range} via {}\n", subnets.agent(agent));
    let of_first = subnets.of_clients().into_iter().map(|range| route(0, range));
    let of_others = (1..agents).flat_map(|agent| subnets.of_clients_of(agent, agents).map(move |range| (agent, range)));
    let routes: String = of_first.chain(of_others.map(|(agent, range)| route(agent, range))).collect();
    format!("ip -batch - <<END\n{routes}END\n")
}

/// Creates the container with its networks and files, without starting it.
///
/// # Returns
/// Its name in the engine, and the engine's warnings.
pub async fn create(
    engine: &Engine,
    owner: &Ownership,
    networks: &BTreeMap<Network, String>,
    spec: &Spec<'_>,
) -> Result<(String, Vec<String>), ClusterError> {
    let name = owner.name(spec.name);
    let failed =
        |error: bollard::errors::Error| ClusterError::new(format!("making container {name}"), error.to_string());
    let endpoints =
        spec.addresses.iter().filter_map(|(network, address)| Some((networks.get(network)?, endpoint(*address))));
    let mut endpoints = endpoints.filter(|_| spec.sandbox.is_none());
    let first = endpoints.next();
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    let body = body(owner, spec, first.as_ref().map(|(network, settings)| (network.as_str(), settings.clone())));
    let created = engine.docker.create_container(Some(options), body).await.map_err(failed)?;
    // Engines before API 1.44 accept only one network at creation.
    for (network, settings) in endpoints {
        let request = NetworkConnectRequest { container: name.clone(), endpoint_config: Some(settings) };
        engine.docker.connect_network(network, request).await.map_err(failed)?;
    }
    upload(engine, &name, spec.files).await?;
    Ok((name, created.warnings))
}

/// Puts files into a container, by their paths there.
pub async fn upload(engine: &Engine, name: &str, files: &BTreeMap<String, String>) -> Result<(), ClusterError> {
    if files.is_empty() {
        return Ok(());
    }
    let failed = |error: String| ClusterError::new(format!("putting files into {name}"), error);
    let archive = archive(files).map_err(|error| failed(error.to_string()))?;
    let options = UploadToContainerOptionsBuilder::new().path("/").build();
    let upload = engine.docker.upload_to_container(name, Some(options), bollard::body_full(Bytes::from(archive)));
    upload.await.map_err(|error| failed(error.to_string()))
}

/// What is asked for when a container is connected: its address.
pub fn endpoint(address: Ipv4Addr) -> EndpointSettings {
    EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(address.to_string()),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    }
}

fn body(owner: &Ownership, spec: &Spec, first: Option<(&str, EndpointSettings)>) -> ContainerCreateBody {
    let is_agent = matches!(spec.role, Role::Agent | Role::AgentOfHost);
    let memory = i64::from(spec.memory_mib) * 1024 * 1024;
    let mut labels = owner.labels();
    labels.insert(NODE_LABEL.to_owned(), spec.name.to_owned());
    let home = spec.addresses.get(&Network::Front).or_else(|| spec.addresses.values().next());
    let mut environment = vec![format!("NODE={}", spec.name)];
    environment.extend(home.map(|address| format!("ADDRESS={address}")));
    let settings = HostConfig {
        memory: Some(memory),
        // The same value as `memory` means no swap.
        memory_swap: Some(memory),
        cpu_period: spec.cpus.map(|_| CPU_PERIOD_US),
        cpu_quota: spec.cpus.map(quota_us),
        cpuset_cpus: spec.cores.map(ToString::to_string),
        network_mode: match &spec.sandbox {
            Some(sandbox) => Some(format!("container:{sandbox}")),
            None if spec.role == Role::AgentOfHost => Some("host".to_owned()),
            None => first.as_ref().map(|(network, _)| (*network).to_owned()),
        },
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(capabilities(spec.role)),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        pids_limit: Some(MAX_PROCESSES),
        // An agent writes what it has recorded to its disk where memory is not enough.
        readonly_rootfs: Some(matches!(spec.role, Role::Sandbox | Role::RoutingSandbox)),
        log_config: Some(log(is_agent)),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(spec.image.to_owned()),
        cmd: (!spec.arguments.is_empty()).then(|| spec.arguments.clone()),
        // With another's network, it also uses the other's name.
        hostname: (spec.sandbox.is_none() && spec.role != Role::AgentOfHost).then(|| spec.name.to_owned()),
        env: Some(environment),
        labels: Some(labels),
        attach_stdin: Some(is_agent),
        open_stdin: Some(is_agent),
        stdin_once: Some(is_agent),
        host_config: Some(settings),
        networking_config: first.map(|(network, settings)| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.to_owned(), settings)])),
        }),
        ..ContainerCreateBody::default()
    }
}

/// A container's capabilities: servers that start as root change to another user and own their files. The agent adds
/// the clients' addresses in its own network namespace, and a sandbox the way to them and counters.
fn capabilities(role: Role) -> Vec<String> {
    let needed: &[&str] = match role {
        Role::Agent => &["NET_ADMIN"],
        Role::AgentOfHost => &[],
        // The packet filter of some kernels needs raw sockets.
        Role::RoutingSandbox => &["NET_ADMIN", "NET_RAW"],
        Role::Sandbox | Role::Node => &["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"],
    };
    needed.iter().map(|name| (*name).to_owned()).collect()
}

/// The agent's output is the control channel, not a log. A node's log must not fill the engine's disk.
fn log(is_agent: bool) -> HostConfigLogConfig {
    if is_agent {
        return HostConfigLogConfig { typ: Some("none".to_owned()), config: None };
    }
    let bounded = HashMap::from([("max-size".to_owned(), MAX_LOG.to_owned()), ("max-file".to_owned(), "2".to_owned())]);
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(bounded) }
}

fn archive(files: &BTreeMap<String, String>) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, Path::new(path.trim_start_matches('/')), text.as_bytes())?;
    }
    archive.into_inner()
}
