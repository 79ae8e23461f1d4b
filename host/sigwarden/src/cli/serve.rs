//! `sigwarden serve`.

use super::output::{Failure, Output};
use crate::admin::Administrator;
use crate::check::Severity;
use crate::deployment::{Certificates, Deployment};
use crate::proto::admin::ReloadPoliciesRequest;
use crate::server::{Parts, ServeError, serve};
use sigwarden_telemetry::notify::{Notify, watchdog as watchdog_interval};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// What SIGHUP asks for: certificates are read again, then `policy reload`.
async fn reload(administrator: Arc<Administrator>, certificates: Certificates) {
    let request = ReloadPoliciesRequest {
        reason: "SIGHUP".to_owned(),
        allow_downgrade: false,
    };
    // Its own thread: modules are compiled.
    let work = move || {
        certificates.renew();
        administrator.reload_policies(request)
    };
    let done = tokio::task::spawn_blocking(work).await;
    match done {
        // It has told the log.
        Ok(Ok(_)) => {}
        Ok(Err(not_done)) => tracing::error!("SIGHUP: {}", not_done.text),
        Err(_) => tracing::error!("SIGHUP: the reload panicked; the policies in force stay"),
    }
}

/// The service manager, if it wants to hear of us.
fn notify() -> Notify {
    Notify::from_env().unwrap_or_else(|error| {
        tracing::warn!(%error, "the service manager cannot be told how it goes: NOTIFY_SOCKET is no socket");
        Notify::nobody()
    })
}

fn told(sent: std::io::Result<()>) {
    if let Err(error) = sent {
        tracing::warn!(%error, "the service manager was not told");
    }
}

/// Tells the service manager that all is well, as long as it is. Ends never: a daemon whose ledger failed ends by itself.
fn watchdog<'a>(notify: &'a Notify, parts: &Parts) -> impl Future<Output = ()> + 'a {
    let fatal = Arc::clone(&parts.fatal);
    async move {
        let Some(every) = watchdog_interval() else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(every / 2).await;
            if fatal.reason().is_none() {
                told(notify.alive());
            }
        }
    }
}

/// Threads that move bytes. A request takes a fifth as long here as on the thread that judges and signs it. More would only wake each other:
/// with two on two cores one client waited 0.62 ms for a signature, with one 0.48 ms, and sixteen clients got as many a second.
fn io_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).div_ceil(4)
}

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
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(io_threads()).enable_all().build()?;
    let entered = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(entered);
    let served = runtime.block_on(async {
        let stop = async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => return,
                    _ = interrupt.recv() => return,
                    // Beside the rest: a stop does not wait for it.
                    _ = hangup.recv() => {
                        tokio::spawn(reload(Arc::clone(deployment.administrator()), deployment.certificates()));
                    }
                }
            }
        };
        let config = deployment.config();
        let notify = notify();
        let ready = || {
            sigwarden_keys::release_memory();
            told(notify.ready(&format!("signing for {} with {} keys", config.network, config.keys.len())));
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
        let stop = async {
            stop.await;
            told(notify.stopping("requests past their decision finish"));
        };
        let parts = deployment.server_parts();
        let alive = watchdog(&notify, &parts);
        tokio::select! {
            served = serve(parts, stop, ready) => served,
            () = alive => Ok(()),
        }
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
