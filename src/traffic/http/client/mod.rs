//! Requests over TLS or HTTP/2, through an HTTP library. It costs more CPU than the generator's own sockets, but
//! implements protocols that are more complex than HTTP/1.1. A worker submits a request and continues; the reply comes
//! back through a channel, and the task wakes the worker's reactor.
//!
//! A client has one connection at a time, so that users keep connections as browsers do: the library's pool never
//! chooses between connections. The library does not retry, does not follow redirects and does not keep cookies.

mod connects;
mod request;
#[cfg(test)]
mod tests;
mod tls;

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use mio::Waker;
use reqwest::header::SET_COOKIE;
use thiserror::Error;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use self::connects::{Connects, StampConnects};
pub use request::of as request_of;

use super::connection::Progress;
use super::reply::Reply;
use crate::history::ErrorKind;
use crate::load::Destination;
use crate::lock::lock;
use crate::traffic::reactor::{Clock, thread_cpu_ns};

/// TLS or the HTTP library cannot be set up.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The system has no certificates, or none that can be read.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The system has no threads or file descriptors left.
    #[error("the HTTP library cannot be started: {0}")]
    System(#[from] io::Error),
}

/// The HTTP library with its TLS provider, and without the proxies of the environment, because the traffic goes
/// directly to the servers under test.
pub fn library() -> reqwest::ClientBuilder {
    // An error means that the same provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

/// The clients of one worker, and the thread that runs them.
pub struct Clients {
    destination: Destination,
    tls: rustls::ClientConfig,
    clock: Clock,
    runtime: Handle,
    outbox: Sender<Ended>,
    inbox: Receiver<Ended>,
    waker: Arc<Waker>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One connection of the library, made when it is first needed, and again after a loss.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    connects: Arc<Connects>,
}

/// Sends one request at a time through a client.
#[derive(Debug)]
pub struct Exchange {
    client: Client,
    /// The request in flight, as HTTP/1.1. The owner of the exchange writes it before [`Clients::send`].
    pub request: Vec<u8>,
    progress: Arc<Mutex<Progress>>,
    /// Whether no other request uses the client's connection at the same time.
    is_alone: bool,
    task: Option<AbortHandle>,
}

/// A request that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The token of its connection slot.
    pub token: usize,
    /// The serial number of the request.
    pub serial: u64,
    /// The progress of the request.
    pub progress: Progress,
    /// A complete reply, or why there is none.
    pub result: Result<Whole, ErrorKind>,
}

/// A complete reply.
#[derive(Debug)]
pub struct Whole {
    status: u16,
    /// As HTTP/1.1 would have it.
    head: Vec<u8>,
    set_cookies: Vec<Vec<u8>>,
    /// All of it; empty if it was too large to keep.
    pub body: Bytes,
}

impl Whole {
    /// Status and headers of a reply whose body has not been read.
    #[must_use]
    pub fn head_of(response: &reqwest::Response) -> Self {
        let mut head = b"\r\n".to_vec();
        for (name, value) in response.headers() {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        let set_cookies = response.headers().get_all(SET_COOKIE).iter().map(|value| value.as_bytes().to_vec());
        Self { status: response.status().as_u16(), head, set_cookies: set_cookies.collect(), body: Bytes::new() }
    }

    /// The reply as users read it. `keep_alive` is always true, because the library manages the connection.
    #[must_use]
    pub fn reply(&self) -> Reply<'_> {
        Reply {
            status: self.status,
            head: &self.head,
            set_cookies: self.set_cookies.iter().map(Vec::as_slice).collect(),
            body: self.body.as_ref().into(),
            keep_alive: true,
        }
    }
}

impl Clients {
    /// Starts the thread that runs the clients.
    ///
    /// # Errors
    /// When the system has no more threads or file descriptors, or TLS cannot be prepared.
    pub fn start(destination: Destination, waker: Arc<Waker>) -> Result<Self, ClientError> {
        let tls = tls::config(&destination.protocol)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (outbox, inbox) = channel();
        let (stop, is_stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("clients".into()).spawn(move || {
            // Also ends when the sender is dropped.
            let _ = runtime.block_on(is_stopped);
        })?;
        Ok(Self {
            destination,
            tls,
            clock: Clock::start(),
            runtime: handle,
            outbox,
            inbox,
            waker,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Replaces the clock, whose zero is the start of the load.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// A client that will connect to `endpoint` from `source`.
    ///
    /// # Errors
    /// When the library cannot create a client.
    pub fn client(&self, endpoint: SocketAddr, source: Option<IpAddr>) -> Result<Client, ErrorKind> {
        let connects = Arc::new(Connects::new(self.clock));
        let Destination { protocol, host, .. } = &self.destination;
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        let builder = library()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .pool_idle_timeout(None)
            .local_address(source)
            .resolve(name, endpoint)
            .tls_backend_preconfigured(self.tls.clone())
            .connector_layer(StampConnects(Arc::clone(&connects)));
        let builder = if protocol.is_http2 { builder.http2_prior_knowledge() } else { builder.http1_only() };
        Ok(Client { http: builder.build().map_err(|_| ErrorKind::NoSocket)?, connects })
    }

    /// Sends the request of an exchange.
    pub fn send(&self, exchange: &mut Exchange, token: usize, serial: u64) {
        let began_ns = self.clock.now_ns();
        // Counts as sent until it is known that a connection had to be made first.
        exchange.progress = Arc::new(Mutex::new(Progress {
            sent_ns: Some(began_ns),
            sent_bytes: u32::try_from(exchange.request.len()).unwrap_or(u32::MAX),
            ..Progress::default()
        }));
        let scheme = if self.destination.protocol.tls.is_some() { "https" } else { "http" };
        let request = request::of(&exchange.request, scheme, &self.destination.host, &exchange.client.http);
        let (progress, clock) = (Arc::clone(&exchange.progress), self.clock);
        let (outbox, waker, client) = (self.outbox.clone(), Arc::clone(&self.waker), exchange.client.clone());
        let is_alone = exchange.is_alone;
        let task = self.runtime.spawn(async move {
            let result = match request {
                Some(request) => exchanged(&client.http, request, &progress, clock).await,
                None => Err(Broken { kind: ErrorKind::NotSent, is_sent: false }),
            };
            let mut progress = *lock(&progress);
            progress.completed_ns = clock.now_ns();
            if is_alone {
                client.connects.tell_apart(began_ns, &mut progress);
            }
            let result = result.map_err(|Broken { kind, is_sent }| {
                if !is_sent {
                    progress.sent_ns = None;
                }
                kind
            });
            let _ = outbox.send(Ended { token, serial, progress, result });
            // A thread that cannot be woken checks by itself within a second.
            let _ = waker.wake();
        });
        exchange.task = Some(task.abort_handle());
    }

    /// Takes the next request that has ended, if there is one.
    pub fn ended(&self) -> Option<Ended> {
        self.inbox.try_recv().ok()
    }

    /// CPU time of the clients' thread, in nanoseconds; 0 if it does not reply within a second.
    #[must_use]
    pub fn cpu_ns(&self) -> u64 {
        let (sender, receiver) = channel();
        self.runtime.spawn(async move { sender.send(thread_cpu_ns()) });
        receiver.recv_timeout(std::time::Duration::from_secs(1)).unwrap_or_default()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Exchange {
    /// An exchange through a client. `is_alone`: no other exchange uses the client at the same time.
    #[must_use]
    pub fn new(client: Client, is_alone: bool) -> Self {
        Self { client, request: Vec::new(), progress: Arc::default(), is_alone, task: None }
    }

    /// The progress of its request.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let mut progress = *lock(&self.progress);
        if self.is_alone {
            self.client.connects.tell_apart(progress.sent_ns.unwrap_or_default(), &mut progress);
        }
        progress
    }

    /// Whether its request still waits for a connection; unknown, and so false, if other exchanges share the client.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        self.is_alone && self.client.connects.is_connecting()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// Why there is no complete reply, and whether the request may have left.
struct Broken {
    kind: ErrorKind,
    is_sent: bool,
}

impl Broken {
    fn of(error: &reqwest::Error, has_head: bool) -> Self {
        // A request that the server has not processed counts as not sent: it may be sent again (RFC 9113, 8.7).
        if is_unprocessed(error) {
            return Self { kind: ErrorKind::NotSent, is_sent: false };
        }
        // Only if no connection was made is it certain that nothing was sent.
        Self { kind: kind_of(error, has_head), is_sent: !error.is_connect() }
    }
}

/// Whether the server reports that it has not processed the request: it refused the stream, or its GOAWAY names an
/// earlier stream as the last, which the library reports as that frame. A request in flight when the connection ended
/// has another error.
fn is_unprocessed(error: &reqwest::Error) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<h2::Error>())
        .any(|error| error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM)))
}

async fn exchanged(
    http: &reqwest::Client,
    request: reqwest::Request,
    progress: &Mutex<Progress>,
    clock: Clock,
) -> Result<Whole, Broken> {
    let mut response = http.execute(request).await.map_err(|error| Broken::of(&error, false))?;
    let first_byte_ns = Some(clock.now_ns());
    let whole = Whole::head_of(&response);
    {
        let mut progress = lock(progress);
        progress.first_byte_ns = first_byte_ns;
        // As in HTTP/1.1 with its status line, because the library does not report the size of compressed headers and frames.
        progress.received_bytes = u32::try_from(whole.head.len() + 17).unwrap_or(u32::MAX);
    }
    let mut body = bytes::BytesMut::new();
    // A body that is too large to keep is discarded.
    let mut is_kept = true;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let mut progress = lock(progress);
                progress.received_bytes =
                    progress.received_bytes.saturating_add(u32::try_from(chunk.len()).unwrap_or(u32::MAX));
                is_kept &= body.len() + chunk.len() <= super::reply::MAX_BODY_BYTES;
                if is_kept {
                    body.extend_from_slice(&chunk);
                } else {
                    body = bytes::BytesMut::new();
                }
            }
            Ok(None) => return Ok(Whole { body: body.freeze(), ..whole }),
            Err(error) => return Err(Broken::of(&error, true)),
        }
    }
}

/// The causes of an error. Includes the error that an I/O error wraps, although it is not its `source`.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| {
        let cause: &(dyn Error + 'static) = *cause;
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| cause.source())
    })
}

/// The kind of an error of the library.
fn kind_of(error: &reqwest::Error, has_head: bool) -> ErrorKind {
    if error.is_connect() {
        let io_error = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
        return match io_error.filter(|_| !causes(error).any(<dyn Error>::is::<rustls::Error>)) {
            Some(cause) => super::connection::connect_error(cause),
            None => ErrorKind::Handshake,
        };
    }
    let http_error = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
    match http_error {
        Some(error) if error.is_parse_too_large() => ErrorKind::TooLarge,
        Some(error) if error.is_parse() => ErrorKind::Malformed,
        Some(error) if error.is_incomplete_message() && has_head => ErrorKind::CutOff,
        _ if has_head => ErrorKind::ResetInReply,
        _ => ErrorKind::ResetBeforeReply,
    }
}
