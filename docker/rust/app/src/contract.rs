//! Answers every call of the contract over the session of a request. It does not know which framework keeps it, nor where, and
//! locks nothing itself.

use crate::held::Held;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::Duration;

/// The name of the cookie.
pub const COOKIE: &str = "session";
/// Where a session holds it all.
pub const KEY: &str = "held";
const MAX_BYTES: usize = 4_194_304;
const MAX_HOLD_MS: u64 = 60_000;

static NODE: LazyLock<String> = LazyLock::new(|| std::env::var("NODE").unwrap_or_default());
static BOOT: LazyLock<String> = LazyLock::new(crate::held::draw);

/// The session of a request, as a framework keeps it. What is kept is saved when the request is over.
pub trait Session {
    /// What the session holds that the request names; none where there is no such session.
    async fn load(&self) -> Result<Option<Held>, Refusal>;
    /// A session under a new id; the one that the request names is ended.
    async fn begin(&self) -> Result<(), Refusal>;
    /// The session that was loaded gets another id, and its old one is forgotten.
    async fn renew(&self) -> Result<(), Refusal>;
    /// The session holds this now.
    async fn keep(&self, held: &Held) -> Result<(), Refusal>;
    /// Ends the session that was loaded.
    async fn end(&self) -> Result<(), Refusal>;
}

/// A reply: its status, and its body where it has one.
pub struct Reply {
    pub status: u16,
    pub body: Option<String>,
}

/// What is answered instead of a state.
#[derive(Clone, Debug)]
pub struct Refusal {
    status: u16,
    text: String,
}

impl Refusal {
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    /// The store could not be asked, or did not do it.
    pub fn unavailable(problem: impl std::fmt::Display) -> Self {
        Self::new(503, format!("the session cannot be loaded or saved: {problem}"))
    }

    pub fn reply(self) -> Reply {
        signed(self.status, json!({"error": self.text}))
    }
}

/// A request, as both frameworks give it.
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub body: &'a [u8],
}

/// Answers a request.
pub async fn answer(session: &impl Session, request: Request<'_>) -> Reply {
    let answered = match (request.method, request.path) {
        ("POST", "/session") => create(session, request.body).await,
        ("POST", "/session/log-in") => log_in(session, request.body).await,
        ("POST", "/session/ops") => append(session, request.body).await,
        ("GET", "/session") => read(session, request.query).await,
        ("POST", "/session/log-out") => log_out(session).await,
        ("GET", "/health") => Ok(signed(200, json!({"members": [NODE.as_str()]}))),
        ("GET", "/internals") => Ok(internals()),
        _ => Err(Refusal::new(404, "no such call")),
    };
    answered.unwrap_or_else(Refusal::reply)
}

async fn create(session: &impl Session, body: &[u8]) -> Result<Reply, Refusal> {
    #[derive(Deserialize)]
    struct Create {
        owner: String,
        bytes: usize,
    }
    let Some(Create { owner, bytes }) = object::<Create>(body).filter(|create| create.bytes <= MAX_BYTES) else {
        return Err(Refusal::new(400, r#"POST /session takes {"owner": text, "bytes": 0 to 4194304}"#));
    };
    session.begin().await?;
    keep(session, &Held::new(owner, bytes)).await
}

async fn log_in(session: &impl Session, body: &[u8]) -> Result<Reply, Refusal> {
    #[derive(Deserialize)]
    struct LogIn {
        owner: String,
    }
    let Some(LogIn { owner }) = object::<LogIn>(body).filter(|log_in| !log_in.owner.is_empty()) else {
        return Err(Refusal::new(400, r#"POST /session/log-in takes {"owner": text}"#));
    };
    let mut held = load(session).await?;
    session.renew().await?;
    held.owner = owner;
    keep(session, &held).await
}

async fn append(session: &impl Session, body: &[u8]) -> Result<Reply, Refusal> {
    #[derive(Deserialize)]
    struct Append {
        op: String,
        #[serde(default)]
        bytes: usize,
        #[serde(default)]
        hold_ms: u64,
    }
    let is_within = |append: &Append| {
        (1..=64).contains(&append.op.len()) && append.bytes <= MAX_BYTES && append.hold_ms <= MAX_HOLD_MS
    };
    let Some(append) = object::<Append>(body).filter(is_within) else {
        let takes = r#"POST /session/ops takes {"op": 1 to 64 characters, "bytes": 0 to 4194304, or none, "hold_ms": 0 to 60000, or none}"#;
        return Err(Refusal::new(400, takes));
    };
    let mut held = load(session).await?;
    hold(append.hold_ms).await;
    held.append(&append.op, append.bytes);
    keep(session, &held).await
}

/// A session that did not change is not saved, as in the documentation of both frameworks.
async fn read(session: &impl Session, query: &str) -> Result<Reply, Refusal> {
    let hold_ms = match query.split('&').find_map(|pair| pair.strip_prefix("hold_ms=")) {
        None => 0,
        Some(text) => text
            .parse()
            .ok()
            .filter(|ms| *ms <= MAX_HOLD_MS)
            .ok_or_else(|| Refusal::new(400, "GET /session takes `hold_ms`, 0 to 60000, or nothing"))?,
    };
    let held = load(session).await?;
    hold(hold_ms).await;
    Ok(signed(200, held.state()))
}

async fn log_out(session: &impl Session) -> Result<Reply, Refusal> {
    load(session).await?;
    session.end().await?;
    Ok(Reply { status: 204, body: None })
}

fn internals() -> Reply {
    // SAFETY: it reads the allocator's own counters.
    let heap_bytes = unsafe { libc::mallinfo2() }.uordblks;
    signed(200, json!({"heap_bytes": heap_bytes, "sessions": {"primary": 0, "backup": 0, "proxy": 0}}))
}

async fn load(session: &impl Session) -> Result<Held, Refusal> {
    session.load().await?.ok_or_else(|| Refusal::new(404, "unknown-session"))
}

/// Keeps what the session holds, and shows it.
async fn keep(session: &impl Session, held: &Held) -> Result<Reply, Refusal> {
    session.keep(held).await?;
    Ok(signed(200, held.state()))
}

/// Between loading a session and saving it: what an application does there may take as long.
async fn hold(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

fn signed(status: u16, mut body: Value) -> Reply {
    body["node"] = NODE.as_str().into();
    body["boot"] = BOOT.as_str().into();
    Reply { status, body: Some(body.to_string()) }
}
