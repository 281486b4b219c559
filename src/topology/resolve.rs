//! Resolves a target to nodes with names, addresses and rendered configuration files: all that is needed to start it,
//! as plain data.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;
use thiserror::Error;

use super::{Image, Network, Subnets, Target, Tier, TierSpec};
use crate::files;
use crate::load::ProtocolName;
use crate::mapping::MappedSessions;

/// A configuration template that cannot be rendered: a defect of an image's folder.
#[derive(Debug, Error)]
#[error("docker/{image}/{template}: {reason}")]
pub struct RenderError {
    image: String,
    template: String,
    reason: String,
}

/// One member of a tier.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// Tier and number, such as `app-1`; a single balancer or store has the tier's name.
    pub name: String,
    /// Its role.
    pub tier: Tier,
    /// Whether it does not run from the start but joins later.
    pub is_standby: bool,
    /// Its number in the tier, from 1.
    pub number: u8,
    /// Its address in each of its networks.
    pub addresses: BTreeMap<Network, Ipv4Addr>,
    /// What replies may call it besides its name and its addresses, such as the name of its host.
    #[serde(skip)]
    pub also_called: Vec<String>,
    /// The protocol that its clients use.
    pub protocol: ProtocolName,
    /// Its port in each of the networks in which it listens.
    pub ports: BTreeMap<Network, u16>,
    /// The image that it runs.
    #[serde(skip)]
    pub image: Image,
    /// Configuration files: text by path in the container.
    #[serde(skip)]
    pub files: BTreeMap<String, String>,
}

impl Node {
    /// Its address in the network where it accepts requests.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.addresses.get(&self.home()).copied()
    }

    /// The address and port for requests.
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddrV4> {
        Some(SocketAddrV4::new(self.address()?, *self.ports.get(&self.home())?))
    }

    /// The environment variables that describe it to a command of the user's: `NODE`, and `ADDRESS_FRONT` and so on.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let address = |(network, address): (&Network, &Ipv4Addr)| {
            (format!("ADDRESS_{}", network.to_string().to_uppercase()), address.to_string())
        };
        self.addresses.iter().map(address).chain([("NODE".to_owned(), self.name.clone())]).collect()
    }

    /// A store has a network of its own, unless the user's Compose files give it none.
    fn home(&self) -> Network {
        let has_own = self.tier == Tier::Store && self.addresses.contains_key(&Network::Store);
        if has_own { Network::Store } else { Network::Front }
    }
}

/// The numbers of app nodes and agents, and whether nodes have sandboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// App nodes at the start.
    pub app_nodes: u8,
    /// App nodes that the others know but that join later.
    pub standby: u8,
    /// Whether each node has a sandbox that outlives its process.
    pub sandboxes: bool,
    /// Agents, at least one.
    pub agents: u8,
}

impl From<u8> for Shape {
    fn from(app_nodes: u8) -> Self {
        Self { app_nodes, standby: 0, sandboxes: false, agents: 1 }
    }
}

/// A target resolved to nodes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Topology {
    /// The resolved target.
    #[serde(skip)]
    pub target: Target,
    /// The address ranges of its networks.
    pub subnets: Subnets,
    /// All nodes, in the order in which they should be started: stores, apps, balancer.
    pub nodes: Vec<Node>,
    /// How many agents send requests to it, at least one.
    #[serde(skip)]
    pub agents: usize,
}

#[derive(Serialize)]
struct TemplateContext<'a> {
    node: &'a Node,
    balancers: Vec<&'a Node>,
    apps: Vec<&'a Node>,
    /// The first of the stores.
    store: Option<&'a Node>,
    stores: Vec<&'a Node>,
    settings: &'a BTreeMap<String, String>,
}

impl Topology {
    /// Resolves a target with this shape in these address ranges.
    ///
    /// # Errors
    /// When a configuration template of an image cannot be rendered.
    pub fn resolve(target: &Target, shape: impl Into<Shape>, subnets: Subnets) -> Result<Self, RenderError> {
        Self::resolve_with(target, shape, subnets, |_, preferred| Ok(preferred))
    }

    /// Like [`Self::resolve`], for nodes on one machine, where ports may be taken: `port` chooses the port of an
    /// address, given the preferred one.
    ///
    /// # Errors
    /// When `port` finds none, or a configuration template of an image cannot be rendered.
    pub fn resolve_with<E: From<RenderError>>(
        target: &Target,
        shape: impl Into<Shape>,
        subnets: Subnets,
        mut port: impl FnMut(Ipv4Addr, u16) -> Result<u16, E>,
    ) -> Result<Self, E> {
        let Shape { app_nodes, standby, agents, sandboxes: _ } = shape.into();
        let mut nodes = Vec::new();
        for tier in [Tier::Store, Tier::App, Tier::Balancer] {
            let Some(spec) = target.tiers.get(&tier) else { continue };
            let count = if tier == Tier::App { app_nodes + standby } else { spec.nodes };
            let protocol = if tier == Tier::Balancer { target.protocol } else { ProtocolName::Http };
            nodes.extend((1..=count).map(|number| unrendered((spec, protocol), tier, number, subnets)));
        }
        for node in &mut nodes {
            node.is_standby = node.tier == Tier::App && node.number > app_nodes;
            settle_ports(node, &mut port)?;
        }
        let rendered: Result<Vec<_>, _> = nodes.iter().map(|node| render_files(target, &nodes, node)).collect();
        for (node, files) in nodes.iter_mut().zip(rendered?) {
            node.files = files;
        }
        Ok(Self { target: target.clone(), subnets, nodes, agents: usize::from(agents.max(1)) })
    }

    /// The configuration files of a node, with these settings in place of the target's.
    ///
    /// # Errors
    /// When a configuration template of its image cannot be rendered.
    pub fn files_with(
        &self,
        node: &Node,
        settings: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, RenderError> {
        let mut target = self.target.clone();
        if let Some(tier) = target.tiers.get_mut(&node.tier) {
            tier.settings.extend(settings.clone());
        }
        render_files(&target, &self.nodes, node)
    }

    /// The node of this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The nodes of one tier, in the order of their numbers.
    pub fn tier(&self, tier: Tier) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.tier == tier)
    }

    /// Addresses for clients. A client uses one, as with a host name that has several addresses.
    #[must_use]
    pub fn endpoints(&self) -> Vec<SocketAddrV4> {
        self.tier(Tier::Balancer).filter_map(Node::socket).collect()
    }

    /// How its sessions are used, with the names of app nodes by whatever replies may call them; `None` where the app speaks the
    /// session contract.
    #[must_use]
    pub fn mapped_sessions(&self) -> Option<MappedSessions> {
        let mapping = self.target.session.as_ref()?;
        let mut names = BTreeMap::new();
        for node in self.tier(Tier::App) {
            let addresses = node.addresses.values().map(ToString::to_string);
            let sockets = node.ports.iter().filter_map(|(network, port)| {
                Some(SocketAddrV4::new(*node.addresses.get(network)?, *port).to_string())
            });
            let called = addresses.chain(sockets).chain(node.also_called.iter().cloned());
            names.extend(called.map(|called| (called, node.name.clone())));
        }
        Some(mapping.for_the_agent(names))
    }

    /// The `Host` header of the clients' requests; `None` if there is no endpoint.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        let address = self.endpoints().first()?.to_string();
        let named = self.target.attached.as_ref().map(|attached| attached.endpoint.to_string());
        Some(self.target.host.clone().or(named).unwrap_or(address))
    }
}

fn settle_ports<E>(node: &mut Node, port: &mut impl FnMut(Ipv4Addr, u16) -> Result<u16, E>) -> Result<(), E> {
    let listens = [(node.home(), node.image.port), (Network::Cluster, node.image.cluster_port)];
    for (network, preferred) in listens {
        if let (Some(address), Some(preferred)) = (node.addresses.get(&network), preferred) {
            node.ports.insert(network, port(*address, preferred)?);
        }
    }
    Ok(())
}

fn unrendered((spec, protocol): (&TierSpec, ProtocolName), tier: Tier, number: u8, subnets: Subnets) -> Node {
    Node {
        name: spec.node_name(tier, number),
        tier,
        number,
        addresses: spec.networks.iter().map(|network| (*network, subnets.node(*network, tier, number))).collect(),
        is_standby: false,
        also_called: Vec::new(),
        protocol,
        ports: BTreeMap::new(),
        image: spec.image.clone(),
        files: BTreeMap::new(),
    }
}

fn render_files(target: &Target, nodes: &[Node], node: &Node) -> Result<BTreeMap<String, String>, RenderError> {
    let folder = files::image_files(&node.image.name);
    let no_settings = BTreeMap::new();
    let context = TemplateContext {
        node,
        balancers: nodes.iter().filter(|other| other.tier == Tier::Balancer).collect(),
        apps: nodes.iter().filter(|other| other.tier == Tier::App).collect(),
        store: nodes.iter().find(|other| other.tier == Tier::Store),
        stores: nodes.iter().filter(|other| other.tier == Tier::Store).collect(),
        settings: target.tiers.get(&node.tier).map_or(&no_settings, |spec| &spec.settings),
    };
    let mut files = BTreeMap::new();
    for (path, template) in &node.image.files {
        let text = folder.get(template).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let rendered = environment.render_named_str(template, &text, Serde(&context)).map_err(|error| RenderError {
            image: node.image.name.clone(),
            template: template.clone(),
            reason: format!("{error:#}"),
        })?;
        // The template engine drops the last line end, but HAProxy requires it.
        files.insert(path.clone(), rendered + "\n");
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Kind;

    fn topology(name: &str, nodes: u8) -> Topology {
        let subnets = Subnets::candidates(None)[0];
        Topology::resolve(&Target::find(name).unwrap(), nodes, subnets).unwrap()
    }

    #[test]
    fn every_bundled_target_resolves_with_every_allowed_number_of_app_nodes() {
        for name in files::names(Kind::Target) {
            for nodes in super::super::APP_NODES {
                assert_eq!(topology(&name, nodes).tier(Tier::App).count(), usize::from(nodes), "{name}");
            }
        }
    }

    #[test]
    fn the_balancer_of_sticky_cookie_is_told_every_node_and_its_cookie() {
        let topology = topology("tomcat-sticky-cookie", 2);
        insta::assert_snapshot!(topology.node("balancer").unwrap().files["/etc/haproxy/haproxy.cfg"]);
    }

    #[test]
    fn balancers_with_a_table_are_peers_and_a_single_one_has_none() {
        let file =
            |name: &str, node: &str| topology(name, 2).node(node).unwrap().files["/etc/haproxy/haproxy.cfg"].clone();
        let second = file("go-redis-haproxy-table-peers", "balancer-2");
        let lines = |text: &str| text.lines().filter(|line| line.contains("peer")).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(lines(&second));
        assert_eq!(lines(&file("go-redis-haproxy-table", "balancer")), "");
    }

    #[test]
    fn a_delta_node_is_told_every_member_on_the_cluster_network() {
        let topology = topology("tomcat-delta", 2);
        insta::assert_snapshot!(topology.node("app-2").unwrap().files["/srv/tomcat/conf/server.xml"]);
    }
}
