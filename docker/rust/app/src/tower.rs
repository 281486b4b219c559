//! axum with tower-sessions: in Redis by its store over fred, or in PostgreSQL by its store over sqlx, both set up as their
//! documentation does, but for one line.

use crate::contract::{self, COOKIE, KEY, Refusal, Reply, Request};
use crate::held::Held;
use crate::{Chosen, Failure, Reconnect, Store};
use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use tower_sessions::cookie::time;
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};
use tower_sessions_redis_store::{RedisStore, fred::prelude::*};
use tower_sessions_sqlx_store::PostgresStore;
use tower_sessions_sqlx_store::sqlx::PgPool;

/// Serves on port 8080 until the process ends.
#[tokio::main]
pub async fn serve(chosen: &Chosen) -> Result<(), Failure> {
    if chosen.store == Store::Postgres {
        let pool = PgPool::connect(&format!("postgres://sessions@{}/sessions", chosen.address)).await?;
        let store = PostgresStore::new(pool);
        store.migrate().await?;
        listen(store, chosen).await
    } else {
        let pool = redis(chosen)?;
        // Not `connect` and then `wait_for_connect`, as the store's documentation has it: one start of some hundred never ended,
        // with Redis there, as if the wait heard only of what is connected after it has begun.
        let _connected = pool.init().await?;
        listen(RedisStore::new(pool), chosen).await
    }
}

fn redis(chosen: &Chosen) -> Result<Pool, Failure> {
    let config = Config::from_url(&format!("redis://{}:6379", chosen.address))?;
    if chosen.reconnect == Reconnect::Default {
        return Ok(Pool::new(config, None, None, None, 6)?);
    }
    let limits = PerformanceConfig { default_command_timeout: Duration::from_secs(3), ..Default::default() };
    // For ever, after 0.1 to 2 s.
    let policy = ReconnectPolicy::new_exponential(0, 100, 2000, 2);
    Ok(Pool::new(config, Some(limits), None, Some(policy), 6)?)
}

async fn listen(store: impl SessionStore + Clone, chosen: &Chosen) -> Result<(), Failure> {
    let sessions = SessionManagerLayer::new(store)
        .with_name(COOKIE)
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(time::Duration::seconds(chosen.max_age_s)));
    let app = Router::new().fallback(answer).layer(sessions).layer(axum::middleware::map_response(sign));
    axum::serve(tokio::net::TcpListener::bind("0.0.0.0:8080").await?, app).await?;
    Ok(())
}

async fn answer(session: Session, method: Method, uri: Uri, body: Bytes) -> Response {
    let request =
        Request { method: method.as_str(), path: uri.path(), query: uri.query().unwrap_or_default(), body: &body };
    contract::answer(&session, request).await.into_response()
}

/// A session that cannot be saved is answered by the sessions' own layer, without a word of who answers.
async fn sign(response: Response) -> Response {
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
        return Refusal::unavailable("the layer of sessions answered 500").reply().into_response();
    }
    response
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match self.body {
            Some(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
            None => status.into_response(),
        }
    }
}

impl contract::Session for Session {
    async fn load(&self) -> Result<Option<Held>, Refusal> {
        self.get(KEY).await.map_err(Refusal::unavailable)
    }

    async fn begin(&self) -> Result<(), Refusal> {
        self.clear().await;
        self.renew().await
    }

    async fn renew(&self) -> Result<(), Refusal> {
        self.cycle_id().await.map_err(Refusal::unavailable)
    }

    async fn keep(&self, held: &Held) -> Result<(), Refusal> {
        self.insert(KEY, held).await.map_err(Refusal::unavailable)
    }

    async fn end(&self) -> Result<(), Refusal> {
        self.flush().await.map_err(Refusal::unavailable)
    }
}
