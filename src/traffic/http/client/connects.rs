//! When a client's connection was made: the library does not report it, so a layer around its connector takes
//! timestamps. Connecting includes TCP and TLS.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::lock::lock;
use crate::traffic::http::connection::Progress;
use crate::traffic::reactor::Clock;

/// Timestamps of the last connection of one client.
#[derive(Debug)]
pub struct Connects {
    clock: Clock,
    last: Mutex<Last>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    began_ns: Option<u64>,
    /// When it was made, or failed.
    ended_ns: Option<u64>,
    is_made: bool,
}

impl Connects {
    pub fn new(clock: Clock) -> Self {
        Self { clock, last: Mutex::default() }
    }

    /// Whether a connection is being made, or has failed.
    pub fn is_connecting(&self) -> bool {
        let last = *lock(&self.last);
        last.began_ns.is_some() && !last.is_made
    }

    /// Separates the time to connect from a request that has used the client alone since `since_ns`: sets when it was
    /// sent to when its connection was made.
    pub fn tell_apart(&self, since_ns: u64, progress: &mut Progress) {
        let Last { began_ns, ended_ns, is_made } = *lock(&self.last);
        let Some(began_ns) = began_ns.filter(|began_ns| *began_ns >= since_ns) else { return };
        let ended_ns = ended_ns.unwrap_or_else(|| self.clock.now_ns());
        progress.connect_ns = Some(ended_ns.saturating_sub(began_ns));
        progress.sent_ns = is_made.then_some(ended_ns);
    }
}

/// A layer that takes timestamps around connecting.
#[derive(Clone, Debug)]
pub struct StampConnects(pub Arc<Connects>);

impl<S> Layer<S> for StampConnects {
    type Service = Stamped<S>;

    fn layer(&self, connector: S) -> Stamped<S> {
        Stamped { connects: Arc::clone(&self.0), connector }
    }
}

/// A connector that takes timestamps.
#[derive(Clone, Debug)]
pub struct Stamped<S> {
    connects: Arc<Connects>,
    connector: S,
}

impl<S, R> Service<R> for Stamped<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, to: R) -> Self::Future {
        let connects = Arc::clone(&self.connects);
        let began_ns = Some(connects.clock.now_ns());
        *lock(&connects.last) = Last { began_ns, ended_ns: None, is_made: false };
        let connecting = self.connector.call(to);
        Box::pin(async move {
            let result = connecting.await;
            let ended_ns = Some(connects.clock.now_ns());
            *lock(&connects.last) = Last { began_ns, ended_ns, is_made: result.is_ok() };
            result
        })
    }
}
