//! The load generator: clients that ask as soon as they were answered, each over a connection of its own.

use crate::address::Address;
use crate::measure::Samples;
use anyhow::{Context, Result};
use sigwarden::proto::signer_client::SignerClient;
use sigwarden::proto::{SignBatchRequest, SignRequest, sign_result};
use sigwarden_core::Scheme;
use sigwarden_tests::{example, payload};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tonic::transport::Channel;

/// What clients ask for; each time with another nonce.
#[derive(Clone)]
pub struct Ask {
    key: &'static str,
    format: &'static str,
    payload: fn(u64) -> Vec<u8>,
    nonce: Arc<AtomicU64>,
}

impl Ask {
    /// What a key of this scheme signs in a benchmark: a transfer, or a message of 200 bytes.
    #[must_use]
    pub fn of(scheme: Scheme) -> Self {
        let (format, payload) = crate::in_process::payload(scheme);
        let key = match scheme {
            Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr => payload::ACCOUNT,
            Scheme::Ed25519 | Scheme::MlDsa44 | Scheme::MlKem768 => example::MESSAGES,
        };
        Self {
            key,
            format,
            payload,
            nonce: Arc::default(),
        }
    }

    /// The same of another key.
    #[must_use]
    pub fn with_key(self, key: &'static str) -> Self {
        Self { key, ..self }
    }

    /// The next request.
    #[must_use]
    pub fn request(&self) -> SignRequest {
        SignRequest {
            key: self.key.to_owned(),
            format: self.format.to_owned(),
            payload: (self.payload)(self.nonce.fetch_add(1, Ordering::Relaxed)),
            ..Default::default()
        }
    }
}

/// How many signatures one call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Each {
    /// One, by `Sign`.
    One,
    /// So many, by `SignBatch`.
    Batch(usize),
}

/// Signatures a second, and what a call takes, with one call of each client in flight.
///
/// # Errors
/// A client cannot connect, or is refused.
pub fn load(at: &Address, clients: usize, window: Duration, ask: &Ask, each: Each) -> Result<(f64, Samples)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connected = Vec::new();
        for _ in 0..clients {
            connected.push(SignerClient::new(at.connect().await?));
        }
        let begun = Instant::now();
        let mut tasks = Vec::new();
        for mut client in connected {
            let ask = ask.clone();
            tasks.push(tokio::spawn(async move {
                let mut samples = Samples::default();
                let mut count = 0u32;
                while begun.elapsed() < window {
                    let asked = Instant::now();
                    count += call(&mut client, &ask, each).await?;
                    samples.push(asked.elapsed());
                }
                Ok::<_, anyhow::Error>((count, samples))
            }));
        }
        let (mut total, mut samples) = (0u32, Samples::default());
        for task in tasks {
            let (count, times) = task.await??;
            total += count;
            samples.extend(times);
        }
        Ok((f64::from(total) / begun.elapsed().as_secs_f64(), samples))
    })
}

/// How many signatures came of it.
async fn call(client: &mut SignerClient<Channel>, ask: &Ask, each: Each) -> Result<u32> {
    const REFUSED: &str = "a benchmark's request was refused";
    let Each::Batch(size) = each else {
        client.sign(ask.request()).await.context(REFUSED)?;
        return Ok(1);
    };
    let requests = (0..size).map(|_| ask.request()).collect();
    let results = client.sign_batch(SignBatchRequest { requests }).await?.into_inner().results;
    for result in &results {
        if let Some(sign_result::Result::Refused(refusal)) = &result.result {
            anyhow::bail!("{REFUSED}: {}: {}", refusal.code, refusal.message);
        }
    }
    anyhow::ensure!(
        results.len() == size,
        "{} of {size} requests of a batch were answered",
        results.len()
    );
    Ok(u32::try_from(size)?)
}
