//! PKCS#11 libraries. `C_Initialize` is once for a process, so there is one context for each library file, whoever asks for it.
//!
//! None is ever unloaded: vendors' libraries run threads whose code must stay mapped. One is finalised and initialised again while a token
//! is looked for: some libraries see a device that came back, or a new token, in no other way (SoftHSM is one). While none of its tokens is
//! connected that costs nobody anything; while others are, they log in again, so it is done seldom ([`Library::interrupt`]).
//! `C_Finalize` while another call runs is undefined (PKCS#11 3.1 §5.4.2), so every call is made inside [`Library::enter`].

use crate::failure::name;
use crate::status::Provider;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a start anew waits for the calls of other tokens to end, and keeps new ones waiting: half of what they wait for a session where
/// there are replicas.
const DRAIN_MAX: Duration = Duration::from_millis(100);
/// Libraries of a process at most: a deployment has one or two vendors.
const LIBRARIES_MAX: usize = 16;

type Place = Arc<Mutex<Option<Arc<Library>>>>;

static LIBRARIES: Mutex<BTreeMap<PathBuf, Place>> = Mutex::new(BTreeMap::new());

/// A library that was initialised.
#[derive(Debug)]
pub(crate) struct Library {
    pub(crate) pkcs11: Pkcs11,
    pub(crate) description: String,
    pub(crate) manufacturer: String,
    pub(crate) version: String,
    /// Initialised here, and not by somebody else in this process.
    ours: bool,
    gate: Mutex<Gate>,
    /// Somebody left, or it is open again.
    passed: Condvar,
    /// How often it was started anew: sessions and handles from before mean nothing, or something else.
    starts: AtomicU64,
}

#[derive(Debug)]
struct Gate {
    inside: usize,
    /// It is being started anew.
    closed: bool,
    started: Instant,
    next: u64,
    connected: BTreeMap<u64, Tied>,
}

/// A token that is connected.
#[derive(Debug)]
struct Tied {
    label: String,
    slot: Slot,
    logs_in_again: bool,
}

/// A call runs, until this is dropped.
pub(crate) struct Inside<'a>(&'a Library);

/// Nobody comes in, until this is dropped.
struct Closed<'a>(&'a Library);

/// A token of the library is connected, until this is dropped.
pub(crate) struct Connected(Arc<Library>, u64);

/// A session. Closed when dropped, unless the library was started anew since: its number may be another session's.
pub(crate) struct Opened {
    session: Option<Session>,
    library: Arc<Library>,
    start: u64,
}

/// A library that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LibraryError {
    #[error("there is no PKCS#11 library `{}`: {why}; its vendor's package installs it (SoftHSM: `apt-get install softhsm2`)", .path.display())]
    Missing { path: PathBuf, why: std::io::Error },
    #[error("`{}` is no PKCS#11 library: {why}", .path.display())]
    Load { path: PathBuf, why: String },
    #[error("the PKCS#11 library `{}` does not start (C_Initialize): {why}", .path.display())]
    Initialize { path: PathBuf, why: String },
    #[error("over {LIBRARIES_MAX} PKCS#11 libraries in one process")]
    TooMany,
}

impl Library {
    /// The library at `path`, loaded and initialised if it is not yet.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>, LibraryError> {
        // Two names of one file are one library.
        let canonical = path
            .canonicalize()
            .map_err(|why| LibraryError::Missing { path: path.into(), why })?;
        let place = {
            let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
            if libraries.len() >= LIBRARIES_MAX && !libraries.contains_key(&canonical) {
                return Err(LibraryError::TooMany);
            }
            Arc::clone(libraries.entry(canonical.clone()).or_default())
        };
        // Only those who want the same library wait for it.
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = &*place {
            return Ok(Arc::clone(library));
        }
        let library = Arc::new(Self::load(&canonical)?);
        *place = Some(Arc::clone(&library));
        Ok(library)
    }

    fn load(path: &Path) -> Result<Self, LibraryError> {
        let pkcs11 = Pkcs11::new(path).map_err(|error| LibraryError::Load {
            path: path.into(),
            why: described(&error),
        })?;
        let ours = initialize(&pkcs11).map_err(|error| LibraryError::Initialize {
            path: path.into(),
            why: described(&error),
        })?;
        let library = Self {
            description: String::new(),
            manufacturer: String::new(),
            version: String::new(),
            pkcs11,
            ours,
            gate: Mutex::new(Gate {
                inside: 0,
                closed: false,
                started: Instant::now(),
                next: 0,
                connected: BTreeMap::new(),
            }),
            passed: Condvar::new(),
            starts: AtomicU64::new(0),
        };
        // A library that does not introduce itself is used all the same.
        let Ok(info) = library.pkcs11.get_library_info() else {
            return Ok(library);
        };
        let version = info.library_version();
        Ok(Self {
            description: info.library_description().trim().to_owned(),
            manufacturer: info.manufacturer_id().trim().to_owned(),
            version: format!("{}.{}", version.major(), version.minor()),
            ..library
        })
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While this is held the library is not finalised. Waits for a start anew. A thread enters once at a time.
    pub(crate) fn enter(&self) -> Inside<'_> {
        let mut gate = self.gate();
        while gate.closed {
            gate = self.passed.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
        gate.inside += 1;
        Inside(self)
    }

    /// [`Self::enter`], unless a start anew takes longer.
    pub(crate) fn enter_until(&self, until: Instant) -> Option<Inside<'_>> {
        let mut gate = self.gate();
        while gate.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            gate = self.passed.wait_timeout(gate, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        gate.inside += 1;
        Some(Inside(self))
    }

    /// How often it was started anew.
    pub(crate) fn starts(&self) -> u64 {
        self.starts.load(Ordering::SeqCst)
    }

    /// When it was started last.
    pub(crate) fn started(&self) -> Instant {
        self.gate().started
    }

    /// Opens a read-only session. To be called inside.
    pub(crate) fn open_session(self: &Arc<Self>, slot: Slot) -> Result<Opened, Error> {
        Ok(Opened {
            session: Some(self.pkcs11.open_ro_session(slot)?),
            library: Arc::clone(self),
            start: self.starts(),
        })
    }

    /// Counts a connected token. To be called inside.
    pub(crate) fn connected(self: &Arc<Self>, label: &str, slot: Slot, logs_in_again: bool) -> Connected {
        let mut gate = self.gate();
        gate.next += 1;
        let number = gate.next;
        let label = label.to_owned();
        gate.connected.insert(
            number,
            Tied {
                label,
                slot,
                logs_in_again,
            },
        );
        Connected(Arc::clone(self), number)
    }

    /// Starts it anew, if it is ours, no token is connected and no call runs.
    pub(crate) fn restart(&self) -> Result<(), Error> {
        let mut gate = self.gate();
        if !self.ours || gate.closed || gate.inside > 0 || !gate.connected.is_empty() {
            return Ok(());
        }
        gate.closed = true;
        drop(gate);
        self.start_anew(Closed(self))
    }

    /// Starts it anew for a token that is away although others are connected: waits until their calls have ended, and keeps new ones
    /// waiting meanwhile. Their keepers connect them again. Not done if one of them might not log in again by itself. Says whether it was.
    ///
    /// Only libraries that are known to see tokens in no other way: a network HSM's may wait for a dead one while it is initialised.
    pub(crate) fn interrupt(&self, sought: &str) -> Result<bool, Error> {
        let wants_it = matches!(self.provider("", ""), Provider::SoftHsm | Provider::Mock);
        if !self.ours || !wants_it || !self.all_log_in_again(sought) {
            return Ok(false);
        }
        let mut gate = self.gate();
        if gate.closed {
            return Ok(false);
        }
        gate.closed = true;
        let closed = Closed(self);
        let until = Instant::now() + DRAIN_MAX;
        while gate.inside > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(gate);
                return Ok(false);
            }
            gate = self.passed.wait_timeout(gate, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        // One may have connected since all were asked.
        if gate.connected.values().any(|tied| !tied.logs_in_again) {
            drop(gate);
            return Ok(false);
        }
        drop(gate);
        tracing::warn!(
            token = sought,
            "the PKCS#11 library is started anew to find the token; its other tokens log in again"
        );
        self.start_anew(closed).map(|()| true)
    }

    /// A PIN that was refused, or is typed at the token, or has one attempt left, is not risked for another token.
    fn all_log_in_again(&self, sought: &str) -> bool {
        let _inside = self.enter();
        let tied: Vec<_> = {
            let gate = self.gate();
            let tied = gate.connected.values();
            tied.map(|tied| (tied.label.clone(), tied.slot, tied.logs_in_again)).collect()
        };
        for (label, slot, logs_in_again) in tied {
            let told = self.pkcs11.get_token_info(slot);
            // One that does not answer is lost already.
            let at_risk = told.is_ok_and(|told| told.user_pin_final_try() || told.user_pin_locked());
            if !logs_in_again || at_risk {
                tracing::warn!(
                    token = sought,
                    "the PKCS#11 library is not started anew to find the token, since `{label}` might not log in again by itself"
                );
                return false;
            }
        }
        true
    }

    /// With nobody inside.
    fn start_anew(&self, _closed: Closed<'_>) -> Result<(), Error> {
        match self.pkcs11.clone().finalize() {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => {}
            Err(error) => return Err(error),
        }
        // However it goes on, what there was is gone.
        self.starts.fetch_add(1, Ordering::SeqCst);
        let started = initialize(&self.pkcs11);
        self.gate().started = Instant::now();
        started.map(|_| ())
    }

    /// Whose it is, after what it and its token say.
    pub(crate) fn provider(&self, token_manufacturer: &str, token_model: &str) -> Provider {
        let texts = [&self.description, &self.manufacturer, token_manufacturer, token_model];
        let says = |word: &str| texts.iter().any(|text| text.to_ascii_lowercase().contains(word));
        if says("sigwarden mock hsm") {
            Provider::Mock
        } else if says("softhsm") {
            Provider::SoftHsm
        } else {
            Provider::Other
        }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut gate = self.0.gate();
        gate.inside -= 1;
        let awaited = gate.closed;
        drop(gate);
        if awaited {
            self.0.passed.notify_all();
        }
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.gate().closed = false;
        self.0.passed.notify_all();
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.gate().connected.remove(&self.1);
    }
}

impl Opened {
    /// Whether the library was started anew since.
    pub(crate) fn is_stale(&self) -> bool {
        self.library.starts() != self.start
    }
}

impl Deref for Opened {
    type Target = Session;

    #[expect(clippy::expect_used, reason = "an invariant of this file")]
    fn deref(&self) -> &Session {
        self.session.as_ref().expect("it is taken out only when it is dropped")
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.is_stale() {
            // All it owns is a count of the context, which lives as long as the process.
            std::mem::forget(self.session.take());
        }
    }
}

/// Initialises it. False if it was already.
fn initialize(pkcs11: &Pkcs11) -> Result<bool, Error> {
    match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) => Ok(true),
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// An error of the library, with the standard's name for a code.
pub(crate) fn described(error: &Error) -> String {
    if let Error::Pkcs11(code, _) = error {
        return name(*code);
    }
    error.to_string()
}
