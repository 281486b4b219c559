//! Starts a reference node: reads its configuration, and serves its role until the process ends.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use peak_alloc::PeakAlloc;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::task::LocalSet;

use super::app::contract::Contract;
use super::app::shop::Shop;
use super::app::{Sessions, session};
use super::config::{self, AppConfig, BalancerConfig, Face, StoreConfig};
use super::counters::FRONT;
use super::identity::Identity;
use super::listener::listen;
use super::{balancer, http, store, supervised};

/// Counts allocated bytes: the live heap that `/internals` reports.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// How long a node may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The role of a reference node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves the session contract.
    App,
    /// Forwards requests to app nodes.
    Balancer,
    /// Keeps sessions for app nodes.
    Store,
}

/// A node that cannot serve.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct NodeError(String);

/// Where a node's configuration comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A file: inside a container.
    File(PathBuf),
    /// The driver that started it as a child process.
    Driver,
}

/// Whether the node with this configuration accepts connections; called inside its container.
///
/// # Errors
/// When the configuration cannot be read.
pub fn is_up(role: Role, config: &Path) -> Result<bool, NodeError> {
    let text = std::fs::read_to_string(config).map_err(|error| NodeError(format!("{}: {error}", config.display())))?;
    let listen = match role {
        Role::App => parse::<AppConfig>(&text).map(|config| config.listen),
        Role::Balancer => parse::<BalancerConfig>(&text).map(|config| config.listen),
        Role::Store => parse::<StoreConfig>(&text).map(|config| config.listen),
    };
    Ok(TcpStream::connect_timeout(&listen.map_err(NodeError)?.into(), CONNECT_TIMEOUT).is_ok())
}

/// Runs a node until its process ends.
///
/// # Errors
/// When its configuration is wrong, its port is in use, or its store does not answer.
pub fn run(role: Role, origin: &Origin, store_file: &Path) -> Result<(), NodeError> {
    let text = match origin {
        Origin::File(path) => {
            std::fs::read_to_string(path).map_err(|error| NodeError(format!("{}: {error}", path.display())))?
        }
        Origin::Driver => {
            let text = supervised::read_config().map_err(|error| NodeError(error.to_string()))?;
            supervised::obey((role == Role::Store).then(|| store_file.to_owned()))
                .map_err(|error| NodeError(error.to_string()))?;
            text
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| NodeError(format!("no runtime: {error}")))?;
    let served = LocalSet::new().block_on(&runtime, async {
        match role {
            Role::App => serve_app(&parse(&text)?).await,
            Role::Balancer => balancer::run(&parse::<BalancerConfig>(&text)?).await,
            Role::Store => store::run(&parse::<StoreConfig>(&text)?, store_file).await,
        }
    });
    served.map_err(NodeError)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    config::read(text).map_err(|error| format!("configuration: {error}"))
}

async fn serve_app(config: &AppConfig) -> Result<(), String> {
    session::expire_after(config.expires_after_ms);
    let listener = listen(config.listen).await?;
    let sessions = Rc::new(Sessions::start(config).await?);
    let identity = Identity::of(&config.name);
    let contract = Contract::new(identity.clone(), Rc::clone(&sessions), || HEAP.current_usage());
    match config.face {
        Face::Contract => http::serve(listener, &FRONT, Rc::new(contract)).await,
        Face::Shop => {
            session::list_all_operations();
            http::serve(listener, &FRONT, Rc::new(Shop::new(identity, sessions, contract))).await;
        }
    }
    Ok(())
}
