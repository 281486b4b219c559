//! Targets: topologies that can be started. A file in `targets/` names image and settings of each tier; this module
//! turns it into checked types. It starts nothing and knows no engine.

mod attached;
mod compose;
mod cores;
mod image;
mod needs;
mod resolve;
mod subnets;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::files::{self, FileError, Kind, Source};
use crate::load::{Protocol, ProtocolName, Trust};
use crate::mapping::{MappingFile, SessionMapping, without_secrets};
use attached::AttachedFile;
use compose::ComposeFile;
use needs::TierSpans;

pub use attached::{Action, Attached, AttachedNode, HostPort};
pub use compose::{AppServices, Compose};
pub use cores::{CoreSet, CoreSets};
pub use image::{Administration, Granularity, Image, Ready, StatisticsFormat};
pub use needs::{Needs, unmet};
pub use resolve::{Node, RenderError, Shape, Topology};
pub use subnets::{AddressRange, Subnet, Subnets};

/// How many app nodes a target can have.
pub const APP_NODES: RangeInclusive<u8> = 2..=32;

/// Where sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// On the node that made them, and any node may be asked: the problem itself.
    None,
    /// On one node that a cookie leads back to.
    StickyCookie,
    /// On one node that the client's address leads back to.
    StickyIp,
    /// On every node.
    ReplicateAll,
    /// On one node and one backup.
    PrimaryBackup,
    /// In a store outside the app nodes.
    Store,
    /// In the client.
    ClientSide,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::StickyCookie => "sticky-cookie",
            Self::StickyIp => "sticky-ip",
            Self::ReplicateAll => "replicate-all",
            Self::PrimaryBackup => "primary-backup",
            Self::Store => "store",
            Self::ClientSide => "client-side",
        })
    }
}

/// A role in a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Takes the clients' requests and hands them to app nodes.
    Balancer,
    /// Serves the session contract.
    App,
    /// Keeps sessions for the app nodes.
    Store,
}

impl Tier {
    /// All tiers.
    pub const ALL: [Self; 3] = [Self::Balancer, Self::App, Self::Store];
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Balancer => "balancer",
            Self::App => "app",
            Self::Store => "store",
        })
    }
}

/// A network of a target. Each kind of traffic has its own, so that counters tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Clients to balancer, balancer to app nodes.
    Front,
    /// App nodes among themselves.
    Cluster,
    /// App nodes to the store.
    Store,
}

impl Network {
    /// All networks, in the order of reports.
    pub const ALL: [Self; 3] = [Self::Front, Self::Cluster, Self::Store];
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Front => "front",
            Self::Cluster => "cluster",
            Self::Store => "store",
        })
    }
}

/// How many nodes a balancer tier can have; the profile sets the number of app nodes.
const BALANCER_NODES: RangeInclusive<u8> = 1..=3;
/// How many nodes a store can have: three primaries with a replica each are what a cluster of Redis takes.
const STORE_NODES: RangeInclusive<u8> = 1..=6;

/// One tier of a target: its image, networks and settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TierSpec {
    /// How many nodes it has, unless it is the app tier.
    pub nodes: u8,
    /// The image of each node.
    pub image: Image,
    /// The networks of its nodes.
    pub networks: Vec<Network>,
    /// Values for the image's configuration templates; every setting of the image has one.
    pub settings: BTreeMap<String, String>,
}

impl TierSpec {
    /// The name of its node with this number, from 1.
    #[must_use]
    pub fn node_name(&self, tier: Tier, number: u8) -> String {
        if tier == Tier::App || self.nodes > 1 { format!("{tier}-{number}") } else { tier.to_string() }
    }
}

/// A topology that can be started.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Target {
    /// The file's name without its ending.
    pub name: String,
    /// Where its sessions live.
    pub strategy: Strategy,
    /// One sentence about what it shows.
    pub shows: String,
    /// The protocol between clients and its balancer.
    pub protocol: ProtocolName,
    /// The `Host` header of its clients, where it is not the balancer's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its tiers: always a balancer and an app tier.
    pub tiers: BTreeMap<Tier, TierSpec>,
    /// The services of its tiers, where the user's Compose files describe it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compose: Option<Compose>,
    /// The system that it is, where it runs already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached: Option<Attached>,
    /// How its sessions are used; none where the app speaks the session contract.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "without_secrets")]
    pub session: Option<SessionMapping>,
}

impl Target {
    /// Reads a target by its name or by the path of its file.
    ///
    /// # Errors
    /// A file that is missing or invalid.
    pub fn find(name: &str) -> Result<Self, FileError> {
        Self::from_source(&files::find(Kind::Target, name)?)
    }

    /// Reads a target from a file's text.
    ///
    /// # Errors
    /// Names the invalid line and key, and the allowed values.
    pub fn from_source(source: &Source) -> Result<Self, FileError> {
        let file: TargetFile = source.parse()?;
        if file.shows.get_ref().trim().is_empty() {
            let message = "it must not be empty: one sentence about what the target shows";
            return Err(source.invalid(file.shows.span(), Some("shows"), message));
        }
        let forms = [file.compose.is_some(), file.attached.is_some(), file.balancer.is_some() || file.app.is_some()];
        if forms.iter().filter(|is_there| **is_there).count() > 1 || (file.store.is_some() && !forms[2]) {
            let message = "a target has one of these: `[compose]`; `[attached]`; `[balancer]`, `[app]` and `[store]`";
            return Err(source.invalid(0..0, None, message));
        }
        let (mut compose, mut attached) = (None, None);
        let tiers = if let Some(file) = file.compose {
            let (services, tiers) = file.check(source)?;
            compose = Some(services);
            tiers
        } else if let Some(file) = file.attached {
            let span = file.span();
            let (system, tiers) = file.into_inner().check(source, span)?;
            attached = Some(system);
            tiers
        } else {
            tiers_of_images(source, &file.protocol, (file.balancer, file.app, file.store))?
        };
        let session = file.session.map(|session| {
            let span = session.span();
            session.into_inner().check(source, span)
        });
        Ok(Self {
            name: source.name.clone(),
            strategy: file.strategy,
            shows: file.shows.into_inner(),
            protocol: file.protocol.into_inner(),
            host: file.host,
            tiers,
            compose,
            attached,
            session: session.transpose()?,
        })
    }

    /// The protocol of its clients. Certificates of containers are their own; those of a system that runs already must be good.
    #[must_use]
    pub fn client_protocol(&self) -> Protocol {
        let between = self.protocol.between_containers();
        let trust = if self.attached.is_some() { Trust::System } else { Trust::AnyCertificate };
        Protocol { tls: between.tls.map(|_| trust), ..between }
    }

    /// How many app nodes it has, if a profile cannot choose.
    #[must_use]
    pub fn fixed_app_nodes(&self) -> Option<usize> {
        let of_compose = self.compose.as_ref().and_then(Compose::app_nodes);
        of_compose.or_else(|| self.attached.as_ref().map(Attached::app_nodes))
    }

    /// Whether its app nodes form a cluster, and so must see each other before they are ready.
    #[must_use]
    pub fn app_nodes_form_a_cluster(&self) -> bool {
        self.tiers.get(&Tier::App).is_some_and(|app| app.networks.contains(&Network::Cluster))
    }

    /// Whether all its nodes are reference nodes, not real products.
    #[must_use]
    pub fn is_reference(&self) -> bool {
        self.tiers.values().all(|tier| tier.image.reference.is_some())
    }

    /// The name of the reference target of the same strategy.
    #[must_use]
    pub fn stand_in_name(&self) -> String {
        format!("reference-{}", self.strategy)
    }

    /// The reference target of the same strategy.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn stand_in(&self) -> Result<Self, FileError> {
        Self::find(&self.stand_in_name())
    }

    /// The networks of its nodes.
    #[must_use]
    pub fn networks(&self) -> Vec<Network> {
        let used = |network: &Network| self.tiers.values().any(|tier| tier.networks.contains(network));
        Network::ALL.into_iter().filter(used).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetFile {
    strategy: Strategy,
    shows: Spanned<String>,
    #[serde(default = "http")]
    protocol: Spanned<ProtocolName>,
    host: Option<String>,
    compose: Option<ComposeFile>,
    attached: Option<Spanned<AttachedFile>>,
    balancer: Option<TierFile>,
    app: Option<TierFile>,
    store: Option<TierFile>,
    session: Option<Spanned<MappingFile>>,
}

fn http() -> Spanned<ProtocolName> {
    Spanned::new(0..0, ProtocolName::Http)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierFile {
    image: Spanned<String>,
    networks: Spanned<Vec<Network>>,
    nodes: Option<Spanned<u8>>,
    #[serde(default)]
    settings: BTreeMap<String, Spanned<String>>,
}

impl TierFile {
    fn spans(&self) -> TierSpans {
        let settings = self.settings.iter().map(|(key, value)| (key.clone(), value.span())).collect();
        TierSpans { image: self.image.span(), settings }
    }
}

/// The tiers of a target that is made from images.
fn tiers_of_images(
    source: &Source,
    protocol: &Spanned<ProtocolName>,
    (balancer, app, store): (Option<TierFile>, Option<TierFile>, Option<TierFile>),
) -> Result<BTreeMap<Tier, TierSpec>, FileError> {
    let (Some(balancer), Some(app)) = (balancer, app) else {
        let message = "it has no `[balancer]` and `[app]`, no `[compose]` and no `[attached]`: one of them says what the system is";
        return Err(source.invalid(0..0, None, message));
    };
    let (mut tiers, mut spans) = (BTreeMap::new(), BTreeMap::new());
    let files = [(Tier::Balancer, Some(balancer)), (Tier::App, Some(app)), (Tier::Store, store)];
    for (tier, file) in files.into_iter().filter_map(|(tier, file)| Some((tier, file?))) {
        spans.insert(tier, file.spans());
        tiers.insert(tier, resolve_tier(source, tier, file)?);
    }
    speaks(source, &tiers[&Tier::Balancer].image, protocol)?;
    needs::check(source, &tiers, &spans)?;
    Ok(tiers)
}

/// Whether the balancer speaks the clients' protocol.
fn speaks(source: &Source, image: &Image, protocol: &Spanned<ProtocolName>) -> Result<(), FileError> {
    let wanted = protocol.get_ref();
    if image.protocols.contains(wanted) {
        return Ok(());
    }
    let known: Vec<String> = image.protocols.iter().map(ToString::to_string).collect();
    let message = format!("the image `{}` does not speak {wanted}; it speaks: {}", image.name, known.join(", "));
    Err(source.invalid(protocol.span(), Some("protocol"), message))
}

/// An image's name, or the path of its folder: one that has a `/` stands beside the file.
fn image_place(source: &Source, image: &str) -> String {
    if !image.contains('/') {
        return image.to_owned();
    }
    let folder = Path::new(&source.file).parent().unwrap_or(Path::new(""));
    let path = folder.join(image).components().collect::<PathBuf>();
    // A path without a folder would be a name.
    if path.components().count() == 1 { format!("./{}", path.display()) } else { path.display().to_string() }
}

fn resolve_tier(source: &Source, tier: Tier, file: TierFile) -> Result<TierSpec, FileError> {
    let span = file.image.span();
    let image = Image::find(&image_place(source, file.image.get_ref()))
        .map_err(|message| source.invalid(span.clone(), Some(&format!("{tier}.image")), message))?;
    if let Some(only) = image.reference.filter(|only| *only != tier) {
        let message = format!("`{}` is for the {only} tier", image.name);
        return Err(source.invalid(span, Some(&format!("{tier}.image")), message));
    }
    let home = if tier == Tier::Store { Network::Store } else { Network::Front };
    if !file.networks.get_ref().contains(&home) {
        let message = format!("every {tier} node must stand in the `{home}` network");
        return Err(source.invalid(file.networks.span(), Some(&format!("{tier}.networks")), message));
    }
    if let Some(nodes) = &file.nodes {
        let allowed = match tier {
            Tier::App => Err("the profile says how many app nodes there are".to_owned()),
            Tier::Balancer => Ok(BALANCER_NODES),
            Tier::Store => Ok(STORE_NODES),
        };
        let refused = match allowed {
            Ok(span) if span.contains(nodes.get_ref()) => Ok(()),
            Ok(span) => Err(format!("it can have {} to {}", span.start(), span.end())),
            Err(message) => Err(message),
        };
        if let Err(message) = refused {
            return Err(source.invalid(nodes.span(), Some(&format!("{tier}.nodes")), message));
        }
    }
    let nodes = file.nodes.map_or(1, Spanned::into_inner);
    let mut settings = image.default_settings();
    for (key, value) in file.settings {
        let full_key = format!("{tier}.settings.{key}");
        image
            .check_setting(&key, value.get_ref())
            .map_err(|message| source.invalid(value.span(), Some(&full_key), message))?;
        settings.insert(key, value.into_inner());
    }
    Ok(TierSpec { nodes, image, networks: file.networks.into_inner(), settings })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{TEXT, as_source, bundled, survives};

    fn error_of(text: &str) -> String {
        let source = Source { name: "mine".into(), file: "targets/mine.toml".into(), text: text.into() };
        Target::from_source(&source).unwrap_err().to_string()
    }

    #[test]
    fn every_bundled_target_can_be_read_and_says_what_it_shows() {
        for name in files::names(Kind::Target) {
            let target = Target::find(&name).unwrap();
            assert_eq!(target.name, name);
            assert!(target.shows.ends_with('.'), "{name} should say what it shows in a sentence");
        }
    }

    #[test]
    fn an_unknown_image_is_answered_with_the_images_that_exist() {
        let message = error_of(
            "strategy = \"none\"\nshows = \"x\"\n[balancer]\nimage = \"haprox\"\nnetworks = [\"front\"]\n[app]\nimage = \"tomcat\"\nnetworks = [\"front\"]\n",
        );
        let begin = "targets/mine.toml:4: `balancer.image`: no image is called `haprox`; a folder beside the file is `./haprox`; there are: ";
        assert_eq!(message, format!("{begin}{}", Image::names().join(", ")));
    }

    #[test]
    fn a_protocol_that_the_balancer_does_not_speak_is_refused_with_those_it_does() {
        insta::assert_snapshot!(error_of(
            "strategy = \"none\"\nshows = \"x\"\nprotocol = \"https\"\n[balancer]\nimage = \"nginx\"\nnetworks = [\"front\"]\n[app]\nimage = \"tomcat\"\nnetworks = [\"front\"]\n"
        ), @"targets/mine.toml:3: `protocol`: the image `nginx` does not speak https; it speaks: http");
    }

    #[test]
    fn an_invalid_value_of_a_setting_is_answered_with_the_allowed_ones() {
        insta::assert_snapshot!(error_of(
            "strategy = \"none\"\nshows = \"x\"\n[balancer]\nimage = \"haproxy\"\nnetworks = [\"front\"]\nsettings = { balance = \"random\" }\n[app]\nimage = \"tomcat\"\nnetworks = [\"front\"]\n"
        ), @"targets/mine.toml:6: `balancer.settings.balance`: `random` is not one of roundrobin, source, source-map");
    }

    #[test]
    fn an_unknown_setting_is_answered_with_the_ones_that_exist() {
        insta::assert_snapshot!(error_of(
            "strategy = \"none\"\nshows = \"x\"\n[balancer]\nimage = \"haproxy\"\nnetworks = [\"front\"]\nsettings = { stick = \"cookie\" }\n[app]\nimage = \"tomcat\"\nnetworks = [\"front\"]\n"
        ), @"targets/mine.toml:6: `balancer.settings.stick`: the image `haproxy` has no such setting; it has: balance, session_cookie, sticky");
    }

    #[test]
    fn a_reference_image_in_another_tier_is_refused() {
        insta::assert_snapshot!(error_of(
            "strategy = \"none\"\nshows = \"x\"\n[balancer]\nimage = \"reference-app\"\nnetworks = [\"front\"]\n[app]\nimage = \"reference-app\"\nnetworks = [\"front\"]\n"
        ), @"targets/mine.toml:4: `balancer.image`: `reference-app` is for the app tier");
    }

    #[test]
    fn every_strategy_has_a_reference_target_to_stand_in() {
        for name in files::names(Kind::Target) {
            let target = Target::find(&name).unwrap();
            let stand_in = target.stand_in().unwrap();
            assert!(stand_in.is_reference(), "{name}");
            assert_eq!(stand_in.strategy, target.strategy);
        }
    }

    #[test]
    fn a_number_of_nodes_is_refused_if_the_profile_sets_it_or_it_is_too_large() {
        let with = |balancer: &str, app: &str| {
            let tier = "networks = [\"front\"]";
            error_of(&format!(
                "strategy = \"none\"\nshows = \"x\"\n[balancer]\nimage = \"haproxy\"\n{tier}\n{balancer}\n[app]\nimage = \"tomcat\"\n{tier}\n{app}\n"
            ))
        };
        insta::assert_snapshot!(with("", "nodes = 4"), @"targets/mine.toml:10: `app.nodes`: the profile says how many app nodes there are");
        insta::assert_snapshot!(with("nodes = 4", ""), @"targets/mine.toml:6: `balancer.nodes`: it can have 1 to 3");
    }

    #[test]
    fn a_tier_outside_its_home_network_is_refused() {
        insta::assert_snapshot!(error_of(
            "strategy = \"none\"\nshows = \"x\"\n[balancer]\nimage = \"haproxy\"\nnetworks = [\"front\"]\n[app]\nimage = \"tomcat\"\nnetworks = [\"cluster\"]\n"
        ), @"targets/mine.toml:8: `app.networks`: every app node must stand in the `front` network");
    }

    #[test]
    fn a_damaged_target_is_refused_or_resolved_without_a_panic() {
        survives(&bundled(Kind::Target), TEXT, |bytes| {
            if let Ok(target) = Target::from_source(&as_source(bytes)) {
                let _ = Topology::resolve(&target, 3, Subnets::candidates(None)[0]);
            }
        });
    }

    #[test]
    fn an_image_may_be_a_folder_beside_the_target_file() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("images/my-app");
        std::fs::create_dir_all(image.join("etc")).unwrap();
        std::fs::write(image.join("image.toml"), "port = 80\nmemory_mib = 64\ncpus = 1.0\nready = { http = \"/\" }\n")
            .unwrap();
        std::fs::write(image.join("etc/app.conf"), "x").unwrap();
        let text = "strategy = \"none\"\nshows = \"x\"\n[balancer]\nimage = \"haproxy\"\nnetworks = [\"front\"]\n\
                    [app]\nimage = \"./images/my-app\"\nnetworks = [\"front\"]\n";
        let file = folder.path().join("mine.toml");
        std::fs::write(&file, text).unwrap();
        let target = Target::find(file.to_str().unwrap()).unwrap();
        let found = &target.tiers[&Tier::App].image;
        assert_eq!((found.port, found.name.as_str()), (Some(80), image.to_str().unwrap()));
        assert!(files::image_files(&found.name).contains_key("etc/app.conf"));
        std::fs::write(&file, text.replace("my-app", "other")).unwrap();
        let message = Target::find(file.to_str().unwrap()).unwrap_err().to_string();
        assert!(message.contains("images/other: No such file"), "{message}");
    }
}
