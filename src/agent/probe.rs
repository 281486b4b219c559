//! Sends a node one HTTP request for the driver: readiness, internals, reachability.

use std::time::Duration;

use reqwest::redirect::Policy;

use super::protocol::Message;

/// Sends one GET request and does not keep the connection.
pub async fn probe(id: u64, url: &str, timeout_ms: u64) -> Message {
    match ask(url, Duration::from_millis(timeout_ms)).await {
        Ok((status, text)) => Message::Probed { id, status: Some(status), text },
        Err(error) => Message::Probed { id, status: None, text: chain(&error) },
    }
}

/// An HTTP client for nodes. It accepts any certificate, because the nodes and their certificates are our own.
pub fn client(timeout: Duration) -> reqwest::ClientBuilder {
    crate::traffic::library().tls_danger_accept_invalid_certs(true).pool_max_idle_per_host(0).timeout(timeout)
}

async fn ask(url: &str, timeout: Duration) -> Result<(u16, String), reqwest::Error> {
    // A redirect is an answer, and may lead anywhere.
    let reply = client(timeout).redirect(Policy::none()).build()?.get(url).send().await?;
    let status = reply.status().as_u16();
    Ok((status, reply.text().await?))
}

/// The error with its causes: reqwest's own message alone does not say "connection refused".
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
