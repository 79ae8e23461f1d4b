//! PKCS#11 libraries. `C_Initialize` is once for a process, so there is one context for each library file, whoever asks for it.
//!
//! None is ever unloaded: vendors' libraries run threads whose code must stay mapped. One is finalised and initialised again only while
//! a token is looked for and none of the library's tokens is connected: some libraries see a device that came back, or a new token, in no
//! other way (SoftHSM is one). `C_Finalize` while another call runs is undefined (PKCS#11 3.1 §5.4.2), so every call is made inside
//! [`Library::enter`].

use crate::failure::name;
use crate::status::Provider;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

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
    running: RwLock<()>,
    connected: AtomicUsize,
}

/// A token of the library is connected, until this is dropped.
pub(crate) struct Connected(Arc<Library>);

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
            running: RwLock::new(()),
            connected: AtomicUsize::new(0),
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

    /// While this is held the library is not finalised.
    pub(crate) fn enter(&self) -> RwLockReadGuard<'_, ()> {
        self.running.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connected token. To be called inside.
    pub(crate) fn connected(self: &Arc<Self>) -> Connected {
        self.connected.fetch_add(1, Ordering::SeqCst);
        Connected(Arc::clone(self))
    }

    /// Finalises it and initialises it again, if it is ours, no token is connected and no call runs.
    pub(crate) fn restart(&self) -> Result<(), Error> {
        let Ok(_alone) = self.running.try_write() else {
            return Ok(());
        };
        if !self.ours || self.connected.load(Ordering::SeqCst) > 0 {
            return Ok(());
        }
        match self.pkcs11.clone().finalize() {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => {}
            Err(error) => return Err(error),
        }
        initialize(&self.pkcs11).map(|_| ())
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

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connected.fetch_sub(1, Ordering::SeqCst);
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
