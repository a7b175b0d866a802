//! A door for whoever watches a role that has no API of its own: `/metrics`, `/healthz`, `/readyz`, without a token. Given a
//! listener and what to answer with by the composition root.
//!
//! What holds by absence: nothing is read but a request's head, and nothing can be changed here. Metrics name projects and pools, so
//! the address is for a network that only those who run the farm reach.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder as _, Registry, TextEncoder};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::accept::accept;

/// A few Prometheus servers and probes at once; who comes beyond them is closed.
const CONNECTIONS_MAX: usize = 32;
/// For a request's head: who is slower is no probe.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// A head is a few lines.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Whether a role should be asked for anything, and why, in JSON.
pub type Ready = Arc<dyn Fn() -> (bool, Value) + Send + Sync>;

/// What it answers with.
#[derive(Clone)]
pub struct Probe {
    /// What `/metrics` shows.
    pub registry: Registry,
    /// What `/readyz` says.
    pub ready: Ready,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}

/// Answers until `stop` is true or its sender is gone, and then closes every connection.
pub async fn serve(probe: Probe, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    accept(
        listener,
        CONNECTIONS_MAX,
        &mut connections,
        stop.wait_for(|stop| *stop),
        |_| tracing::debug!("a probe too many"),
        |socket| connection(probe.clone(), socket),
    )
    .await;
    connections.shutdown().await;
}

async fn connection(probe: Probe, socket: TcpStream) {
    let service = service_fn(move |request: Request<_>| {
        let response = answer(&probe, request.method(), request.uri().path());
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(HEAD_BYTES_MAX);
    let served = builder.serve_connection(TokioIo::new(socket), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a probe's connection broke");
    }
}

fn answer(probe: &Probe, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return said(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET\n".into());
    }
    match path {
        "/metrics" => match shown(&probe.registry) {
            Ok(text) => said(StatusCode::OK, METRICS_TYPE, text),
            Err(error) => {
                tracing::error!(%error, "the metrics cannot be shown");
                said(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "text/plain",
                    Bytes::new(),
                )
            }
        },
        "/healthz" => json(StatusCode::OK, &serde_json::json!({"status": "ok"})),
        "/readyz" => match (probe.ready)() {
            (true, why) => json(StatusCode::OK, &why),
            (false, why) => json(StatusCode::SERVICE_UNAVAILABLE, &why),
        },
        _ => said(
            StatusCode::NOT_FOUND,
            "text/plain",
            "there are /metrics, /healthz and /readyz\n".into(),
        ),
    }
}

/// Prometheus' text, version 0.0.4.
pub(crate) const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A registry's metrics as Prometheus reads them.
///
/// # Errors
/// When a room has registered something that cannot be shown.
pub(crate) fn shown(registry: &Registry) -> Result<Bytes, prometheus::Error> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text.into())
}

fn json(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    said(status, "application/json", value.to_string().into())
}

fn said(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn asked(probe: &Probe, method: Method, path: &str) -> (StatusCode, String) {
        let response = answer(probe, &method, path);
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_probe_shows_metrics_and_says_whether_its_role_is_ready() {
        let registry = Registry::new();
        let counter = prometheus::IntCounter::new("croft_tried_total", "x").unwrap();
        registry.register(Box::new(counter)).unwrap();
        let is_ready = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let known = Arc::clone(&is_ready);
        let probe = Probe {
            registry,
            ready: Arc::new(move || {
                let is_ready = known.load(std::sync::atomic::Ordering::Relaxed);
                (is_ready, serde_json::json!({"ready": is_ready}))
            }),
        };
        let (status, text) = asked(&probe, Method::GET, "/metrics").await;
        assert!(status == StatusCode::OK && text.contains("croft_tried_total 0"));
        assert_eq!(
            asked(&probe, Method::GET, "/healthz").await.0,
            StatusCode::OK
        );
        assert_eq!(
            asked(&probe, Method::GET, "/readyz").await.0,
            StatusCode::OK
        );
        is_ready.store(false, std::sync::atomic::Ordering::Relaxed);
        let (status, text) = asked(&probe, Method::GET, "/readyz").await;
        assert_eq!(
            (status, text.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "{\"ready\":false}")
        );
        assert_eq!(
            asked(&probe, Method::GET, "/v1/builds").await.0,
            StatusCode::NOT_FOUND
        );
        let refused = asked(&probe, Method::POST, "/metrics").await.0;
        assert_eq!(refused, StatusCode::METHOD_NOT_ALLOWED);
    }
}
