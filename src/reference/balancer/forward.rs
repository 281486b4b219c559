//! Forwards requests to nodes and replies to clients. A request is sent again only if nothing of it was sent: the node
//! refused the connection, or a pooled connection was found closed. In any other case it may have been applied, and is
//! answered with 502 or 504.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, TRANSFER_ENCODING, UPGRADE};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::choice::Choice;
use super::connector::{Connector, client_builder};
use super::upstream::Upstream;
use crate::reference::config::BalancerConfig;
use crate::reference::counters::CLIENTS;
use crate::reference::http::{self, Handler, Reply};
use crate::reference::listener::listen;

/// The balancer's own cookie.
const COOKIE_NAME: &str = "SERVER";
/// How long a node may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit of a reply body; replies of the contract are far shorter.
const MAX_REPLY_BYTES: usize = 1024 * 1024;
/// How often a request is tried, each time on a node that is up.
const TRIES: usize = 3;
/// Headers of one connection only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 5] = [
    CONNECTION,
    UPGRADE,
    TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

struct Balancer {
    name: String,
    choice: Choice,
    upstreams: Vec<Rc<Upstream>>,
    client: Client<Connector, Full<Bytes>>,
}

/// Serves clients for as long as it is polled.
///
/// # Errors
/// When its port is in use, or an address cannot be used.
pub async fn run(config: &BalancerConfig) -> Result<(), String> {
    let upstreams = config.apps.iter().map(|app| Upstream::new(app).map(Rc::new)).collect::<Result<Vec<_>, _>>();
    let upstreams = upstreams.map_err(|error| error.to_string())?;
    for upstream in &upstreams {
        spawn_local(Rc::clone(upstream).check(Connector));
    }
    let balancer = Balancer {
        name: config.name.clone(),
        choice: Choice::new(config.balance, config.sticky),
        upstreams,
        client: client_builder().build(Connector),
    };
    let listener = listen(config.listen).await?;
    http::serve(listener, &CLIENTS, Rc::new(balancer)).await;
    Ok(())
}

impl Handler for Balancer {
    async fn answer(&self, request: Request<Incoming>, client: IpAddr) -> Reply {
        if request.uri().path() == "/health" {
            return self.health();
        }
        let (mut parts, body) = request.into_parts();
        let body = match http::body_of(Request::new(body)).await {
            Ok(body) => body,
            Err(status) => return http::empty(status),
        };
        let met = if self.choice.sticks_by_cookie() { take_cookie(&mut parts.headers) } else { None };
        drop_hop_by_hop(&mut parts.headers);
        self.try_nodes(&parts, &body, client, met).await
    }
}

/// Why a node gave no reply.
enum Failure {
    /// Nothing of the request was sent.
    NotSent,
    /// The request may have been applied; the client gets this status.
    Broken(StatusCode),
}

impl Balancer {
    /// Ready once every node has been checked and at least one is up.
    fn health(&self) -> Reply {
        let is_ready = self.upstreams.iter().all(|upstream| upstream.is_checked());
        let up: Vec<&str> = self.up();
        let status = if is_ready && !up.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        http::json(status, serde_json::json!({ "node": self.name, "up": up }).to_string().into_bytes())
    }

    fn up(&self) -> Vec<&str> {
        self.upstreams.iter().filter(|upstream| upstream.is_up()).map(|upstream| upstream.name.as_str()).collect()
    }

    async fn try_nodes(&self, parts: &Parts, body: &Bytes, client: IpAddr, met: Option<String>) -> Reply {
        for _ in 0..TRIES {
            let chosen = self.choice.choose(&self.up(), client, met.as_deref());
            let Some(node) = chosen.and_then(|name| self.upstreams.iter().find(|upstream| upstream.name == name))
            else {
                return http::empty(StatusCode::SERVICE_UNAVAILABLE);
            };
            match self.forward(node, parts, body.clone()).await {
                Ok(mut reply) => {
                    if self.choice.sticks_by_cookie() && met.as_deref() != Some(node.name.as_str()) {
                        let cookie = format!("{COOKIE_NAME}={}; Path=/; HttpOnly", node.name);
                        reply.headers_mut().extend(HeaderValue::try_from(cookie).map(|cookie| (SET_COOKIE, cookie)));
                    }
                    return reply;
                }
                Err(Failure::NotSent) => node.mark_down(),
                Err(Failure::Broken(status)) => return http::empty(status),
            }
        }
        http::empty(StatusCode::SERVICE_UNAVAILABLE)
    }

    async fn forward(&self, node: &Upstream, parts: &Parts, body: Bytes) -> Result<Reply, Failure> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri: Uri =
            format!("http://{}{path}", node.authority).parse().map_err(|_| Failure::Broken(StatusCode::BAD_REQUEST))?;
        let mut request = Request::new(Full::new(body));
        request.method_mut().clone_from(&parts.method);
        request.headers_mut().clone_from(&parts.headers);
        *request.uri_mut() = uri;
        let exchange = async {
            let reply = self.client.request(request).await.map_err(|error| {
                if error.is_connect() { Failure::NotSent } else { Failure::Broken(StatusCode::BAD_GATEWAY) }
            })?;
            let (mut head, body) = reply.into_parts();
            let body = Limited::new(body, MAX_REPLY_BYTES).collect().await;
            let body = body.map_err(|_| Failure::Broken(StatusCode::BAD_GATEWAY))?.to_bytes();
            drop_hop_by_hop(&mut head.headers);
            Ok(Reply::from_parts(head, Full::new(body)))
        };
        // When a node is marked down, the requests that it has not answered fail at once.
        let exchange: LocalBoxFuture<'_, _> = Box::pin(timeout(ANSWER_TIMEOUT, exchange));
        tokio::select! {
            reply = exchange => reply.unwrap_or(Err(Failure::Broken(StatusCode::GATEWAY_TIMEOUT))),
            () = node.goes_down() => Err(Failure::Broken(StatusCode::BAD_GATEWAY)),
        }
    }
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Removes the balancer's own cookie from a request, because the app does not need it. Returns its value.
fn take_cookie(headers: &mut HeaderMap) -> Option<String> {
    let cookies: Vec<String> =
        headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
    let pairs = || cookies.iter().flat_map(|header| header.split(';')).map(str::trim);
    let own =
        |pair: &str| pair.split_once('=').filter(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value.to_owned());
    let met = pairs().find_map(own)?;
    let others: Vec<&str> = pairs().filter(|pair| own(pair).is_none()).collect();
    headers.remove(COOKIE);
    if let Some(Ok(others)) = (!others.is_empty()).then(|| HeaderValue::try_from(others.join("; "))) {
        headers.insert(COOKIE, others);
    }
    Some(met)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;

    use super::*;
    use crate::reference::config::{Balance, PeerConfig, Sticky};

    /// An app node that passes its health checks and handles every other request as `treat` says.
    async fn app(treat: Treatment, asked: Rc<Cell<u32>>) -> PeerConfig {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let asked = Rc::clone(&asked);
                spawn_local(async move {
                    let mut buffer = [0; 2048];
                    while let Ok(1..) = stream.read(&mut buffer).await {
                        let is_check = buffer.starts_with(b"GET /health");
                        asked.set(asked.get() + u32::from(!is_check));
                        if !is_check && treat == Treatment::HangUp {
                            return;
                        }
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                    }
                });
            }
        });
        PeerConfig { name: format!("app-{treat:?}"), address }
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Treatment {
        Answer,
        HangUp,
    }

    /// The statuses with which a balancer in front of these nodes answers `requests` requests in turn.
    async fn statuses(apps: Vec<PeerConfig>, requests: usize) -> Vec<u16> {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = free.local_addr().unwrap().to_string().parse().unwrap();
        drop(free);
        let config = BalancerConfig {
            name: "balancer".into(),
            listen,
            balance: Balance::RoundRobin,
            sticky: Sticky::None,
            apps,
        };
        let balancer = spawn_local(async move { run(&config).await });
        let client = crate::traffic::library().build().unwrap();
        let ask = |path: &str| client.post(format!("http://{listen}{path}")).send();
        while !ask("/health").await.is_ok_and(|reply| reply.status() == 200) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut statuses = Vec::new();
        for _ in 0..requests {
            statuses.push(ask("/session/ops").await.unwrap().status().as_u16());
        }
        balancer.abort();
        statuses
    }

    /// A node that accepts one connection and refuses all later ones.
    async fn refuses() -> PeerConfig {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        spawn_local(async move {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let _ = stream.read(&mut [0; 2048]).await;
            drop(listener);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        });
        PeerConfig { name: "app-refuses".into(), address }
    }

    #[tokio::test]
    async fn a_request_that_was_sent_is_never_resent_and_gets_502() {
        let asked = Rc::new(Cell::new(0));
        let test = async {
            let apps =
                vec![app(Treatment::Answer, Rc::clone(&asked)).await, app(Treatment::HangUp, Rc::clone(&asked)).await];
            statuses(apps, 6).await
        };
        let mut statuses = LocalSet::new().run_until(test).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 502, 502, 502]);
        assert_eq!(asked.get(), 6, "each request was sent once");
    }

    #[tokio::test]
    async fn a_node_that_refuses_the_connection_is_skipped() {
        let asked = Rc::new(Cell::new(0));
        let test = async {
            let apps = vec![refuses().await, app(Treatment::Answer, Rc::clone(&asked)).await];
            statuses(apps, 6).await
        };
        assert_eq!(LocalSet::new().run_until(test).await, [200; 6]);
        assert_eq!(asked.get(), 6);
    }

    #[test]
    fn the_balancers_cookie_is_removed_and_the_others_stay() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("SESSION=1; SERVER=app-2"));
        headers.append(COOKIE, HeaderValue::from_static("a=b"));
        assert_eq!(take_cookie(&mut headers).as_deref(), Some("app-2"));
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["SESSION=1; a=b"]);
        assert_eq!(take_cookie(&mut headers), None);
    }
}
