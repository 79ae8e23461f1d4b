//! viem and ethers as clients, over a real HTTP server on loopback: `tests/peers/evm`.

use crate::signer::{DENIED, Signer};
use http::Response;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sigwarden_eth_rpc::BODY_BYTES_MAX;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::process::Command;

/// Longer than a cold start of node on a loaded machine; the checks take a few seconds.
const PATIENCE: Duration = Duration::from_secs(180);

/// As the daemon serves: the body bounded while it is read, then one call.
async fn serve(listener: TcpListener) {
    let signer = Arc::new(Signer::new());
    while let Ok((stream, _)) = listener.accept().await {
        let signer = Arc::clone(&signer);
        let service = service_fn(move |request: http::Request<Incoming>| {
            let signer = Arc::clone(&signer);
            async move {
                let (parts, body) = request.into_parts();
                let response = match Limited::new(body, BODY_BYTES_MAX).collect().await {
                    Ok(body) => signer.answer(&http::Request::from_parts(parts, body.to_bytes())).await,
                    Err(_) => Response::builder().status(413).body(Vec::new()).unwrap(),
                };
                Ok::<_, Infallible>(response.map(|body| Full::new(Bytes::from(body))))
            }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viem_and_ethers_verify_what_is_signed() {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/evm");
    assert!(
        peers.join("node_modules/viem").exists() && peers.join("node_modules/ethers").exists(),
        "the clients are not installed; `npm --prefix tests/peers/evm ci --ignore-scripts` does that (node 18 or later)"
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(serve(listener));
    let node = Command::new("node")
        .arg(peers.join("main.js"))
        .args([&url, "--denied", &format!("0x{}", hex::encode(DENIED))])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, node).await.expect("node ends");
    server.abort();
    let output = output.expect("node starts: install node 18 or later");
    let lines = String::from_utf8_lossy(&output.stdout);
    let others = lines.lines().filter(|line| !line.contains(r#""ok":true"#));
    // The first ones say enough.
    let others: Vec<String> = others.take(10).map(|line| line.chars().take(500).collect()).collect();
    assert!(
        output.status.success() && !lines.contains("skipped"),
        "{}\n{}",
        others.join("\n"),
        String::from_utf8_lossy(&output.stderr)
    );
    let summary: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    // Three accounts with each client: ten transactions, ten messages and typed data, and more.
    assert!(summary["passed"].as_u64().unwrap() > 120, "{summary}");
}
