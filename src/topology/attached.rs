//! The `[attached]` table of a target file: a system that runs already, anywhere. It has an endpoint, addresses of nodes, and
//! commands of the user's with which nodes are killed and started.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::{APP_NODES, Image, Network, Ready, Tier, TierSpec};
use crate::commands::Program;
use crate::files::{FileError, Source};
use crate::values::OneOrMore;

/// A system that runs already.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attached {
    /// Where clients go in: host and port.
    pub endpoint: HostPort,
    /// The nodes of each tier, in their order; always a balancer, which is the endpoint.
    pub nodes: BTreeMap<Tier, Vec<AttachedNode>>,
}

/// A node of a system that runs already.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AttachedNode {
    /// Where it takes requests, past the balancer; `None`: it is not asked by itself.
    pub address: Option<HostPort>,
    /// What is done to it, by its name.
    pub commands: BTreeMap<Action, Program>,
}

/// What a command does to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Ends it at once.
    Kill,
    /// Starts it.
    Start,
    /// Asks it to end, and returns when it has.
    Stop,
    /// Stops it from doing anything.
    Pause,
    /// Lets it go on.
    Resume,
    /// Prints its log.
    Log,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kill => "kill",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Log => "log",
        })
    }
}

/// A host's name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    /// The name or the address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl TryFrom<String> for HostPort {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains(['/', ':', ' ']));
        let parsed = parts.and_then(|(host, port)| Some((host, port.parse().ok().filter(|port| *port > 0)?)));
        let wrong = || format!("`{text}` is not a host with a port, such as `shop.internal:8080` or `10.0.0.5:80`");
        let (host, port) = parsed.ok_or_else(wrong)?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl From<HostPort> for String {
    fn from(address: HostPort) -> Self {
        address.to_string()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The table as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachedFile {
    endpoint: HostPort,
    ready: Option<Spanned<String>>,
    #[serde(default)]
    balancer: NodeFile,
    #[serde(default)]
    app: Vec<NodeFile>,
    #[serde(default)]
    store: Vec<NodeFile>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeFile {
    address: Option<HostPort>,
    kill: Option<OneOrMore<String>>,
    start: Option<OneOrMore<String>>,
    stop: Option<OneOrMore<String>>,
    pause: Option<OneOrMore<String>>,
    resume: Option<OneOrMore<String>>,
    log: Option<OneOrMore<String>>,
}

impl AttachedFile {
    /// The system, and the target's tiers made of it. `span` is that of the table.
    ///
    /// # Errors
    /// Names the line and key of what is wrong.
    pub fn check(
        self,
        source: &Source,
        span: std::ops::Range<usize>,
    ) -> Result<(Attached, BTreeMap<Tier, TierSpec>), FileError> {
        let ready = match self.ready {
            Some(path) if !path.get_ref().starts_with('/') => {
                let message = "it is a path of the app, such as `/health`";
                return Err(source.invalid(path.span(), Some("attached.ready"), message));
            }
            Some(path) => Ready::Http(path.into_inner()),
            None => Ready::Answers,
        };
        let is_allowed = u8::try_from(self.app.len()).is_ok_and(|nodes| APP_NODES.contains(&nodes));
        if !is_allowed {
            let (fewest, most) = (APP_NODES.start(), APP_NODES.end());
            let message = format!(
                "there are {} `[[attached.app]]`; a target has {fewest} to {most} app nodes: one for each, even if nothing is known of it",
                self.app.len()
            );
            return Err(source.invalid(span, Some("attached.app"), message));
        }
        let endpoint = self.endpoint;
        let balancer = AttachedNode { address: Some(endpoint.clone()), ..self.balancer.into_node() };
        let mut nodes = BTreeMap::from([(Tier::Balancer, vec![balancer])]);
        nodes.insert(Tier::App, self.app.into_iter().map(NodeFile::into_node).collect());
        if !self.store.is_empty() {
            nodes.insert(Tier::Store, self.store.into_iter().map(NodeFile::into_node).collect());
        }
        let tiers = nodes.iter().map(|(tier, nodes)| {
            let first = nodes.first().and_then(|node| node.address.clone());
            let ready = match tier {
                // What is not asked by itself is ready when its command has started it.
                _ if first.is_none() => Ready::Healthy,
                Tier::App => ready.clone(),
                Tier::Balancer => Ready::Answers,
                Tier::Store => Ready::Healthy,
            };
            let spec = TierSpec {
                nodes: u8::try_from(nodes.len()).unwrap_or(u8::MAX),
                image: Image::of_service(tier.to_string(), first.map(|address| address.port), ready),
                networks: vec![Network::Front],
                settings: BTreeMap::new(),
            };
            (*tier, spec)
        });
        let tiers = tiers.collect();
        Ok((Attached { endpoint, nodes }, tiers))
    }
}

impl NodeFile {
    fn into_node(self) -> AttachedNode {
        let given = [
            (Action::Kill, self.kill),
            (Action::Start, self.start),
            (Action::Stop, self.stop),
            (Action::Pause, self.pause),
            (Action::Resume, self.resume),
            (Action::Log, self.log),
        ];
        let program = |words: OneOrMore<String>| match words.0.as_slice() {
            [line] => Some(Program::of_shell(line)),
            _ => Program::try_from(words.0).ok(),
        };
        let commands = given.into_iter().filter_map(|(action, words)| Some((action, program(words?)?)));
        AttachedNode { address: self.address, commands: commands.collect() }
    }
}

impl Attached {
    /// A node by its tier and number, from 1.
    #[must_use]
    pub fn node(&self, tier: Tier, number: u8) -> Option<&AttachedNode> {
        self.nodes.get(&tier)?.get(usize::from(number).checked_sub(1)?)
    }

    /// How many app nodes there are.
    #[must_use]
    pub fn app_nodes(&self) -> usize {
        self.nodes.get(&Tier::App).map_or(0, Vec::len)
    }

    /// All addresses to which traffic goes.
    pub fn addresses(&self) -> impl Iterator<Item = &HostPort> {
        self.nodes.values().flatten().filter_map(|node| node.address.as_ref())
    }

    /// Whether a run may run commands of the file.
    #[must_use]
    pub fn has_commands(&self) -> bool {
        self.nodes.values().flatten().any(|node| !node.commands.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Target;

    fn read(table: &str) -> Result<Target, FileError> {
        Target::from_source(&Source {
            name: "shop".into(),
            file: "shop.toml".into(),
            text: format!("strategy = \"store\"\nshows = \"Our shop.\"\n[attached]\n{table}"),
        })
    }

    #[test]
    fn a_line_is_for_the_shell_and_a_list_is_a_program() {
        let target = read(
            "endpoint = \"localhost:8080\"\n[[attached.app]]\n[[attached.app]]\nkill = \"ssh web1 kill -9 $(cat pid)\"\nstart = [\"ssh\", \"web1\", \"start\"]\n",
        );
        let attached = target.unwrap().attached.unwrap();
        let node = attached.node(Tier::App, 2).unwrap();
        assert_eq!(node.commands[&Action::Kill].words(), ["sh", "-c", "ssh web1 kill -9 $(cat pid)"]);
        assert_eq!(node.commands[&Action::Start].words(), ["ssh", "web1", "start"]);
        assert_eq!((attached.app_nodes(), attached.node(Tier::App, 3)), (2, None));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let wrong = |table: &str| read(table).unwrap_err().to_string();
        insta::assert_snapshot!([
            wrong("endpoint = \"http://shop\"\n[[attached.app]]\n"),
            wrong("endpoint = \"shop:80\"\n"),
            wrong("endpoint = \"shop:80\"\n[[attached.app]]\nreboot = \"x\"\n"),
            wrong("endpoint = \"shop:80\"\nready = \"health\"\n[[attached.app]]\n"),
            wrong("endpoint = \"shop:80\"\n[[attached.app]]\n[compose]\napp = \"web:80\"\nendpoint = \"proxy:80\"\n"),
        ].join("\n"), @r"
        shop.toml:4: `attached.endpoint`: `http://shop` is not a host with a port, such as `shop.internal:8080` or `10.0.0.5:80`
        shop.toml:3: `attached.app`: there are 0 `[[attached.app]]`; a target has 2 to 32 app nodes: one for each, even if nothing is known of it
        shop.toml:6: `attached.app[0].reboot`: unknown field `reboot`, expected one of `address`, `kill`, `start`, `stop`, `pause`, `resume`, `log`
        shop.toml:5: `attached.ready`: it is a path of the app, such as `/health`
        shop.toml:1: a target has one of these: `[compose]`; `[attached]`; `[balancer]`, `[app]` and `[store]`
        ");
    }
}
