//! `remote-hop`: what a Sigwarden in front of the one with the key adds, over mutual TLS on loopback.

use crate::address::Address;
use crate::deployment::{certificates, secured};
use crate::load::Ask;
use crate::measure::Samples;
use crate::table::{Row, Target};
use anyhow::{Context, Result, bail};
use sigwarden::proto::signer_client::SignerClient;
use sigwarden_core::Scheme;
use sigwarden_tests::Node;
use sigwarden_tests::payload::ACCOUNT;
use std::time::{Duration, Instant};
use tonic::transport::Channel;

/// What the front calls the account key of the one behind.
const FAR: &str = "far.account";

/// The median through the front, less that of asking the one behind directly, request by request in turns; both clients come over mutual
/// TLS, and both daemons have three policies and a durable ledger.
///
/// # Errors
/// A daemon does not start, or refuses.
pub fn remote_hop(name: &'static str, rounds: usize) -> Result<Row> {
    let (mut behind, direct) = secured("")?;
    behind.start()?;
    let Address::Tls { port, .. } = &direct else {
        bail!("a listener is over TLS")
    };
    let (mut front, through) = secured(&remote(&behind, *port))?;
    front.start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (direct, through) = runtime.block_on(async {
        let (near, far) = (Ask::of(Scheme::Secp256k1Ecdsa), Ask::of(Scheme::Secp256k1Ecdsa).with_key(FAR));
        let mut direct = SignerClient::new(direct.connect().await?);
        let mut through = SignerClient::new(through.connect().await?);
        first(&mut through, &far).await.with_context(|| front.log())?;
        let (mut base, mut samples) = (Samples::default(), Samples::default());
        for round in 0..rounds + rounds / 10 {
            let (one, other) = (once(&mut direct, &near).await?, once(&mut through, &far).await?);
            if round >= rounds / 10 {
                base.push(one);
                samples.push(other);
            }
        }
        Ok::<_, anyhow::Error>((base, samples))
    })?;
    let added = (through.p50() - direct.p50()) / 1e3;
    let note = format!(
        "{:.3} ms through a front with three policies, less {:.3} ms of asking the one behind it; all over mutual TLS",
        through.p50() / 1e3,
        direct.p50() / 1e3
    );
    let times = (through.p50(), through.p99());
    Ok(Row::new(name, added, times, direct.p50(), Some(Target::AtMost(1.0)), note))
}

/// The front's backend and key.
fn remote(behind: &Node, port: u16) -> String {
    let certificates = certificates(behind);
    let path = |name: &str| certificates.join(name).display().to_string();
    format!(
        r#"
[[backend]]
name = "behind"
kind = "remote"

[[backend.remote]]
address = "127.0.0.1:{port}"
server_name = "localhost"
ca = "{}"
certificate = "{}"
key = "{}"

[[key]]
name = "{FAR}"
roles = ["account"]
scheme = "secp256k1-ecdsa"
backend = "behind"
label = "{ACCOUNT}"
"#,
        path("ca/ca.crt"),
        path("client.crt"),
        path("client.key")
    )
}

/// A front starts without waiting for its remote.
async fn first(client: &mut SignerClient<Channel>, ask: &Ask) -> Result<()> {
    let begun = Instant::now();
    loop {
        match client.sign(ask.request()).await {
            Ok(_) => return Ok(()),
            Err(error) if begun.elapsed() > Duration::from_secs(20) => return Err(error).context("the front does not sign"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn once(client: &mut SignerClient<Channel>, ask: &Ask) -> Result<Duration> {
    let begun = Instant::now();
    client.sign(ask.request()).await.context("a benchmark's request was refused")?;
    Ok(begun.elapsed())
}
