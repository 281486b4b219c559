//! actix-web with actix-session: in Redis, or in an encrypted cookie, both set up as its documentation does.

use crate::contract::{self, COOKIE, KEY, Refusal, Reply, Request};
use crate::held::Held;
use crate::{Chosen, Failure, Store};
use actix_session::config::PersistentSession;
use actix_session::storage::{CookieSessionStore, RedisSessionStore, SessionStore};
use actix_session::{Session, SessionMiddleware};
use actix_web::body::MessageBody;
use actix_web::cookie::{Key, time::Duration};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, ResponseError, web};

/// Serves on port 8080 until the process ends.
#[actix_web::main]
pub async fn serve(chosen: &Chosen) -> Result<(), Failure> {
    if chosen.store == Store::Cookie {
        return listen(CookieSessionStore::default, chosen).await;
    }
    let store = RedisSessionStore::new(format!("redis://{}:6379", chosen.address)).await?;
    listen(move || store.clone(), chosen).await
}

async fn listen<S: SessionStore + 'static>(
    store: impl Fn() -> S + Clone + Send + 'static,
    chosen: &Chosen,
) -> Result<(), Failure> {
    let max_age = Duration::seconds(chosen.max_age_s);
    let app = move || {
        let sessions = SessionMiddleware::builder(store(), Key::from(crate::KEY))
            .cookie_name(COOKIE.to_owned())
            .cookie_secure(false)
            .session_lifecycle(PersistentSession::default().session_ttl(max_age))
            .build();
        App::new().wrap(sessions).wrap(from_fn(sign)).default_service(web::to(answer))
    };
    HttpServer::new(app).bind("0.0.0.0:8080")?.run().await?;
    Ok(())
}

async fn answer(session: Session, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let (method, path, query) = (request.method().as_str(), request.path(), request.query_string());
    contract::answer(&session, Request { method, path, query, body: &body }).await.into()
}

/// A session that cannot be loaded or saved is answered by the middleware of sessions, without a word of who answers.
async fn sign(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    next.call(request).await.map_err(|problem| {
        let text = problem.to_string();
        // Of the sessions that are kept in the cookie.
        let is_too_large = text.contains("greater than 4000 bytes");
        if is_too_large { Refusal::new(413, text) } else { Refusal::unavailable(text) }.into()
    })
}

impl From<Reply> for HttpResponse {
    fn from(reply: Reply) -> Self {
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        match reply.body {
            Some(body) => response.insert_header((header::CONTENT_TYPE, "application/json")).body(body),
            None => response.finish(),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{self:?}")
    }
}

impl ResponseError for Refusal {
    fn error_response(&self) -> HttpResponse {
        self.clone().reply().into()
    }
}

impl contract::Session for Session {
    async fn load(&self) -> Result<Option<Held>, Refusal> {
        self.get(KEY).map_err(Refusal::unavailable)
    }

    async fn begin(&self) -> Result<(), Refusal> {
        self.clear();
        Session::renew(self);
        Ok(())
    }

    async fn renew(&self) -> Result<(), Refusal> {
        Session::renew(self);
        Ok(())
    }

    async fn keep(&self, held: &Held) -> Result<(), Refusal> {
        self.insert(KEY, held).map_err(Refusal::unavailable)
    }

    async fn end(&self) -> Result<(), Refusal> {
        self.purge();
        Ok(())
    }
}
