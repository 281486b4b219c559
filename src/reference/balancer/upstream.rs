//! The balancer's state of each app node, up or down, from periodic health checks.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use tokio::sync::watch;
use tokio::time::timeout;

use super::connector::{Connector, client_builder};
use crate::reference::config::PeerConfig;

/// Interval between checks of a node that is up.
const INTERVAL: Duration = Duration::from_millis(500);
/// Interval between checks of a node that is down or about to change.
const FAST_INTERVAL: Duration = Duration::from_millis(100);
/// A check without an answer within this time fails.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// Successful checks in a row that mark a node up, and failed ones that mark it down.
const RISE: u32 = 2;
const FALL: u32 = 2;

/// One app node.
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// Its address, as the authority of a URI.
    pub authority: String,
    health: Uri,
    up: watch::Sender<bool>,
    /// Checks in a row that contradict the current state.
    contrary: Cell<u32>,
    checked: Cell<bool>,
}

impl Upstream {
    /// A node that counts as down until its first check.
    ///
    /// # Errors
    /// When its address gives no valid URI.
    pub fn new(config: &PeerConfig) -> Result<Self, hyper::http::uri::InvalidUri> {
        Ok(Self {
            name: config.name.clone(),
            authority: config.address.to_string(),
            health: format!("http://{}/health", config.address).parse()?,
            up: watch::Sender::new(false),
            contrary: Cell::new(0),
            checked: Cell::new(false),
        })
    }

    /// Whether it gets requests.
    pub fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// Whether it has been checked at all.
    pub fn is_checked(&self) -> bool {
        self.checked.get()
    }

    /// Marks the node down at once, because it refused a connection.
    pub fn mark_down(&self) {
        self.contrary.set(0);
        self.up.send_replace(false);
    }

    /// Waits until it is marked down.
    pub async fn goes_down(&self) {
        let _ = self.up.subscribe().wait_for(|up| !up).await;
    }

    /// Checks the node for as long as the future is polled.
    pub async fn check(self: Rc<Self>, connector: Connector) {
        // Keeps no connections, because the check must show that a new one can be made.
        let client: Client<Connector, Full<Bytes>> = client_builder().pool_max_idle_per_host(0).build(connector);
        loop {
            let is_well = self.is_well(&client).await;
            self.note(is_well);
            let is_settled = self.is_up() && self.contrary.get() == 0;
            tokio::time::sleep(if is_settled { INTERVAL } else { FAST_INTERVAL }).await;
        }
    }

    fn note(&self, is_well: bool) {
        let is_first = !self.checked.replace(true);
        if is_well == self.is_up() {
            self.contrary.set(0);
            return;
        }
        self.contrary.set(self.contrary.get() + 1);
        if is_first || self.contrary.get() >= if is_well { RISE } else { FALL } {
            self.contrary.set(0);
            self.up.send_replace(is_well);
        }
    }

    async fn is_well(&self, client: &Client<Connector, Full<Bytes>>) -> bool {
        let asked = async {
            let mut request = Request::new(Full::default());
            *request.uri_mut() = self.health.clone();
            let reply = client.request(request).await.ok()?;
            let status = reply.status();
            reply.into_body().collect().await.ok()?;
            Some(status)
        };
        timeout(CHECK_TIMEOUT, asked).await == Ok(Some(StatusCode::OK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream() -> Upstream {
        Upstream::new(&PeerConfig { name: "app-1".into(), address: "127.0.0.1:1".parse().unwrap() }).unwrap()
    }

    #[test]
    fn the_first_check_decides_at_once_and_later_ones_only_in_a_row() {
        let node = upstream();
        node.note(true);
        assert!(node.is_up());
        node.note(false);
        assert!(node.is_up(), "one failure may be chance");
        node.note(true);
        node.note(false);
        assert!(node.is_up(), "they were not in a row");
        node.note(false);
        assert!(!node.is_up());
        node.note(true);
        assert!(!node.is_up());
        node.note(true);
        assert!(node.is_up());
    }

    #[test]
    fn a_refused_connection_brings_it_down_at_once_and_it_has_to_rise_again() {
        let node = upstream();
        node.note(true);
        node.mark_down();
        assert!(!node.is_up());
        node.note(true);
        assert!(!node.is_up());
        node.note(true);
        assert!(node.is_up());
    }
}
