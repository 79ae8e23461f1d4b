//! `idle-1000`: what a daemon that started with a warm code cache has resident with a thousand connections open, half of them over
//! mutual TLS. Each has signed once.

use crate::address::Address;
use crate::daemon::idle_memory;
use crate::deployment::{resident_mib, secured};
use crate::load::Ask;
use crate::table::Row;
use anyhow::{Context, Result};
use sigwarden::proto::HealthRequest;
use sigwarden::proto::signer_client::SignerClient;
use sigwarden_core::Scheme;
use std::time::Duration;
use tonic::transport::Channel;

/// Room for them: a listener's bound is its own, and all of one kind are one client's here.
const LIMITS: &str = "[limits]\nconnections = 1000\nconnections_per_client = 1000\n";

/// Opens half of `connections` on the socket and half over TLS, and lets them be.
///
/// # Errors
/// The daemon does not start, refuses, or closes one of them.
pub fn idle(name: &'static str, connections: usize, most: f64) -> Result<Row> {
    let (mut node, listener) = secured(LIMITS)?;
    // The first start compiles the policies; every other one finds them in the code cache, and the compiler is not resident.
    node.start()?;
    node.stop()?;
    node.start()?;
    let socket = Address::Socket(node.socket());
    // One thread of its own: pings are answered while this one waits.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let ask = Ask::of(Scheme::Secp256k1Ecdsa);
    let alone = runtime.block_on(async {
        let mut client = signed_once(&socket, &ask).await?;
        for _ in 1..connections {
            client.sign(ask.request()).await?;
        }
        resident_mib(&node)
    })?;
    let mut open = Vec::with_capacity(connections);
    for number in 0..connections {
        let at = if number % 2 == 0 { &socket } else { &listener };
        let connected = runtime.block_on(signed_once(at, &ask));
        open.push(connected.with_context(|| format!("connection {} of {connections}", number + 1))?);
    }
    std::thread::sleep(Duration::from_secs(5));
    let what = format!("with {connections} idle connections, half over TLS; {alone:.1} MiB after as many requests on one");
    let row = idle_memory(&node, name, most, &what)?;
    // All of them are still there.
    for (number, client) in open.iter_mut().enumerate() {
        let health = runtime.block_on(client.health(HealthRequest {}));
        health.with_context(|| format!("connection {} was closed while it was idle", number + 1))?;
    }
    Ok(row)
}

async fn signed_once(at: &Address, ask: &Ask) -> Result<SignerClient<Channel>> {
    let mut client = SignerClient::new(at.connect().await?);
    client.sign(ask.request()).await?;
    Ok(client)
}
