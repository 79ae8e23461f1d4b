//! `sigwarden serve`.

use super::output::{Failure, Output};
use crate::check::Severity;
use crate::deployment::Deployment;
use crate::server::{ServeError, serve};
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};

pub(super) fn run(dir: &Path, _output: &Output) -> Result<(), Failure> {
    let deployment = Deployment::open(dir)?;
    for finding in deployment.findings().iter().filter(|finding| finding.severity() == Severity::Warn) {
        tracing::warn!("{finding}");
    }
    for loaded in deployment.loaded() {
        tracing::info!(
            policy = %loaded.instance,
            module = %loaded.manifest.name,
            version = %loaded.manifest.version,
            sha256 = %loaded.module_digest,
            cached = loaded.from_cache,
            "loaded a policy"
        );
    }
    // The transport parses and hands over; requests run on their own threads. A request has no async work beside its I/O.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let entered = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // A terminal that closes stops the daemon as an operator would, not in the middle of things.
    let mut hangup = signal(SignalKind::hangup())?;
    drop(entered);
    let served = runtime.block_on(async {
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
            }
        };
        let config = deployment.config();
        let ready = || {
            tracing::info!(
                socket = %config.socket.display(),
                network = %config.network,
                keys = config.keys.len(),
                policies = config.policies.len(),
                deployment = deployment.ledger().deployment_id(),
                version = env!("CARGO_PKG_VERSION"),
                "ready"
            );
        };
        serve(deployment.server_parts(), stop, ready).await
    });
    drop(runtime);
    let closed = deployment.close();
    match served {
        Ok(()) => {}
        Err(error @ ServeError::Ledger(_)) => return Err(Failure::no(error.to_string())),
        Err(error) => return Err(error.into()),
    }
    closed?;
    tracing::info!("stopped");
    Ok(())
}
