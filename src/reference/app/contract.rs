//! Serves the calls of docker/CONTRACT.md over HTTP, for every strategy.

use std::net::IpAddr;
use std::rc::Rc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{COOKIE, HeaderValue, SET_COOKIE};
use hyper::{Method, Request, StatusCode};
use serde::{Deserialize, Serialize};

use super::outcome::{Found, Refused, Roles};
use super::session::{Session, Update, epoch_text};
use super::strategy::Sessions;
use crate::reference::http::{self, Handler, Reply};
use crate::reference::identity::Identity;

/// The cookie's name.
const COOKIE_NAME: &str = "SESSION";
/// The largest payload.
const MAX_PAYLOAD_BYTES: usize = 4 * 1024 * 1024;
/// The longest time for which a request holds its session.
const MAX_HOLD_MS: u64 = 60_000;

/// Why a node does not serve yet.
const JOINING: &str = "joining the cluster";

/// Serves the contract.
pub struct Contract {
    identity: Identity,
    sessions: Rc<Sessions>,
    live_heap: fn() -> usize,
}

#[derive(Deserialize)]
struct Create {
    owner: String,
    bytes: usize,
}

#[derive(Deserialize)]
struct LogIn {
    owner: String,
}

#[derive(Serialize)]
struct StateReply<'a> {
    node: &'a str,
    boot: &'a str,
    owner: &'a str,
    epoch: String,
    version: u64,
    digest: String,
    tail: &'a std::collections::VecDeque<String>,
    payload: PayloadReply,
}

#[derive(Serialize)]
struct PayloadReply {
    bytes: u64,
    crc32: String,
}

#[derive(Serialize)]
struct ErrorReply<'a> {
    node: &'a str,
    boot: &'a str,
    error: &'a str,
}

#[derive(Serialize)]
struct HealthReply<'a> {
    node: &'a str,
    boot: &'a str,
    members: Vec<String>,
}

#[derive(Serialize)]
struct InternalsReply<'a> {
    node: &'a str,
    boot: &'a str,
    heap_bytes: usize,
    sessions: Roles,
}

impl Contract {
    /// Serves `sessions` under the name in `identity`; `live_heap` returns the allocated bytes.
    pub const fn new(identity: Identity, sessions: Rc<Sessions>, live_heap: fn() -> usize) -> Self {
        Self { identity, sessions, live_heap }
    }

    async fn create(&self, cookie: Option<String>, body: &[u8]) -> Reply {
        match serde_json::from_slice::<Create>(body) {
            Ok(Create { owner, bytes }) if bytes <= MAX_PAYLOAD_BYTES => {
                self.found(self.sessions.create(cookie.as_deref(), owner, bytes).await)
            }
            _ => self.error(StatusCode::BAD_REQUEST, "POST /session takes {\"owner\": text, \"bytes\": 0 to 4194304}"),
        }
    }

    async fn append(&self, cookie: Option<String>, body: &[u8]) -> Reply {
        let is_allowed = |update: &Update| {
            (1..=64).contains(&update.op.chars().count())
                && update.bytes <= MAX_PAYLOAD_BYTES
                && update.hold_ms <= MAX_HOLD_MS
        };
        match serde_json::from_slice(body) {
            Ok(update) if is_allowed(&update) => match cookie {
                Some(cookie) => self.found(self.sessions.append(&cookie, &update).await),
                None => self.refused(&Refused::Unknown),
            },
            _ => self.error(
                StatusCode::BAD_REQUEST,
                "POST /session/ops takes {\"op\": 1 to 64 characters, \"bytes\": 0 to 4194304, or none, \"hold_ms\": 0 to 60000, or none}",
            ),
        }
    }

    async fn read(&self, cookie: Option<String>, query: Option<&str>) -> Reply {
        let Some(hold_ms) = hold_ms(query) else {
            return self.error(StatusCode::BAD_REQUEST, "GET /session takes `hold_ms`, 0 to 60000, or nothing");
        };
        let Some(cookie) = cookie else { return self.refused(&Refused::Unknown) };
        self.found(self.sessions.read_held(&cookie, hold_ms).await)
    }

    async fn log_in(&self, cookie: Option<String>, body: &[u8]) -> Reply {
        match serde_json::from_slice(body) {
            Ok(LogIn { owner }) if !owner.is_empty() => match cookie {
                Some(cookie) => self.found(self.sessions.log_in(&cookie, owner).await),
                None => self.refused(&Refused::Unknown),
            },
            _ => self.error(StatusCode::BAD_REQUEST, "POST /session/log-in takes {\"owner\": text}"),
        }
    }

    async fn end(&self, cookie: Option<String>) -> Reply {
        let Some(cookie) = cookie else { return self.refused(&Refused::Unknown) };
        match self.sessions.end(&cookie).await {
            Ok(()) => {
                let mut reply = http::empty(StatusCode::NO_CONTENT);
                let forget = HeaderValue::from_static("SESSION=; Path=/; HttpOnly; Max-Age=0");
                reply.headers_mut().insert(SET_COOKIE, forget);
                reply
            }
            Err(refused) => self.refused(&refused),
        }
    }

    fn health(&self) -> Reply {
        if !self.sessions.is_ready() {
            return self.error(StatusCode::SERVICE_UNAVAILABLE, JOINING);
        }
        let Identity { node, boot } = &self.identity;
        let mut members = self.sessions.members();
        members.push(node.to_string());
        members.sort();
        reply(StatusCode::OK, &HealthReply { node, boot, members })
    }

    fn internals(&self) -> Reply {
        let Identity { node, boot } = &self.identity;
        let sessions = self.sessions.roles();
        reply(StatusCode::OK, &InternalsReply { node, boot, heap_bytes: (self.live_heap)(), sessions })
    }

    fn found(&self, found: Result<Found, Refused>) -> Reply {
        let found = match found {
            Ok(found) => found,
            Err(refused) => return self.refused(&refused),
        };
        let mut reply = self.state(&found.session);
        let set = found.cookie.map(|value| format!("{COOKIE_NAME}={value}; Path=/; HttpOnly; SameSite=Lax"));
        if let Some(Ok(set)) = set.map(HeaderValue::try_from) {
            reply.headers_mut().insert(SET_COOKIE, set);
        }
        reply
    }

    fn state(&self, session: &Session) -> Reply {
        let Identity { node, boot } = &self.identity;
        let Session { owner, epoch, state, .. } = session;
        let checksum = session.checksum();
        let body = StateReply {
            node,
            boot,
            owner,
            epoch: epoch_text(*epoch),
            version: state.version,
            digest: format!("{:016x}", state.digest),
            tail: &state.tail,
            payload: PayloadReply { bytes: checksum.bytes, crc32: format!("{:08x}", checksum.crc32) },
        };
        reply(StatusCode::OK, &body)
    }

    fn refused(&self, refused: &Refused) -> Reply {
        match refused {
            Refused::Unknown => self.error(StatusCode::NOT_FOUND, "unknown-session"),
            Refused::Unavailable(reason) => self.error(StatusCode::SERVICE_UNAVAILABLE, reason),
            Refused::TooLarge(reason) => self.error(StatusCode::PAYLOAD_TOO_LARGE, reason),
            Refused::OffContract(reason) => self.error(StatusCode::UNAUTHORIZED, reason),
        }
    }

    fn error(&self, status: StatusCode, error: &str) -> Reply {
        let Identity { node, boot } = &self.identity;
        reply(status, &ErrorReply { node, boot, error })
    }

    async fn body(&self, request: Request<Incoming>) -> Result<Bytes, Reply> {
        let unreadable = |status: StatusCode| self.error(status, "the body cannot be read");
        http::body_of(request).await.map_err(unreadable)
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Reply, Reply> {
        let cookie = cookie(&request);
        if request.uri().path().starts_with("/session") {
            self.sessions.confirm().await;
            if !self.sessions.is_ready() {
                return Ok(self.error(StatusCode::SERVICE_UNAVAILABLE, JOINING));
            }
        }
        Ok(match (request.method().clone(), request.uri().path()) {
            (Method::POST, "/session") => self.create(cookie, &self.body(request).await?).await,
            (Method::POST, "/session/ops") => self.append(cookie, &self.body(request).await?).await,
            (Method::POST, "/session/log-in") => self.log_in(cookie, &self.body(request).await?).await,
            (Method::GET, "/session") => self.read(cookie, request.uri().query()).await,
            (Method::POST, "/session/log-out") => self.end(cookie).await,
            (Method::GET, "/health") => self.health(),
            (Method::GET, "/internals") => self.internals(),
            (_, "/session" | "/session/ops" | "/session/log-in" | "/session/log-out" | "/health" | "/internals") => {
                self.error(StatusCode::METHOD_NOT_ALLOWED, "no such method here")
            }
            _ => self.error(StatusCode::BAD_REQUEST, "no such path"),
        })
    }
}

impl Handler for Contract {
    async fn answer(&self, request: Request<Incoming>, _: IpAddr) -> Reply {
        self.route(request).await.unwrap_or_else(|refusal| refusal)
    }
}

fn reply<T: Serialize>(status: StatusCode, body: &T) -> Reply {
    http::json(status, serde_json::to_vec(body).unwrap_or_default())
}

/// How long a read holds its session; `None` where the query does not say it as it must.
fn hold_ms(query: Option<&str>) -> Option<u64> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let Some((_, value)) = pairs.find(|(name, _)| name == "hold_ms") else { return Some(0) };
    value.parse().ok().filter(|hold_ms| *hold_ms <= MAX_HOLD_MS)
}

/// The value of the session's cookie.
fn cookie(request: &Request<Incoming>) -> Option<String> {
    let headers = request.headers().get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = headers.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value.to_owned())
}
