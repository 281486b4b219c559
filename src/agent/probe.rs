//! Asks a node something over HTTP on the driver's behalf: readiness, internals, reachability. A node that
//! does not speak HTTP is asked for a connection only.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::protocol::Message;

/// What a URL begins with that asks for a connection only; a connection counts as status 200.
pub const CONNECT: &str = "tcp://";

/// Asks once, without keeping the connection.
pub async fn probe(id: u64, url: &str, timeout_ms: u64) -> Message {
    if let Some(address) = url.strip_prefix(CONNECT) {
        let connected = timeout(Duration::from_millis(timeout_ms), TcpStream::connect(address)).await;
        return match connected.unwrap_or_else(|elapsed| Err(elapsed.into())) {
            Ok(_) => Message::Probed { id, status: Some(200), text: String::new() },
            Err(error) => Message::Probed { id, status: None, text: error.to_string() },
        };
    }
    match ask(url, Duration::from_millis(timeout_ms)).await {
        Ok((status, text)) => Message::Probed { id, status: Some(status), text },
        Err(error) => Message::Probed { id, status: None, text: chain(&error) },
    }
}

async fn ask(url: &str, timeout: Duration) -> Result<(u16, String), reqwest::Error> {
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().timeout(timeout).build()?;
    let reply = client.get(url).send().await?;
    let status = reply.status().as_u16();
    Ok((status, reply.text().await?))
}

/// The error with its causes: reqwest's own message alone does not say "connection refused".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
