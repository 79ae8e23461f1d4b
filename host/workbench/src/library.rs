//! Policy modules: found by name, compiled and configured once for all fixtures that want the same.

use crate::code_cache::{self, Kept};
use crate::fixture::Policy;
use sigwarden_policy::{CodeCache, Engine, EngineError, EngineSettings, LoadError, LoadFault, Loaded, ModuleSource, PolicyLimits, Sandbox};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Bytes of a module at most, as the daemon has it.
const MODULE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A module cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LibraryError {
    /// There is none of this name.
    #[error("there is no module `{module}`; looked for {}; `cargo xtask policies` builds the reference policies, `sigwarden policy build` one's own", .looked.join(", "))]
    Missing {
        /// As written.
        module: String,
        /// The files that were looked for.
        looked: Vec<String>,
    },
    /// Its file cannot be read.
    #[error("{}: {message}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        message: String,
    },
    /// The sandbox refuses it.
    #[error(transparent)]
    Load(#[from] Arc<LoadError>),
}

/// A module with its configuration, ready to evaluate.
pub struct LoadedPolicy {
    /// Evaluates it, as binding 0.
    pub sandbox: Sandbox,
    /// What it says about itself.
    pub loaded: Loaded,
    /// What it was loaded from.
    pub source: ModuleSource,
}

type Once = Arc<OnceLock<Result<Arc<LoadedPolicy>, Arc<LoadError>>>>;

/// Finds and keeps modules. One engine for all.
pub struct Library {
    engine: Engine,
    dirs: Vec<PathBuf>,
    kept: Option<Kept>,
    own: BTreeMap<String, Arc<[u8]>>,
    files: Mutex<HashMap<PathBuf, Arc<[u8]>>>,
    loaded: Mutex<HashMap<[u8; 32], Once>>,
    /// The modules that were loaded with some configuration.
    begun: Mutex<HashMap<[u8; 32], Arc<OnceLock<()>>>>,
}

impl Library {
    /// A library that looks in these directories first. It compiles quickly, to code that is slower than a daemon's and does the same.
    ///
    /// # Errors
    /// The sandbox does not start.
    pub fn new(dirs: Vec<PathBuf>) -> Result<Self, EngineError> {
        Self::with_engine(dirs, true)
    }

    /// One whose code is as fast as a daemon's.
    ///
    /// # Errors
    /// The sandbox does not start.
    pub fn for_measuring(dirs: Vec<PathBuf>) -> Result<Self, EngineError> {
        Self::with_engine(dirs, false)
    }

    fn with_engine(dirs: Vec<PathBuf>, quick_code: bool) -> Result<Self, EngineError> {
        Ok(Self {
            engine: Engine::new(EngineSettings {
                // A library of policies, each with the configurations of its fixtures.
                kept_modules: 64,
                quick_code,
                ..EngineSettings::default()
            })?,
            dirs,
            kept: None,
            own: BTreeMap::new(),
            files: Mutex::default(),
            loaded: Mutex::default(),
            begun: Mutex::default(),
        })
    }

    /// Adds a module that is no file, looked for last.
    #[must_use]
    pub fn with_module(mut self, name: &str, wasm: &[u8]) -> Self {
        self.own.insert(name.to_owned(), wasm.into());
        self
    }

    /// Keeps compiled code in the nearest `target` directory around a path, if it is this user's alone.
    #[must_use]
    pub fn with_cache_around(mut self, path: &Path) -> Self {
        self.kept = code_cache::around(path);
        self
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The module of a fixture's policy, with its configuration.
    ///
    /// # Errors
    /// There is none, or the sandbox refuses it.
    pub fn load(&self, fixture: &Path, policy: &Policy) -> Result<Arc<LoadedPolicy>, LibraryError> {
        let wasm = self.find(fixture, &policy.module)?;
        let default = PolicyLimits::default();
        let source = ModuleSource {
            instance: policy.name.clone(),
            wasm: wasm.to_vec(),
            config_json: policy.config_json.clone(),
            limits: PolicyLimits {
                fuel: policy.fuel.unwrap_or(default.fuel),
                deadline: policy.deadline_ms.map_or(default.deadline, Duration::from_millis),
                memory_bytes: policy.memory_bytes.unwrap_or(default.memory_bytes),
                ..default
            },
        };
        Ok(self.load_source(source)?)
    }

    /// A module with its configuration.
    ///
    /// # Errors
    /// The sandbox refuses it.
    pub fn load_source(&self, source: ModuleSource) -> Result<Arc<LoadedPolicy>, Arc<LoadError>> {
        let once = {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(loaded.entry(digest(&source)).or_default())
        };
        once.get_or_init(|| self.load_anew(source)).clone()
    }

    /// A sandbox of one's own, for those who change it.
    pub(crate) fn sandbox(&self, source: ModuleSource) -> Result<(Sandbox, Vec<Loaded>), Arc<LoadError>> {
        let instance = source.instance.clone();
        let refused = |problems| LoadError {
            instance: Some(instance),
            fault: LoadFault::Configuration(problems),
        };
        let Some(kept) = &self.kept else {
            return self.load_now(source, None).map_err(Arc::new);
        };
        let digest = self.configured_digest(&source);
        if let Some(problems) = kept.refusal(&digest) {
            return Err(Arc::new(refused(problems)));
        }
        self.load_now(source, Some(&kept.code)).map_err(|error| {
            if let LoadFault::Configuration(problems) = &error.fault {
                kept.keep_refusal(&digest, problems);
            }
            Arc::new(error)
        })
    }

    /// Of several threads that want the same module at first, one compiles it; the engine keeps the code for the others, which only
    /// compile their configurations.
    fn load_now(&self, source: ModuleSource, cache: Option<&CodeCache>) -> Result<(Sandbox, Vec<Loaded>), LoadError> {
        let module = *blake3::hash(&source.wasm).as_bytes();
        let begun = {
            let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(begun.entry(module).or_default())
        };
        let load = || Sandbox::load(&self.engine, vec![source.clone()], cache);
        let mut first = None;
        begun.get_or_init(|| first = Some(load()));
        first.unwrap_or_else(load)
    }

    /// Over all that a module's answer to its configuration depends on.
    fn configured_digest(&self, source: &ModuleSource) -> String {
        let memory = source.limits.memory_bytes.to_le_bytes();
        let mut hash = blake3::Hasher::new();
        for part in [
            source.wasm.as_slice(),
            source.config_json.as_bytes(),
            self.engine.hash().as_bytes(),
            &memory,
        ] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().to_hex().to_string()
    }

    fn load_anew(&self, source: ModuleSource) -> Result<Arc<LoadedPolicy>, Arc<LoadError>> {
        let (sandbox, loaded) = self.sandbox(source.clone())?;
        let loaded = loaded.into_iter().next();
        let nothing = || {
            Arc::new(LoadError {
                instance: Some(source.instance.clone()),
                fault: LoadFault::Host("nothing was loaded".to_owned()),
            })
        };
        Ok(Arc::new(LoadedPolicy {
            sandbox,
            loaded: loaded.ok_or_else(nothing)?,
            source,
        }))
    }

    /// The bytes of a module: a path from the fixture, or a name.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, fixture: &Path, module: &str) -> Result<Arc<[u8]>, LibraryError> {
        let dir = fixture.parent().unwrap_or(Path::new(""));
        if Path::new(module).extension().is_some_and(|extension| extension == "wasm") {
            let file = dir.join(module);
            return match file.exists() {
                true => self.file(&file),
                false => Err(missing(module, &[file])),
            };
        }
        let name = format!("{module}.wasm");
        let mut candidates: Vec<PathBuf> = self.dirs.iter().map(|dir| dir.join(&name)).collect();
        let absolute = std::path::absolute(fixture).unwrap_or_else(|_| fixture.to_owned());
        for above in absolute.ancestors().skip(1) {
            candidates.push(above.join("target/policies").join(&name));
        }
        if let Some(found) = candidates.iter().find(|file| file.exists()) {
            return self.file(found);
        }
        self.own.get(module).cloned().ok_or_else(|| missing(module, &candidates))
    }

    fn file(&self, file: &Path) -> Result<Arc<[u8]>, LibraryError> {
        let unreadable = |message: String| LibraryError::Unreadable {
            file: file.to_owned(),
            message,
        };
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = files.get(file) {
            return Ok(Arc::clone(found));
        }
        let length = std::fs::metadata(file).map_err(|error| unreadable(error.to_string()))?.len();
        if length > MODULE_BYTES_MAX {
            return Err(unreadable(format!("it has {length} bytes, {MODULE_BYTES_MAX} are the most")));
        }
        let bytes: Arc<[u8]> = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?.into();
        files.insert(file.to_owned(), Arc::clone(&bytes));
        Ok(bytes)
    }
}

/// Files named in an error.
const LOOKED_MAX: usize = 3;

fn missing(module: &str, looked: &[PathBuf]) -> LibraryError {
    LibraryError::Missing {
        module: module.to_owned(),
        looked: looked.iter().take(LOOKED_MAX).map(|file| file.display().to_string()).collect(),
    }
}

fn digest(source: &ModuleSource) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    for part in [source.instance.as_bytes(), &source.wasm, source.config_json.as_bytes()] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(format!("{:?}", source.limits).as_bytes());
    hash.finalize().into()
}
