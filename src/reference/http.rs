//! Serves HTTP/1.1 with limits: every input gets an answer or its connection is closed, and the node stays up. hyper
//! reads and writes; this module sets the limits.

use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::counters::{Counted, Counter};
use super::listener::serve_each;

/// How long a client may take to send the head of its next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit of a request body; bodies of the contract are far shorter.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Limit of a request head; sessions in cookies need room.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Sent to a client that took too long with the head.
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A reply with its whole body.
pub type Reply = Response<Full<Bytes>>;

/// Answers requests.
pub trait Handler {
    /// Answers one request of a client at `client`.
    fn answer(&self, request: Request<Incoming>, client: IpAddr) -> impl Future<Output = Reply>;
}

/// Serves every connection for as long as the future is polled.
pub async fn serve<H: Handler + 'static>(listener: TcpListener, counter: &'static Counter, handler: Rc<H>) {
    serve_each(listener, |stream, client| serve_connection(stream, client, counter, Rc::clone(&handler))).await;
}

/// Answers the requests of one connection until it ends.
pub async fn serve_connection<H: Handler + 'static>(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    client: IpAddr,
    counter: &'static Counter,
    handler: Rc<H>,
) {
    let service = service_fn(move |request| {
        let handler = Rc::clone(&handler);
        Box::pin(async move { Ok::<_, Infallible>(handler.answer(request, client).await) })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        // A client may close its sending side and still wait for the reply.
        .half_close(true)
        .serve_connection(TokioIo::new(Counted::new(stream, counter)), service);
    let ended = std::future::poll_fn(|context| connection.poll_without_shutdown(context)).await;
    // hyper answers a malformed request, but not a client that is too slow.
    let mut stream = connection.into_parts().io.into_inner();
    if ended.is_err_and(|error| error.is_timeout()) {
        let _ = stream.write_all(TOO_SLOW).await;
    }
    let _ = stream.shutdown().await;
}

/// Reads the whole body of a request.
///
/// # Errors
/// The status to answer with if the body is too long, too slow or broken.
pub async fn body_of(request: Request<Incoming>) -> Result<Bytes, StatusCode> {
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
    match timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// A reply with JSON.
pub fn json(status: StatusCode, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// A reply without a body.
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    reply
}
