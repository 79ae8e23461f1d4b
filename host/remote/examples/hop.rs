//! What a remote hop costs: `cargo run --release -p sigwarden-remote --example hop`.
//!
//! One caller, one key, decisions in memory at both ends. The remote's side copies each byte once more than a daemon would.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement")]
#![allow(dead_code, reason = "shares its modules with the tests")]

#[path = "../tests/remote/signer.rs"]
mod signer;
#[path = "../tests/remote/world.rs"]
mod world;

use sigwarden_remote::{Remote, Settings};
use sigwarden_tls::ca::{self, Kind, Request};
use sigwarden_tls::{Alpn, ClientFiles, ClientTls, KeyExchange, ServerFiles, ServerTls};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use world::{Deployment, Front, digest_call};

const REQUESTS: usize = 2_000;

/// The median and the 99th of a hundred.
fn measure(deployment: &Deployment) -> (Duration, Duration) {
    let mut took: Vec<_> = (0..REQUESTS)
        .map(|at| {
            let begun = Instant::now();
            deployment.sign(digest_call((at % 256) as u8, "")).unwrap();
            begun.elapsed()
        })
        .collect();
    took.sort();
    (took[REQUESTS / 2], took[REQUESTS * 99 / 100])
}

fn front(remote: Remote) -> Front {
    Front::looked(Settings::new("hop", sigwarden_core::Network::Devnet, vec![remote]))
}

fn over_tls(daemon: &signer::Daemon, folder: &Path) -> Remote {
    let authority = folder.join("ca");
    ca::new(&authority, "measurement", 2).unwrap();
    for (kind, name) in [(Kind::Server, "server"), (Kind::Client, "client")] {
        let request = Request {
            kind,
            names: vec![format!("{name}.example").parse().unwrap()],
            days: 1,
            out: folder.join(name),
        };
        ca::issue(&authority, &request).unwrap();
    }
    let (ca, path) = (authority.join(ca::CERTIFICATE), |name: &str| folder.join(name));
    let server = ServerFiles {
        certificate: path("server.crt"),
        key: path("server.key"),
        client_ca: ca.clone(),
    };
    let client = ClientFiles {
        ca,
        certificate: path("client.crt"),
        key: path("client.key"),
        server_name: "server.example".into(),
    };
    let server = ServerTls::load(server, KeyExchange::Preferred, &[Alpn::Http2]).unwrap();
    let address = daemon.on_port(0, Arc::new(server)).to_string();
    let tls = Arc::new(ClientTls::load(client, KeyExchange::Preferred, &[Alpn::Http2]).unwrap());
    Remote::Tls { address, tls }
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let (local, _) = measure(&Deployment::with_mock_hsm());
    println!("key in this deployment: median {local:?}");
    let daemons = [signer::Daemon::new(), signer::Daemon::new()];
    let remotes = [
        ("Unix socket", daemons[0].on_socket(folder.path().join("s"))),
        ("mutual TLS", over_tls(&daemons[1], folder.path())),
    ];
    for (what, remote) in remotes {
        let front = front(remote);
        let (median, late) = measure(&front.deployment);
        println!(
            "key at a remote over {what}: median {median:?}, the hop adds {:?}; p99 {late:?}",
            median.saturating_sub(local)
        );
    }
}
