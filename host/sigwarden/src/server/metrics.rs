//! `GET /metrics` for Prometheus, on a loopback address: HTTP/1.1, one small page, bounded connections. Nothing here decides anything.

use super::MetricsParts;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Scrapes at once: one Prometheus, its twin, and a person.
const CONNECTIONS: usize = 8;

/// A scrape that takes longer is hung up on.
const SCRAPE: Duration = Duration::from_secs(10);

/// Starts it.
pub(super) async fn start(parts: Option<&MetricsParts>) -> std::io::Result<Option<JoinHandle<()>>> {
    let Some(parts) = parts else { return Ok(None) };
    let listener = TcpListener::bind(parts.listen).await?;
    tracing::info!(listen = %listener.local_addr()?, "metrics");
    let write = Arc::clone(&parts.write);
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
            let write = Arc::clone(&write);
            tokio::spawn(async move {
                let _place = place;
                let service = service_fn(move |request| {
                    let answer = answer(&request, &write);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let mut http = hyper::server::conn::http1::Builder::new();
                http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(SCRAPE);
                // A scraper that hangs up is no fault.
                let _ = tokio::time::timeout(SCRAPE, http.serve_connection(TokioIo::new(connection), service)).await;
            });
        }
    };
    Ok(Some(tokio::spawn(serving)))
}

fn answer(request: &Request<Incoming>, write: &Arc<dyn Fn() -> String + Send + Sync>) -> Response<Full<Bytes>> {
    let page = |status: StatusCode, kind: &'static str, text: String| {
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
        response
    };
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => page(
            StatusCode::OK,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            write(),
        ),
        _ => page(StatusCode::NOT_FOUND, "text/plain", "GET /metrics is here\n".to_owned()),
    }
}
