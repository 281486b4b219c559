//! Requests over TLS or in HTTP/2, through an HTTP library: not the cheapest way, but the right one where the protocol is
//! more than lines of text. A worker hands a request over and goes on; the reply comes back through a channel, and the
//! worker's reactor is woken for it.
//!
//! A client here has one connection at a time, so that users keep what browsers keep: the library's pool never chooses
//! between connections. Nothing is tried again, no redirect followed and no cookie kept behind the users' backs.

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
use super::connection::Progress;
use super::reply::Reply;
use crate::history::ErrorKind;
use crate::load::Destination;
use crate::lock::lock;
use crate::traffic::reactor::{Clock, thread_cpu_ns};

/// Requests over TLS cannot be made at all.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No certificates of the system, or none that can be read.
    #[error("TLS cannot be prepared: {0}")]
    Tls(#[from] rustls::Error),
    /// No thread, or no file descriptors.
    #[error("the HTTP library cannot be started: {0}")]
    System(#[from] io::Error),
}

/// The HTTP library with what it needs for TLS, and without the proxies of the environment: a test's traffic goes to the
/// test's own servers.
pub fn library() -> reqwest::ClientBuilder {
    // Whoever came first has installed the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

/// The clients of one worker, and the thread that drives them.
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

/// One connection of the library, made when it is first needed, and again after it was lost.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    connects: Arc<Connects>,
}

/// A line over which one request at a time goes through a client.
#[derive(Debug)]
pub struct Exchange {
    client: Client,
    /// The request under way, as HTTP/1.1; written into by who owns it, before [`Clients::send`].
    pub request: Vec<u8>,
    progress: Arc<Mutex<Progress>>,
    /// Whether no other request goes over the client's connection meanwhile.
    is_alone: bool,
    task: Option<AbortHandle>,
}

/// A request that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The line that it went over.
    pub token: usize,
    /// Which of the line's requests.
    pub serial: u64,
    /// How it came to that.
    pub progress: Progress,
    /// A complete reply, or why there is none.
    pub result: Result<Whole, ErrorKind>,
}

/// A complete reply.
#[derive(Debug)]
pub struct Whole {
    status: u16,
    set_cookies: Vec<Vec<u8>>,
    body: Bytes,
}

impl Whole {
    /// As users read it. Its connection is the library's affair.
    #[must_use]
    pub fn reply(&self) -> Reply<'_> {
        Reply {
            status: self.status,
            set_cookies: self.set_cookies.iter().map(Vec::as_slice).collect(),
            body: self.body.as_ref().into(),
            keep_alive: true,
        }
    }
}

impl Clients {
    /// Starts the thread that drives them.
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
            // Also when who would stop it has gone.
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

    /// Takes another start of the load as time zero.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// A client that will connect to `endpoint` from `source`.
    ///
    /// # Errors
    /// When the system has nothing left to make one of.
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

    /// Sends what stands in the exchange's request.
    pub fn send(&self, exchange: &mut Exchange, token: usize, serial: u64) {
        let began_ns = self.clock.now_ns();
        // Until it is known that a connection had to be made, it may have been sent.
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

    /// What has ended since the last call.
    pub fn ended(&self) -> Option<Ended> {
        self.inbox.try_recv().ok()
    }

    /// The processor time of their thread.
    #[must_use]
    pub fn cpu_ns(&self) -> u64 {
        let (tell, told) = channel();
        self.runtime.spawn(async move { tell.send(thread_cpu_ns()) });
        told.recv_timeout(std::time::Duration::from_secs(1)).unwrap_or_default()
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
    /// A line through a client. `is_alone` says that nothing else uses it at the same time.
    #[must_use]
    pub fn new(client: Client, is_alone: bool) -> Self {
        Self { client, request: Vec::new(), progress: Arc::default(), is_alone, task: None }
    }

    /// How far its request has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let mut progress = *lock(&self.progress);
        if self.is_alone {
            self.client.connects.tell_apart(progress.sent_ns.unwrap_or_default(), &mut progress);
        }
        progress
    }

    /// Whether its request still waits for a connection; not known where others share it.
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
        // What the server has not processed is as good as not sent: it may be sent again (RFC 9113, 8.7).
        if is_unprocessed(error) {
            return Self { kind: ErrorKind::NotSent, is_sent: false };
        }
        // Only a connection that was never made is sure not to have carried anything.
        Self { kind: kind_of(error, has_head), is_sent: !error.is_connect() }
    }
}

/// Whether the server says so: a stream above the last one that its GOAWAY names, which the library ends with that frame, or
/// one that it refused. What was under way when the connection ended has another error.
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
    let status = response.status().as_u16();
    // As HTTP/1.1 would have had it: what compression of headers and frames come to is the library's secret.
    let head: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    {
        let mut progress = lock(progress);
        progress.first_byte_ns = Some(clock.now_ns());
        progress.received_bytes = u32::try_from(head + 19).unwrap_or(u32::MAX);
    }
    let set_cookies = response.headers().get_all(SET_COOKIE).iter().map(|value| value.as_bytes().to_vec()).collect();
    let mut body = bytes::BytesMut::new();
    // One that is too large to be kept goes by.
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
            Ok(None) => return Ok(Whole { status, set_cookies, body: body.freeze() }),
            Err(error) => return Err(Broken::of(&error, true)),
        }
    }
}

/// What stands behind an error. What an I/O error wraps is not its source, but counts here.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| {
        let cause: &(dyn Error + 'static) = *cause;
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| cause.source())
    })
}

/// What an error of the library is called here.
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
