//! A deployment in process: the real pipeline, sandbox, ledger and vault, without a socket.

use anyhow::{Context, Result};
use sigwarden_core::caller::{Allow, Client, Clients, KeyPattern, Peer};
use sigwarden_core::key::KeyEntry;
use sigwarden_core::pipeline::{Asked, Limits, Parts};
use sigwarden_core::policy::Binding;
use sigwarden_core::stages::authorize::Keyring;
use sigwarden_core::state::Effect;
use sigwarden_core::{Backend, KeyState, Network, Operation, Pipeline, PolicySet, Refusal, Role, Scheme, SignCall, Signed};
use sigwarden_keys::{IndexEntry, Passphrase, SealedFileBackend, Vault};
use sigwarden_ledger::disk::{Disk, RealDisk};
use sigwarden_ledger::{AdminKind, Administration, EmbeddedLedger, Settings};
use sigwarden_policy::{Engine, EngineSettings, Loaded, ModuleSource, PolicyLimits, Sandbox};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// A component that `cargo xtask policies` built.
///
/// # Errors
/// It is not there.
pub fn component(name: &str) -> Result<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/policies")
        .join(format!("{name}.wasm"));
    std::fs::read(&path).with_context(|| format!("{name}.wasm: run cargo xtask policies"))
}

/// A module with its configuration.
///
/// # Errors
/// It is not there.
pub fn module(instance: &str, name: &str, config_json: String) -> Result<ModuleSource> {
    Ok(ModuleSource {
        instance: instance.to_owned(),
        wasm: component(name)?,
        config_json,
        limits: PolicyLimits {
            // A machine with other loads may not run a thread for a quarter of a second; benchmarks are not of that.
            deadline: Duration::from_secs(10),
            ..PolicyLimits::default()
        },
    })
}

/// Loads modules into a sandbox of their own.
///
/// # Errors
/// One of them is refused.
pub fn sandbox(modules: Vec<ModuleSource>) -> Result<(Engine, Sandbox, Vec<Loaded>)> {
    let engine = Engine::new(EngineSettings::default())?;
    let (sandbox, loaded) = Sandbox::load(&engine, modules, None)?;
    Ok((engine, sandbox, loaded))
}

/// A pipeline with what it writes to.
pub struct Rig {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The ledger behind it.
    pub ledger: Arc<EmbeddedLedger>,
    /// The sealed keys.
    pub backend: Arc<SealedFileBackend>,
    /// Its directory.
    pub dir: PathBuf,
    _home: tempfile::TempDir,
}

/// The peer that may do everything.
pub const PEER: Peer = Peer::User { uid: 1000, gid: 1000 };

/// The rig's key.
pub const KEY: &str = "bench.account";

impl Rig {
    /// A deployment under `base` with one key and these policies, each binding everything.
    ///
    /// # Errors
    /// Any part fails.
    pub fn new(base: &Path, scheme: Scheme, role: Role, modules: Vec<ModuleSource>) -> Result<Self> {
        Self::on(Arc::new(RealDisk), base, scheme, role, modules)
    }

    /// [`Rig::new`] with its ledger on another disk.
    ///
    /// # Errors
    /// Any part fails.
    pub fn on(disk: Arc<dyn Disk>, base: &Path, scheme: Scheme, role: Role, modules: Vec<ModuleSource>) -> Result<Self> {
        let home = home(base)?;
        let passphrase = Passphrase::from_bytes(b"benchmarks only".to_vec())?;
        let vault = Vault::create(&home.path().join("vault"), &passphrase)?;
        vault.generate(&format!("{KEY}.v1").parse()?, scheme, now_ms())?;
        Self::over(disk, home, vault, role, modules)
    }

    /// A deployment under `base` with the keys of a vault, each for `role`.
    ///
    /// # Errors
    /// Any part fails.
    pub fn with_vault(base: &Path, vault: Vault, role: Role, modules: Vec<ModuleSource>) -> Result<Self> {
        Self::over(Arc::new(RealDisk), home(base)?, vault, role, modules)
    }

    fn over(disk: Arc<dyn Disk>, home: tempfile::TempDir, vault: Vault, role: Role, modules: Vec<ModuleSource>) -> Result<Self> {
        let dir = home.path().to_owned();
        let fatal = Arc::new(|reason: &str| eprintln!("the ledger failed: {reason}"));
        let ledger = Arc::new(EmbeddedLedger::create_on(disk, &dir.join("state"), Settings::new(now_ms(), fatal))?);
        let index = vault.index();
        let pinned = |entry: &IndexEntry| Effect::KeyPinned {
            key: entry.id.clone(),
            scheme: entry.scheme,
            public_key: entry.public_key.clone(),
            created_ms: now_ms(),
            state: KeyState::Active,
        };
        ledger.administer(Administration {
            kind: AdminKind::PublicKey,
            operator: "bench".to_owned(),
            reason: "a benchmark".to_owned(),
            now_ms: now_ms(),
            effects: index.iter().map(pinned).collect(),
        })?;

        let (engine, sandbox, loaded) = sandbox(modules)?;
        let bindings = loaded
            .into_iter()
            .map(|loaded| Binding {
                instance: loaded.instance.into(),
                module_digest: loaded.module_digest.into(),
                config_digest: loaded.config_digest.into(),
                version: loaded.manifest.version.into(),
                understands: loaded.manifest.formats,
                keys: None,
                roles: None,
                formats: None,
            })
            .collect();
        let policies = Arc::new(PolicySet {
            bindings,
            evaluator: Box::new(sandbox),
            engine_hash: engine.hash().into(),
        });

        let mut keys = Keyring::default();
        for entry in index {
            keys.insert(KeyEntry {
                id: entry.id,
                roles: BTreeSet::from([role]),
                scheme: entry.scheme,
                public_key: entry.public_key,
                backend: "vault".to_owned(),
                dangerous_allow_raw_messages: true,
                dangerous_allow_raw_digests: false,
                dangerous_allow_prefixed_raw: vec![],
                bound: None,
                rotation: None,
            });
        }
        let backend = Arc::new(SealedFileBackend::new(Arc::new(vault)));
        let allow = Allow {
            keys: vec![KeyPattern::All],
            operations: vec![Operation::Sign, Operation::PublicKey],
            formats: None,
        };
        let pipeline = Pipeline::new(Parts {
            network: Network::Devnet,
            clients: Clients(vec![Arc::new(Client {
                name: "bench".into(),
                uid: Some(1000),
                gid: None,
                san: Vec::new(),
                allow: vec![allow],
            })]),
            keys,
            policies,
            ledger: Arc::clone(&ledger) as Arc<dyn sigwarden_core::Ledger>,
            backends: BTreeMap::from([("vault".to_owned(), Arc::clone(&backend) as Arc<dyn Backend>)]),
            decode: sigwarden_formats::decode,
            clock: Arc::new(now_ms),
            boot_clock: Arc::new(sigwarden::deployment::boot_ms),
            limits: Limits::default(),
            process_id: 1,
        });
        Ok(Self {
            pipeline,
            ledger,
            backend,
            dir,
            _home: home,
        })
    }

    /// One request from start to end.
    ///
    /// # Panics
    /// It is refused: a benchmark of refusals measures nothing.
    pub fn sign(&self, format: &str, payload: Vec<u8>) -> Signed {
        self.sign_with(KEY, format, payload)
    }

    /// Several requests as one thread of the daemon's pool takes them under load.
    ///
    /// # Panics
    /// One is refused.
    pub fn sign_together(&self, format: &str, payloads: impl Iterator<Item = Vec<u8>>) {
        let asked = payloads.map(|payload| Asked {
            peer: PEER,
            call: call(KEY, format, payload),
        });
        let answer = |_, signed: Result<Signed, Refusal>| {
            if let Err(refusal) = signed {
                panic!("a benchmark's request was refused: {refusal}");
            }
        };
        self.pipeline.sign_all(asked.collect(), 1, || (), &answer);
    }

    /// [`Rig::sign`] with another of its keys.
    ///
    /// # Panics
    /// It is refused.
    pub fn sign_with(&self, key: &str, format: &str, payload: Vec<u8>) -> Signed {
        self.pipeline
            .sign(PEER, call(key, format, payload))
            .unwrap_or_else(|refusal| panic!("a benchmark's request was refused: {refusal}"))
    }
}

fn call(key: &str, format: &str, payload: Vec<u8>) -> SignCall {
    SignCall {
        operation: "sign".to_owned(),
        key: key.to_owned(),
        format: format.to_owned(),
        scheme: String::new(),
        request_id: String::new(),
        payload,
        received: Instant::now(),
    }
}

fn home(base: &Path) -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("sigwarden-bench-").tempdir_in(base)?)
}
