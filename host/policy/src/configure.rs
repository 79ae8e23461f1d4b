//! `describe` and `configure`, each in an instance of its own where every import but `log` traps, and the snapshot of what
//! `configure` left behind. From then on an evaluation begins where the configuration ended.

use crate::cache::{CodeCache, CodeKey};
use crate::engine::Engine;
use crate::error::{ConfigProblem, LoadFault};
use crate::failure::classify;
use crate::guest::Guest;
use crate::load::{self, Configured, ModuleSource};
use crate::manifest::RawManifest;
use crate::snapshot::{ACCESSOR_BYTES, Instrumented};
use crate::text;
use crate::wit::sigwarden::policy::types::Problem;
use crate::wit::{Policy, PolicyIndices, PolicyPre};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use wasmtime::component::{Instance, Linker};
use wasmtime::{Error, Store};

/// Problems that are shown; a broken list has one for each entry.
const PROBLEMS_MAX: usize = 32;
/// Bytes of a problem's path or message.
const PROBLEM_MAX: usize = 512;
/// Bytes of a digest at most: SHA-512.
const DIGEST_MAX: usize = 64;

/// Compiles, describes and configures a module, and gives the component that begins where its configuration ended. What does not depend
/// on the configuration is taken from the cache and put there.
pub(crate) fn configured(
    engine: &Engine,
    linker: &Linker<Guest>,
    source: &ModuleSource,
    cache: Option<&CodeCache>,
) -> Result<Configured, LoadFault> {
    let memory_bytes = source.limits.memory_bytes;
    let instrumented = match Instrumented::new(&source.wasm) {
        Ok(instrumented) => instrumented,
        Err(fault) => {
            // That it imports what it may not, or does not compile, is worth more to know.
            load::check(engine, &load::compile(engine, &source.wasm)?, memory_bytes)?;
            return Err(fault);
        }
    };
    let name: Arc<str> = Arc::from(source.instance.as_str());
    let key = CodeKey::unconfigured(Sha256::digest(instrumented.wasm()).into(), engine.hash());
    let (pre, raw) = match cache.and_then(|cache| cache.get(engine, &key)) {
        Some((component, raw)) => {
            load::check(engine, &component, memory_bytes)?;
            (load::pre(linker, &component)?, raw)
        }
        None => {
            let component = engine.kept(key.module, || load::compile(engine, instrumented.wasm()))?;
            load::check(engine, &component, memory_bytes)?;
            let pre = load::pre(linker, &component)?;
            let raw = describe(engine, &pre, &name, memory_bytes)?;
            raw.check().map_err(LoadFault::Manifest)?;
            if let Some(cache) = cache {
                cache.put(&key, &component, &raw);
            }
            (pre, raw)
        }
    };

    let mut configured = Loading::begin(engine, &pre, &name, memory_bytes, "configure")?;
    configured.configure(engine, &source.config_json)?;
    let before = configured.digest(engine)?;
    let snapshot = configured.snapshot(engine, &instrumented)?;
    drop(configured);

    let component = match cache {
        Some(cache) => {
            let mut functions = cache.functions(&key);
            let component = functions.while_compiling(|| load::compile(engine, &snapshot))?;
            if functions.changed() {
                cache.put_functions(&key, &functions);
            }
            component
        }
        None => load::compile(engine, &snapshot)?,
    };
    let pre = load::pre(linker, &component)?;
    let after = Loading::begin(engine, &pre, &name, memory_bytes, "config-digest")?.digest(engine)?;
    if before != after {
        return Err(LoadFault::Digest {
            before: hex::encode(before),
            after: hex::encode(after),
        });
    }
    Ok((component, raw))
}

/// Asks a module what it is.
pub(crate) fn describe(engine: &Engine, pre: &PolicyPre<Guest>, name: &Arc<str>, memory_bytes: usize) -> Result<RawManifest, LoadFault> {
    let mut loading = Loading::begin(engine, pre, name, memory_bytes, "describe")?;
    let manifest = loading
        .policy
        .call_describe(&mut loading.store)
        .map_err(|error| failed("describe", &error))?;
    Ok(RawManifest::from(manifest))
}

/// An instance at load, with limits of its own.
struct Loading {
    store: Store<Guest>,
    instance: Instance,
    policy: Policy,
    memory_bytes: usize,
}

impl Loading {
    fn begin(engine: &Engine, pre: &PolicyPre<Guest>, name: &Arc<str>, memory_bytes: usize, call: &'static str) -> Result<Self, LoadFault> {
        let bytes = engine.settings().load.host_call_bytes;
        let mut store = Store::new(engine.wasmtime(), Guest::loading(Arc::clone(name), memory_bytes, bytes));
        store.limiter(|guest| &mut guest.limiter);
        refuel(engine, &mut store, call)?;
        store.set_hostcall_fuel(bytes);
        let begun = pre.instance_pre().instantiate(&mut store).and_then(|instance| {
            let policy = PolicyIndices::new(pre.instance_pre())?.load(&mut store, &instance)?;
            Ok((instance, policy))
        });
        let (instance, policy) = begun.map_err(|error| failed(call, &error))?;
        Ok(Self {
            store,
            instance,
            policy,
            memory_bytes,
        })
    }

    fn configure(&mut self, engine: &Engine, config: &str) -> Result<(), LoadFault> {
        refuel(engine, &mut self.store, "configure")?;
        let answer = self
            .policy
            .call_configure(&mut self.store, config)
            .map_err(|error| failed("configure", &error))?;
        answer.map_err(|problems| LoadFault::Configuration(problems.iter().take(PROBLEMS_MAX).map(problem).collect()))
    }

    fn digest(&mut self, engine: &Engine) -> Result<Vec<u8>, LoadFault> {
        refuel(engine, &mut self.store, "config-digest")?;
        let digest = self
            .policy
            .call_config_digest(&mut self.store)
            .map_err(|error| failed("config-digest", &error))?;
        if digest.is_empty() || digest.len() > DIGEST_MAX {
            let what = format!("`config-digest` gave {} bytes; a digest has 1 to {DIGEST_MAX}", digest.len());
            return Err(LoadFault::Snapshot(what));
        }
        Ok(digest)
    }

    fn snapshot(&mut self, engine: &Engine, instrumented: &Instrumented<'_>) -> Result<Vec<u8>, LoadFault> {
        refuel(engine, &mut self.store, "configure")?;
        // An accessor hands over the whole memory at once, and first grows it for its own answer.
        let memory_bytes = self.memory_bytes + ACCESSOR_BYTES;
        self.store.data_mut().limiter.memory_bytes = memory_bytes;
        self.store.set_hostcall_fuel(memory_bytes);
        instrumented.snapshot(&mut self.store, self.instance)
    }
}

/// Each call gets the whole of its limits.
fn refuel(engine: &Engine, store: &mut Store<Guest>, call: &'static str) -> Result<(), LoadFault> {
    let limits = &engine.settings().load;
    store.set_epoch_deadline(Engine::ticks(limits.deadline));
    store.set_fuel(limits.fuel).map_err(|error| failed(call, &error))
}

fn failed(call: &'static str, error: &Error) -> LoadFault {
    LoadFault::Call {
        call,
        failure: classify(error),
    }
}

fn problem(problem: &Problem) -> ConfigProblem {
    ConfigProblem {
        path: text::escape(&problem.path, PROBLEM_MAX),
        message: text::escape(&problem.message, PROBLEM_MAX),
    }
}
