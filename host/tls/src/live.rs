//! What is in force, and its replacement while connections stand.

use crate::certificate::{Facts, Fingerprint, utc};
use crate::files::Stamp;
use crate::material::{Paths, TlsError};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// One certificate and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    /// Its subject's distinguished name.
    pub subject: String,
    /// SHA-256 of it.
    pub fingerprint: Fingerprint,
    /// Valid until, in seconds since the epoch.
    pub not_after: u64,
}

impl Validity {
    pub(crate) fn of(facts: &Facts) -> Self {
        Self {
            subject: facts.subject.clone(),
            fingerprint: facts.fingerprint,
            not_after: facts.not_after,
        }
    }
}

/// The certificates in force, for metrics and messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The own one.
    pub certificate: Validity,
    /// The CAs of the file. One that has ended is trusted no more, from that second on.
    pub authorities: Vec<Validity>,
}

/// What a reload brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// In force until now.
    pub before: Installed,
    /// In force from now on, for new connections.
    pub after: Installed,
}

impl Reload {
    /// Whether any certificate is another one.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.before != self.after
    }
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (old, new) = (&self.before.certificate, &self.after.certificate);
        if old == new {
            write!(f, "the same certificate, valid until {}", utc(new.not_after))?;
        } else {
            write!(
                f,
                "a new certificate, valid until {} (the old one: {})",
                utc(new.not_after),
                utc(old.not_after)
            )?;
        }
        let missing = |of: &Installed, from: &Installed| -> Vec<String> {
            let gone = of.authorities.iter().filter(|authority| !from.authorities.contains(authority));
            gone.map(|authority| format!("{} (until {})", authority.subject, utc(authority.not_after)))
                .collect()
        };
        let (added, removed) = (missing(&self.after, &self.before), missing(&self.before, &self.after));
        if !added.is_empty() {
            write!(f, "; CA added: {}", added.join(", "))?;
        }
        if !removed.is_empty() {
            write!(f, "; CA removed: {}", removed.join(", "))?;
        }
        Ok(())
    }
}

/// A configuration, and what it was made of.
#[derive(Debug)]
pub(crate) struct Loaded<C> {
    pub(crate) config: C,
    pub(crate) installed: Installed,
    /// Taken before the files were read: a file that changes meanwhile is another one at the next look.
    pub(crate) stamps: [Option<Stamp>; 3],
}

/// A configuration that is replaced as a whole. Who took it keeps it.
#[derive(Debug)]
pub(crate) struct Live<C> {
    current: RwLock<Arc<Loaded<C>>>,
    /// One reload at a time, so that the one that read last is in force.
    reloading: Mutex<()>,
}

impl<C> Live<C> {
    pub(crate) fn new(loaded: Loaded<C>) -> Self {
        Self {
            current: RwLock::new(Arc::new(loaded)),
            reloading: Mutex::new(()),
        }
    }

    pub(crate) fn current(&self) -> Arc<Loaded<C>> {
        // Poisoned or not, the value is whole: it is only ever replaced by an assignment.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn reload(&self, load: impl FnOnce() -> Result<Loaded<C>, TlsError>) -> Result<Reload, TlsError> {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Arc::new(load()?);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let reload = Reload {
            before: current.installed.clone(),
            after: fresh.installed.clone(),
        };
        *current = fresh;
        Ok(reload)
    }

    /// Whether a file is another one than the one that is in force.
    pub(crate) fn changed(&self, paths: Paths<'_>) -> bool {
        self.current().stamps != paths.stamps()
    }
}
