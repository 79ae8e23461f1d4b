//! A remote with its connections, and the task that keeps them.

use crate::backoff::Backoff;
use crate::connection::{Connection, Unwell};
use crate::settings::{Remote, Settings};
use crate::status::{RemoteStatus, Tally};
use crate::text::shown;
use crate::told::Told as Lines;
use sigwarden_core::Network;
use sigwarden_protocol::proto;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

/// A remote.
pub(crate) struct Link {
    backend: String,
    remote: Remote,
    address: String,
    network: Network,
    connect_deadline: Duration,
    pace: crate::Pace,
    slots: Box<[Slot]>,
    /// Where the next call begins to look for a connection.
    turn: AtomicUsize,
    seen: watch::Sender<Seen>,
    /// Something happened that the keeper should look at.
    poke: Notify,
    pub(crate) tally: Tally,
    /// Lines about answers that it lost.
    pub(crate) told_lost: Lines,
}

/// A place for a connection.
#[derive(Default)]
struct Slot {
    held: Mutex<Option<Arc<Connection>>>,
    /// One attempt to connect at a time.
    connecting: tokio::sync::Mutex<()>,
}

/// What is known of a remote.
#[derive(Debug, Default)]
struct Seen {
    state: State,
    /// What is wrong with a remote that is up.
    trouble: Option<String>,
    told: Option<Told>,
    last_answer: Option<SystemTime>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// The first look is not over.
    #[default]
    Unknown,
    Up,
    Down(String),
}

/// What a remote told of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    network: String,
    version: String,
    deployment_id: String,
}

impl Slot {
    fn current(&self) -> Option<Arc<Connection>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, connection: Arc<Connection>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }

    /// Takes this very connection out.
    fn remove(&self, serial: u64) {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_if(|held| held.serial == serial);
    }

    fn clear(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Link {
    pub(crate) fn new(remote: Remote, settings: &Settings) -> Self {
        Self {
            backend: settings.name.clone(),
            address: remote.to_string(),
            remote,
            network: settings.network,
            connect_deadline: settings.connect_deadline,
            pace: settings.pace,
            slots: (0..settings.connections).map(|_| Slot::default()).collect(),
            turn: AtomicUsize::new(0),
            seen: watch::Sender::default(),
            poke: Notify::new(),
            tally: Tally::default(),
            told_lost: Lines::default(),
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    pub(crate) fn state(&self) -> State {
        self.seen.borrow().state.clone()
    }

    /// Waits until the first look is over.
    pub(crate) async fn looked(&self, until: Instant) -> State {
        let mut seen = self.seen.subscribe();
        // The sender lives as long as `self`; a wait that ends too early leaves the state unknown.
        let _ = timeout_at(until, seen.wait_for(|seen| seen.state != State::Unknown)).await;
        self.state()
    }

    /// A connection to ask on; one is made if the remote is up and none stands.
    pub(crate) async fn connection(&self, until: Instant) -> Result<Arc<Connection>, String> {
        match self.looked(until).await {
            State::Up => {}
            State::Down(reason) => return Err(reason),
            State::Unknown => return Err("it has not answered yet".to_owned()),
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.slots.len().max(1);
        let in_turn = || self.slots.iter().cycle().skip(turn).take(self.slots.len());
        if let Some(connection) = in_turn().find_map(Slot::current) {
            return Ok(connection);
        }
        let Some(slot) = in_turn().next() else {
            return Err("it has no connections".to_owned());
        };
        let _one = slot.connecting.lock().await;
        // Somebody else tried meanwhile.
        if let Some(connection) = slot.current() {
            return Ok(connection);
        }
        if let State::Down(reason) = self.state() {
            return Err(reason);
        }
        let connected = self.connect(slot).await;
        connected.inspect_err(|reason| self.down(reason))
    }

    /// A connection broke: it is given up, and the keeper looks.
    pub(crate) fn broken(&self, connection: &Connection) {
        for slot in &self.slots {
            slot.remove(connection.serial);
        }
        self.poke.notify_one();
    }

    /// Lets go of all connections; calls on them go on to their end.
    pub(crate) fn renew(&self) {
        self.slots.iter().for_each(Slot::clear);
        self.poke.notify_one();
    }

    pub(crate) fn status(&self) -> RemoteStatus {
        let seen = self.seen.borrow();
        let reason = match &seen.state {
            State::Unknown => Some("it has not answered yet".to_owned()),
            State::Up => seen.trouble.clone(),
            State::Down(reason) => Some(reason.clone()),
        };
        let told = seen.told.as_ref();
        RemoteStatus {
            address: self.address.clone(),
            up: seen.state == State::Up,
            reason,
            network: told.map(|told| told.network.clone()),
            version: told.map(|told| told.version.clone()),
            deployment_id: told.map(|told| told.deployment_id.clone()),
            last_answer: seen.last_answer,
            connections: self.slots.iter().filter(|slot| slot.current().is_some()).count(),
            counts: self.tally.read(),
        }
    }

    /// Keeps the remote connected and looks at it, for ever.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut attempts = Backoff::new(self.pace.retry_first, self.pace.retry_most);
        loop {
            self.look().await;
            if self.state() == State::Up {
                attempts.reset();
                let _ = timeout(self.pace.health, self.poke.notified()).await;
            } else {
                // Whoever misses it now does not make the attempts more frequent.
                tokio::time::sleep(attempts.pause()).await;
            }
        }
    }

    /// Asks on every connection, and makes those that are missing. It is up if any of them answered rightly.
    async fn look(&self) {
        let mut heard = None;
        let mut trouble = None;
        for (connection, health) in self.ask_all().await {
            match health {
                Ok(health) => heard = Some(self.hear(&health)),
                Err(Unwell::Refused(reason)) => heard = heard.or(Some(Err(reason))),
                Err(Unwell::Silent(reason)) => {
                    connection.give_up();
                    self.slots.iter().for_each(|slot| slot.remove(connection.serial));
                    trouble = Some(reason);
                }
            }
        }
        for slot in self.slots.iter().filter(|slot| slot.current().is_none()) {
            let _one = slot.connecting.lock().await;
            if slot.current().is_some() {
                heard = heard.or(Some(Ok(())));
                continue;
            }
            match self.connect(slot).await {
                Ok(_) => heard = Some(Ok(())),
                Err(reason) => {
                    trouble = Some(reason);
                    break;
                }
            }
        }
        match (heard, trouble) {
            (Some(Ok(())), trouble) => self.up(trouble),
            (Some(Err(reason)), _) | (None, Some(reason)) => self.down(&reason),
            // All slots are full and none was asked: somebody connected meanwhile.
            (None, None) => {}
        }
    }

    /// One Health call on each connection, at once.
    async fn ask_all(&self) -> Vec<(Arc<Connection>, Result<proto::HealthResponse, Unwell>)> {
        let mut calls = JoinSet::new();
        let deadline = self.pace.health_deadline;
        for connection in self.slots.iter().filter_map(Slot::current) {
            calls.spawn(async move {
                let health = timeout(deadline, connection.health()).await;
                let why = || format!("it did not answer the Health call within {} ms", deadline.as_millis());
                let silent = |_| Err(Unwell::Silent(why()));
                (connection, health.unwrap_or_else(silent))
            });
        }
        calls.join_all().await
    }

    /// Makes a connection for a slot. Its first Health call has to be right, else it is of no use.
    async fn connect(&self, slot: &Slot) -> Result<Arc<Connection>, String> {
        let (connection, health) = Connection::open(&self.remote, self.connect_deadline).await?;
        let connection = Arc::new(connection);
        // Kept even if the remote is not ready: it is asked again on it. The state says whether it is used.
        slot.put(Arc::clone(&connection));
        self.hear(&health).map(|()| connection)
    }

    /// Takes in what a remote told, and judges it.
    fn hear(&self, health: &proto::HealthResponse) -> Result<(), String> {
        let told = Told {
            network: shown(&health.network),
            version: shown(&health.version),
            deployment_id: shown(&health.deployment_id),
        };
        self.seen.send_if_modified(|seen| {
            if let Some(before) = seen.told.as_ref().filter(|before| before.deployment_id != told.deployment_id) {
                tracing::warn!(
                    backend = self.backend,
                    remote = self.address,
                    before = before.deployment_id,
                    now = told.deployment_id,
                    "another deployment answers: its ledger does not know what the one before decided"
                );
            }
            seen.told = Some(told);
            seen.last_answer = Some(SystemTime::now());
            false
        });
        if health.network != self.network.name() {
            let theirs = shown(&health.network);
            return Err(format!("it is of network `{theirs}`, and this deployment is of `{}`", self.network));
        }
        match health.ready {
            true => Ok(()),
            false => Err(format!("it does not sign: {}", shown(&health.reason))),
        }
    }

    fn up(&self, trouble: Option<String>) {
        self.seen.send_if_modified(|seen| {
            if seen.trouble != trouble {
                if let Some(trouble) = &trouble {
                    tracing::warn!(
                        backend = self.backend,
                        remote = self.address,
                        "a connection to the remote fails: {trouble}"
                    );
                }
                seen.trouble = trouble;
            }
            let news = seen.state != State::Up;
            if news {
                tracing::info!(backend = self.backend, remote = self.address, "the remote is up");
                self.tally.came_up();
                seen.state = State::Up;
            }
            news
        });
    }

    fn down(&self, reason: &str) {
        let fell = self.seen.send_if_modified(|seen| {
            let news = !matches!(&seen.state, State::Down(known) if known == reason);
            if news {
                tracing::warn!(backend = self.backend, remote = self.address, "the remote is down: {reason}");
                if seen.state == State::Up {
                    self.tally.went_down();
                }
                seen.state = State::Down(reason.to_owned());
            }
            news
        });
        if fell {
            self.poke.notify_one();
        }
    }
}
