//! A second face of an app node, as shops have it: a log-in form with a token against forgery, a session id that changes with the
//! log-in, redirects for visitors whose session is unknown, and a cart that lists its items. It speaks no session contract: it is
//! what session mappings are tested on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use hyper::{Method, Request, StatusCode};
use serde::{Deserialize, Serialize};

use super::contract::Contract;
use super::outcome::Refused;
use super::session::{Session, SessionId, Update, epoch_text};
use super::strategy::Sessions;
use crate::reference::http::{self, Handler, Reply};
use crate::reference::identity::Identity;

/// The cookie of the session.
const COOKIE_NAME: &str = "shop";
/// The cookie of a visitor who has not logged in: the token that the form must repeat.
const VISITOR: &str = "visitor";
const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");
const TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// Serves the shop, and what every app node serves besides sessions.
pub struct Shop {
    identity: Identity,
    sessions: Rc<Sessions>,
    contract: Contract,
}

#[derive(Deserialize)]
struct Item {
    sku: String,
}

#[derive(Serialize)]
struct Cart<'a> {
    user: &'a str,
    csrf: String,
    count: u64,
    items: Vec<&'a str>,
}

impl Shop {
    /// A shop over `sessions`; `contract` answers for health and memory.
    pub const fn new(identity: Identity, sessions: Rc<Sessions>, contract: Contract) -> Self {
        Self { identity, sessions, contract }
    }

    async fn route(&self, request: Request<Incoming>) -> Reply {
        let cookies = cookies(request.headers());
        let token = request.headers().get(&TOKEN).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let session = cookies.get(COOKIE_NAME).map(String::as_str);
        match (method, path.as_str()) {
            (Method::GET, "/login") => form(),
            (Method::POST, "/login") => match http::body_of(request).await {
                Ok(body) => self.log_in(&cookies, &body).await,
                Err(status) => http::empty(status),
            },
            (Method::GET, "/cart") => self.cart(session).await,
            (Method::POST, "/cart/items") => match http::body_of(request).await {
                Ok(body) => self.put(session, token.as_deref(), &body).await,
                Err(status) => http::empty(status),
            },
            (Method::POST, "/logout") => self.log_out(session).await,
            _ => text(StatusCode::NOT_FOUND, "no such page"),
        }
    }

    async fn log_in(&self, cookies: &BTreeMap<String, String>, body: &[u8]) -> Reply {
        let fields: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        if field("_csrf").is_empty() || cookies.get(VISITOR).map(String::as_str) != Some(field("_csrf")) {
            return text(StatusCode::FORBIDDEN, "wrong token");
        }
        if field("user").is_empty() || field("password").is_empty() {
            return text(StatusCode::OK, "<p>wrong name or password</p>");
        }
        // Nobody keeps the id that they had before.
        match self.sessions.create(cookies.get(COOKIE_NAME).map(String::as_str), field("user").to_owned(), 0).await {
            Ok(found) => {
                let value = found.cookie.unwrap_or_default();
                redirect("/cart", &[format!("{COOKIE_NAME}={value}; Path=/; HttpOnly"), forget(VISITOR)])
            }
            Err(refused) => unavailable(&refused),
        }
    }

    async fn cart(&self, cookie: Option<&str>) -> Reply {
        match self.session(cookie).await {
            Ok(session) => {
                let items = session.state.tail.iter().map(String::as_str).collect();
                let csrf = token_of(&session);
                let cart = Cart { user: &session.owner, csrf, count: session.state.version, items };
                http::json(StatusCode::OK, serde_json::to_vec(&cart).unwrap_or_default())
            }
            Err(refused) => unknown(&refused),
        }
    }

    async fn put(&self, cookie: Option<&str>, token: Option<&str>, body: &[u8]) -> Reply {
        let Ok(Item { sku }) = serde_json::from_slice(body) else {
            return text(StatusCode::BAD_REQUEST, "an item has a sku");
        };
        let session = match self.session(cookie).await {
            Ok(session) => session,
            Err(refused) => return unknown(&refused),
        };
        if token != Some(token_of(&session).as_str()) {
            return text(StatusCode::FORBIDDEN, "wrong token");
        }
        match self.sessions.append(cookie.unwrap_or_default(), &Update { op: sku, bytes: 0, hold_ms: 0 }).await {
            Ok(found) => {
                let mut reply = http::empty(StatusCode::CREATED);
                if let Some(value) = found.cookie {
                    set_cookie(&mut reply, &format!("{COOKIE_NAME}={value}; Path=/; HttpOnly"));
                }
                reply
            }
            Err(refused) => unknown(&refused),
        }
    }

    async fn log_out(&self, cookie: Option<&str>) -> Reply {
        if let Some(cookie) = cookie {
            match self.sessions.end(cookie).await {
                Ok(()) | Err(Refused::Unknown) => {}
                Err(refused) => return unavailable(&refused),
            }
        }
        redirect("/login", &[forget(COOKIE_NAME)])
    }

    async fn session(&self, cookie: Option<&str>) -> Result<Session, Refused> {
        self.sessions.read(cookie.ok_or(Refused::Unknown)?).await
    }
}

impl Handler for Shop {
    async fn answer(&self, request: Request<Incoming>, client: IpAddr) -> Reply {
        if matches!(request.uri().path(), "/health" | "/internals") {
            return self.contract.answer(request, client).await;
        }
        self.sessions.confirm().await;
        let mut reply = self.route(request).await;
        if let Ok(node) = HeaderValue::from_str(&self.identity.node) {
            reply.headers_mut().insert(SERVED_BY, node);
        }
        reply
    }
}

fn form() -> Reply {
    let token = SessionId::fresh().to_string();
    let page = format!(
        "<!doctype html><form method=\"post\"><input name=\"user\"><input name=\"password\" type=\"password\">\
         <input type=\"hidden\" name=\"_csrf\" value=\"{token}\"></form>"
    );
    let mut reply = text(StatusCode::OK, &page);
    set_cookie(&mut reply, &format!("{VISITOR}={token}; Path=/; HttpOnly"));
    reply
}

/// Of one session, for its whole life.
fn token_of(session: &Session) -> String {
    epoch_text(session.epoch.rotate_left(17))
}

fn forget(name: &str) -> String {
    format!("{name}=; Path=/; Max-Age=0")
}

/// As a browser is sent to the log-in.
fn unknown(refused: &Refused) -> Reply {
    match refused {
        Refused::Unknown => redirect("/login?next=/cart", &[]),
        _ => unavailable(refused),
    }
}

fn unavailable(refused: &Refused) -> Reply {
    match refused {
        Refused::Unknown => redirect("/login", &[]),
        Refused::Unavailable(reason) => text(StatusCode::SERVICE_UNAVAILABLE, reason),
        Refused::TooLarge(reason) => text(StatusCode::PAYLOAD_TOO_LARGE, reason),
        Refused::OffContract(reason) => text(StatusCode::IM_A_TEAPOT, reason),
    }
}

fn redirect(to: &'static str, cookies: &[String]) -> Reply {
    let mut reply = http::empty(StatusCode::SEE_OTHER);
    reply.headers_mut().insert(LOCATION, HeaderValue::from_static(to));
    for cookie in cookies {
        set_cookie(&mut reply, cookie);
    }
    reply
}

fn set_cookie(reply: &mut Reply, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        reply.headers_mut().append(SET_COOKIE, value);
    }
}

fn text(status: StatusCode, body: &str) -> Reply {
    let mut reply = Reply::new(Full::new(Bytes::from(body.to_owned())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    reply
}

fn cookies(headers: &HeaderMap) -> BTreeMap<String, String> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
