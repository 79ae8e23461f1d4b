//! `GET /metrics`, `/livez` and `/readyz` on a loopback address: HTTP/1.1, small pages, bounded connections. Nothing here decides anything.

use super::MetricsParts;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sigwarden_telemetry::Metrics;
use sigwarden_telemetry::http::respond;
use sigwarden_telemetry::metrics::Listener;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Scrapes at once: one Prometheus, its twin, a probe, a person with `sigwarden top`, and room for connections that say nothing.
pub(super) const CONNECTIONS: usize = 64;

/// How long a request's headers may take: it comes from this machine.
const HEADERS: Duration = Duration::from_secs(2);

/// A scrape that takes longer is hung up on.
const SCRAPE: Duration = Duration::from_secs(10);

/// Starts it.
pub(super) async fn start(parts: Option<&MetricsParts>, metrics: Arc<Metrics>) -> std::io::Result<Option<JoinHandle<()>>> {
    let Some(parts) = parts else { return Ok(None) };
    let listener = TcpListener::bind(parts.listen).await?;
    tracing::info!(listen = %listener.local_addr()?, "metrics");
    let pages = parts.pages.clone();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let serving = async move {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let connection = match listener.accept().await {
                Ok((connection, _)) => connection,
                Err(error) => {
                    tracing::warn!(%error, "a scrape could not be accepted");
                    // As with any listener: out of descriptors is no reason to spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let pages = pages.clone();
            let open = metrics.connected(Listener::Metrics);
            tokio::spawn(async move {
                let _held = (place, open);
                let service = service_fn(move |request: Request<Incoming>| {
                    let pages = pages.clone();
                    // A page takes milliseconds, and this thread is every client's.
                    tokio::task::spawn_blocking(move || answer(&request, &pages))
                });
                let mut http = hyper::server::conn::http1::Builder::new();
                http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(HEADERS);
                // A scraper that hangs up is no fault.
                let _ = tokio::time::timeout(SCRAPE, http.serve_connection(TokioIo::new(connection), service)).await;
            });
        }
    };
    Ok(Some(tokio::spawn(serving)))
}

fn answer(request: &Request<Incoming>, pages: &super::Pages) -> Response<Full<Bytes>> {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let answer = respond(request.method().as_str(), target, accept, &(pages.readiness)(), || {
        (pages.metrics)()
    });
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    response
}
