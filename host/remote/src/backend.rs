//! The backend: what the deployment opens, and core asks.

use crate::ask::{Deadlines, ask};
use crate::connection::explain;
use crate::failure::Failure;
use crate::link::Link;
use crate::message::{self, Question, Reply};
use crate::settings::{Remote, Settings, SettingsError};
use crate::status::RemoteStatus;
use crate::text::shown;
use sigwarden_core::key::KeyId;
use sigwarden_core::proof::{Committed, RawSignature, SharedSecret};
use sigwarden_core::{Backend, BackendFailure, KeyState, Scheme};
use sigwarden_protocol::{from_status, proto};
use sigwarden_tls::{ClientTls, Installed, Reload, TlsError};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// Keys that other Sigwardens hold.
pub struct RemoteBackend {
    settings: Settings,
    /// What the remotes call the keys; see [`Settings::keys`].
    keys: RwLock<BTreeMap<KeyId, String>>,
    links: Arc<[Arc<Link>]>,
    /// Its own, since its callers are threads that wait. None only while it is dropped.
    runtime: Option<Runtime>,
}

/// A backend cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings make no sense.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The system gives no thread.
    #[error("backend `{backend}`: its thread could not be started: {why}")]
    Thread {
        /// The backend.
        backend: String,
        /// Why.
        why: std::io::Error,
    },
}

/// A key as the remotes tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteKey {
    /// Its name and version there.
    pub name: String,
    /// How it signs.
    pub scheme: Scheme,
    /// In the scheme's encoding.
    pub public_key: Vec<u8>,
    /// Its state there; none for a word that this version does not know.
    pub state: Option<KeyState>,
}

/// What became of the certificates that some remotes share.
#[derive(Debug)]
pub struct Reloaded {
    /// The remotes' addresses.
    pub remotes: Vec<String>,
    /// What was read. After an error the old ones stay in force.
    pub outcome: Result<Reload, TlsError>,
}

impl RemoteBackend {
    /// Starts to connect to the remotes, and does not wait for them: one that is away is no reason not to start.
    /// [`Self::wait_until_looked`] waits.
    ///
    /// # Errors
    /// The settings make no sense, or there is no thread to be had.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        settings.validate()?;
        // One thread: a call is a few dozen microseconds of its time.
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            // Name lookups: one for each remote at a time, as long as the resolver answers.
            .max_blocking_threads(Settings::REMOTES_MAX)
            .thread_name("remote-signer")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|why| OpenError::Thread {
                backend: settings.name.clone(),
                why,
            })?;
        let link = |remote: &Remote| Arc::new(Link::new(remote.clone(), &settings));
        let links: Arc<[Arc<Link>]> = settings.remotes.iter().map(link).collect();
        for link in links.iter() {
            runtime.spawn(Arc::clone(link).keep());
        }
        Ok(Self {
            keys: RwLock::new(settings.keys.clone()),
            settings,
            links,
            runtime: Some(runtime),
        })
    }

    /// The backend's name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// How the remotes are, the preferred one first.
    #[must_use]
    pub fn status(&self) -> Vec<RemoteStatus> {
        self.links.iter().map(|link| link.status()).collect()
    }

    /// As [`Self::status`], once every remote has answered or failed to, or `patience` is over: for `sigwarden check`, and a start that
    /// wants to say how they are. Blocks.
    #[must_use]
    pub fn wait_until_looked(&self, patience: Duration) -> Vec<RemoteStatus> {
        let links = Arc::clone(&self.links);
        // Without an answer the status says so.
        let _ = self.run(async move {
            let until = Instant::now() + patience;
            for link in links.iter() {
                link.looked(until).await;
            }
        });
        self.status()
    }

    /// A key's public key and state, from every remote that is up. Blocks.
    ///
    /// # Errors
    /// No remote answers; one refuses, for it does not know the key or the caller; two have different keys.
    pub fn public_key(&self, id: &KeyId) -> Result<RemoteKey, Failure> {
        let (links, name) = (Arc::clone(&self.links), self.name_of(id));
        let deadline = self.settings.call_deadline;
        self.run(async move { public_key(&links, &name, deadline).await })?
    }

    /// Takes in what the remotes call a key that was configured since the backend was opened; none for its own id.
    ///
    /// # Errors
    /// The name is none, or another key's.
    pub fn learn(&self, id: &KeyId, name: Option<String>) -> Result<(), SettingsError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let mut all = keys.clone();
        all.insert(id.clone(), name.unwrap_or_else(|| id.to_string()));
        self.settings.validate_keys(&all)?;
        *keys = all;
        Ok(())
    }

    /// Reads the certificates anew. Where one changed, connections are made anew; calls on the old ones go on to their end. Reads small
    /// files.
    pub fn reload(&self) -> Vec<Reloaded> {
        let mut reloaded = Vec::new();
        for (tls, links) in self.by_certificates() {
            let outcome = tls.reload();
            if outcome.as_ref().is_ok_and(Reload::changed) {
                links.iter().for_each(|link| link.renew());
            }
            reloaded.push(Reloaded {
                remotes: links.iter().map(|link| link.address().to_owned()).collect(),
                outcome,
            });
        }
        reloaded
    }

    /// Whether [`Self::reload`] would read other files than those in force. Cheap enough for each minute.
    #[must_use]
    pub fn certificates_changed(&self) -> bool {
        self.by_certificates().iter().any(|(tls, _)| tls.changed())
    }

    /// The certificates in force, by remote, for metrics.
    #[must_use]
    pub fn certificates(&self) -> Vec<(String, Installed)> {
        let certificates = self.links.iter().filter_map(|link| match link.remote() {
            Remote::Tls { tls, .. } => Some((link.address().to_owned(), tls.installed())),
            Remote::Unix { .. } => None,
        });
        certificates.collect()
    }

    /// Remotes by the certificates that they share.
    fn by_certificates(&self) -> Vec<(&Arc<ClientTls>, Vec<&Arc<Link>>)> {
        let mut groups: Vec<(&Arc<ClientTls>, Vec<&Arc<Link>>)> = Vec::new();
        for link in self.links.iter() {
            let Remote::Tls { tls, .. } = link.remote() else {
                continue;
            };
            match groups.iter_mut().find(|(shared, _)| Arc::ptr_eq(shared, tls)) {
                Some((_, links)) => links.push(link),
                None => groups.push((tls, vec![link])),
            }
        }
        groups
    }

    fn name_of(&self, id: &KeyId) -> String {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(id).cloned().unwrap_or_else(|| id.to_string())
    }

    fn ask(&self, question: &Question) -> Result<(Reply, String), Failure> {
        let (links, question) = (Arc::clone(&self.links), question.clone());
        let deadlines = Deadlines {
            call: self.settings.call_deadline,
            total: self.settings.total_deadline,
        };
        self.run(async move { ask(&links, &question, deadlines).await })?
    }

    /// Runs on the own runtime, while this thread waits. Every such future has its deadline inside.
    fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, Failure> {
        let runtime = self.runtime.as_ref().ok_or(Failure::Stopped)?;
        let (done, wait) = mpsc::sync_channel(1);
        runtime.spawn(async move {
            // Its caller waits, so it is there.
            let _ = done.send(work.await);
        });
        wait.recv().map_err(|_| Failure::Stopped)
    }
}

impl Backend for RemoteBackend {
    fn sign(&self, committed: &Committed) -> Result<Vec<RawSignature>, BackendFailure> {
        let signed = || {
            let question = Question::sign(committed, self.name_of(&committed.key().id))?;
            match self.ask(&question)? {
                (Reply::Signed(response), remote) => message::signatures(committed, &question, &remote, response),
                (Reply::Opened(_), _) => Err(Failure::Request("a signature was asked for, and a secret came")),
            }
        };
        signed().map_err(Failure::into_backend_failure)
    }

    fn decapsulate(&self, committed: &Committed) -> Result<SharedSecret, BackendFailure> {
        let opened = || {
            let question = Question::decapsulate(committed, self.name_of(&committed.key().id));
            match self.ask(&question)? {
                (Reply::Opened(opened), remote) => message::secret(committed, &question, &remote, opened),
                (Reply::Signed(_), _) => Err(Failure::Request("a secret was asked for, and a signature came")),
            }
        };
        opened().map_err(Failure::into_backend_failure)
    }
}

impl Drop for RemoteBackend {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait, so that it may be dropped anywhere.
            runtime.shutdown_background();
        }
    }
}

async fn public_key(links: &[Arc<Link>], name: &str, deadline: Duration) -> Result<RemoteKey, Failure> {
    let mut found: Option<(&Link, RemoteKey)> = None;
    let mut away = Vec::new();
    for link in links {
        let until = Instant::now() + deadline;
        let gone = |reason: &str| format!("{}: {reason}", link.address());
        let told = match link.connection(until).await {
            Ok(connection) => tokio::time::timeout_at(until, connection.public_key(name)).await,
            Err(reason) => {
                away.push(gone(&reason));
                continue;
            }
        };
        let info = match told {
            Ok(Ok(info)) => info,
            Ok(Err(status)) => match from_status(&status) {
                // A remote that is there has to have the key.
                Some(refusal) => {
                    return Err(Failure::Refused {
                        remote: link.address().to_owned(),
                        code: shown(&refusal.code),
                        message: format!("{} (asked for `{name}`)", shown(&refusal.message)),
                    });
                }
                None => {
                    away.push(gone(&explain(&status)));
                    continue;
                }
            },
            Err(_) => {
                away.push(gone("it did not answer in time"));
                continue;
            }
        };
        let key = read_key(link, info)?;
        match &found {
            Some((first, known)) if known.public_key != key.public_key || known.scheme != key.scheme => {
                return Err(Failure::Differ {
                    first: first.address().to_owned(),
                    second: link.address().to_owned(),
                    name: name.to_owned(),
                });
            }
            Some(_) => {}
            None => found = Some((link, key)),
        }
    }
    found.map(|(_, key)| key).ok_or(Failure::Unreachable(away))
}

fn read_key(link: &Link, info: proto::KeyInfo) -> Result<RemoteKey, Failure> {
    let refuse = |what: String| Failure::Answer {
        remote: link.address().to_owned(),
        what,
    };
    let scheme: Scheme = info.scheme.parse().map_err(|_| {
        refuse(format!(
            "its key is of scheme `{}`, which this version does not know",
            shown(&info.scheme)
        ))
    })?;
    if info.public_key.len() != scheme.public_key_len() {
        return Err(refuse(format!(
            "its public key of {scheme} has {} bytes, {} are right",
            info.public_key.len(),
            scheme.public_key_len()
        )));
    }
    Ok(RemoteKey {
        name: shown(&info.key),
        scheme,
        public_key: info.public_key,
        state: info.state.parse().ok(),
    })
}
