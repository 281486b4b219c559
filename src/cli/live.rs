//! Serves the figures of a run in progress as `OpenMetrics` over HTTP on loopback, for dashboards.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Context;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use super::output;
use crate::run::TrialEvent;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    target: String,
    trial: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcomes {
    target: String,
    trial: u64,
    outcome: Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "labels are written as they are named here")]
enum Ended {
    ok,
    fail,
    indeterminate,
    unknown_session,
    leaked,
}

/// The live figures and the registry that serves them.
#[derive(Clone)]
pub struct Live {
    operations: Family<Outcomes, Counter>,
    p99: Family<Of, Gauge<f64, AtomicU64>>,
    at: Family<Of, Gauge<f64, AtomicU64>>,
    registry: Arc<Registry>,
}

impl Live {
    fn new() -> Self {
        let (operations, p99, at) = (Family::default(), Family::default(), Family::default());
        let mut registry = Registry::with_prefix("steadfast_live");
        registry.register("operations", "Operations that ended, by how", operations.clone());
        registry.register("response_p99_seconds", "99th percentile of the last second", p99.clone());
        registry.register("load_seconds", "Since the start of the load", at.clone());
        Self { operations, p99, at, registry: Arc::new(registry) }
    }

    /// Adds one second of traffic; ignores other events.
    pub fn take(&self, trial: usize, target: &str, what: &TrialEvent) {
        let TrialEvent::Traffic { summary, .. } = what else { return };
        let (target, trial) = (target.to_owned(), trial as u64);
        for (outcome, count) in [
            (Ended::ok, summary.ok),
            (Ended::fail, summary.fail),
            (Ended::indeterminate, summary.indeterminate),
            (Ended::unknown_session, summary.unknown),
            (Ended::leaked, summary.foreign),
        ] {
            self.operations.get_or_create(&Outcomes { target: target.clone(), trial, outcome }).inc_by(count);
        }
        let of = Of { target, trial };
        self.p99.get_or_create(&of).set(summary.p99_us as f64 / 1e6);
        self.at.get_or_create(&of).set(summary.at_ns as f64 / 1e9);
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let mut text = String::new();
        let status = match request.uri().path() {
            "/metrics" if encode(&mut text, &self.registry).is_ok() => 200,
            "/metrics" => 500,
            _ => 404,
        };
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
        let kind =
            hyper::header::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
        response
    }
}

/// Serves live figures until the program ends, if an address is given.
pub async fn serve(address: Option<SocketAddr>) -> anyhow::Result<Option<Live>> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("serving live figures on {address}; is the port taken?"))?;
    output::note(&format!("live figures: http://{}/metrics", listener.local_addr()?));
    let live = Live::new();
    let served = live.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let live = served.clone();
            let service = service_fn(move |request| {
                let response = live.answer(&request);
                async move { Ok::<_, Infallible>(response) }
            });
            // A broken connection must not affect the run.
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(Some(live))
}
