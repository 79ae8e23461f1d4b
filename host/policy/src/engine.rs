//! What wasmtime is told. Every setting that matters is written down, since defaults drift between versions.

use crate::functions::OfThisThread;
use crate::limiter::{INSTANCES_MAX, MEMORIES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};
use crate::settings::EngineSettings;
use crate::snapshot::ACCESSOR_BYTES;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use wasmtime::component::Component;
use wasmtime::{
    Config, Enabled, Inlining, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, RegallocAlgorithm, Strategy,
    WasmBacktraceDetails, WasmFeatures,
};

/// How often the epoch advances. A deadline is kept to within two of these.
const TICK: Duration = Duration::from_millis(10);

/// Wasm stack of a guest. Evaluations run on threads of 2 MiB or more, so that the host's own frames fit on top of it.
const STACK_BYTES: usize = 256 * 1024;

/// Memory that a pool slot keeps between two guests, reset in place instead of unmapped: a guest touches some 30 pages of it.
const KEEP_RESIDENT_BYTES: usize = 256 * 1024;

/// Slots for linear memories in the pool, at least. A slot is fast for the module that used it last, so there are more than
/// instances: each of some modules finds its own on each of some cores. A slot costs address space, and what it keeps resident.
const SLOTS_MIN: u32 = 64;

/// Address space of one slot: all that a 32-bit address can reach, so that the guard behind it replaces bounds checks.
const RESERVATION_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// The guard behind a slot: all that a constant offset of a load can add. Smaller ones make bounds checks come back.
const GUARD_BYTES: u64 = 32 * 1024 * 1024;

/// What Rust's guests and the snapshot need, and nothing else. Bulk memory: `memory.copy`, and the passive segments that the
/// snapshot leaves; overlong call-indirect: the part of reference types that LLVM's linker emits.
const WASM_FEATURES: WasmFeatures = WasmFeatures::FLOATS
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::COMPONENT_MODEL);

/// The engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The settings ask for more than a policy can be given.
    #[error("the sandbox has {0}; at least one instance, and from 64 KiB to 2 GiB of memory, are wanted")]
    Settings(String),
    /// wasmtime refuses.
    #[error("the sandbox does not start: {0}")]
    Wasmtime(String),
    /// There is no thread for the deadlines.
    #[error("the thread that ticks the sandbox's deadlines does not start: {0}")]
    Ticker(#[source] std::io::Error),
}

/// A compiler and a pool of memory for instances, shared by all policies. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    wasmtime: wasmtime::Engine,
    settings: EngineSettings,
    hash: String,
    kept: Mutex<HashMap<[u8; 32], Component>>,
    // Dropped with the engine, which ends the ticker.
    _alive: mpsc::Sender<()>,
}

impl Engine {
    /// An engine, with the thread that ticks its deadlines. The thread ends with the last clone.
    ///
    /// # Errors
    /// The settings make no sense, or this machine cannot give the address space or the thread.
    pub fn new(settings: EngineSettings) -> Result<Self, EngineError> {
        if settings.instances == 0 {
            return Err(EngineError::Settings("no instances".to_owned()));
        }
        if !(64 * 1024..=2 * 1024 * 1024 * 1024).contains(&settings.memory_bytes) {
            return Err(EngineError::Settings(format!("{} bytes of memory", settings.memory_bytes)));
        }
        let wasmtime = config(&settings).and_then(|config| wasmtime::Engine::new(&config));
        let wasmtime = wasmtime.map_err(|error| EngineError::Wasmtime(format!("{error:#}")))?;
        let hash = hash(&wasmtime);
        let (alive, ended) = mpsc::channel();
        let ticking = wasmtime.weak();
        let tick = move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                match ticking.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        };
        let ticker = std::thread::Builder::new().name("policy-deadlines".to_owned()).spawn(tick);
        ticker.map_err(EngineError::Ticker)?;
        let inner = Inner {
            wasmtime,
            settings,
            hash,
            kept: Mutex::default(),
            _alive: alive,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Identifies compiler, settings and target, in hex: code compiled under one hash runs under no other. Records carry it.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.inner.hash
    }

    /// The unconfigured code of a module, by the SHA-256 of what is compiled: kept, or made now.
    pub(crate) fn kept<E>(&self, digest: [u8; 32], compile: impl FnOnce() -> Result<Component, E>) -> Result<Component, E> {
        let kept = || self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = kept().get(&digest) {
            return Ok(component.clone());
        }
        // Two threads may both compile it; what they make is the same.
        let component = compile()?;
        let mut kept = kept();
        if kept.len() < self.inner.settings.kept_modules {
            kept.insert(digest, component.clone());
        }
        Ok(component)
    }

    pub(crate) fn settings(&self) -> &EngineSettings {
        &self.inner.settings
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.wasmtime
    }

    /// A deadline in ticks, not under the duration, up to a year: wasmtime adds it to the ticks so far.
    pub(crate) fn ticks(deadline: Duration) -> u64 {
        let ticks = deadline.as_nanos().div_ceil(TICK.as_nanos()) + 1;
        u64::from(u32::try_from(ticks).unwrap_or(u32::MAX))
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("hash", &self.inner.hash).finish_non_exhaustive()
    }
}

fn config(settings: &EngineSettings) -> Result<Config, wasmtime::Error> {
    let mut config = Config::new();

    // What a module may be.
    config.wasm_features(WasmFeatures::all(), false);
    config.wasm_features(WASM_FEATURES, true);
    config.concurrency_support(false);
    config.shared_memory(false);

    // How long it may run, and how deep. Fuel decides, being the same everywhere; the epoch is the backstop.
    config.consume_fuel(true);
    config.epoch_interruption(true);
    config.max_wasm_stack(STACK_BYTES);

    // The same answer on every machine.
    config.strategy(Strategy::Cranelift);
    if settings.quick_code {
        config.cranelift_opt_level(OptLevel::None);
        config.cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    } else {
        config.cranelift_opt_level(OptLevel::Speed);
        // Quick code is compiled again sooner than it is found.
        config.enable_incremental_compilation(Arc::new(OfThisThread))?;
    }
    config.cranelift_nan_canonicalization(true);
    config.cranelift_debug_verifier(false);
    config.compiler_inlining(Inlining::No);

    // What keeps a guest inside. Spectre mitigations of heap and table accesses are Cranelift's own default and stand on
    // signals-based traps; the setter for them is unsafe, so a test reads them off compiled code instead.
    config.signals_based_traps(true);
    config.memory_reservation(RESERVATION_BYTES);
    config.memory_guard_size(GUARD_BYTES);
    config.guard_before_linear_memory(true);
    config.memory_may_move(false);

    // Nothing about a guest's inside in errors or compiled code.
    config.wasm_backtrace_max_frames(None);
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config.native_unwind_info(false);
    config.debug_info(false);
    config.debug_symbols(false);
    config.generate_address_map(false);

    // A fresh instance in microseconds: a snapshot is mapped copy-on-write into a slot that waits for it.
    config.memory_init_cow(true);
    config.memory_guaranteed_dense_image_size(settings.memory_bytes as u64);
    config.table_lazy_init(true);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(settings)));
    Ok(config)
}

fn pool(settings: &EngineSettings) -> PoolingAllocationConfig {
    let instances = settings.instances;
    let slots = instances.max(SLOTS_MIN);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances);
    pool.total_core_instances(instances.saturating_mul(INSTANCES_MAX));
    pool.max_core_instances_per_component(INSTANCES_MAX);
    pool.total_memories(slots);
    pool.max_memories_per_component(MEMORIES_MAX);
    pool.max_memories_per_module(MEMORIES_MAX);
    pool.max_memory_size(settings.memory_bytes + ACCESSOR_BYTES);
    pool.total_tables(slots.saturating_mul(TABLES_MAX));
    pool.max_tables_per_component(TABLES_MAX);
    pool.max_tables_per_module(TABLES_MAX);
    pool.table_elements(TABLE_ELEMENTS_MAX);
    pool.max_unused_warm_slots(slots);
    pool.linear_memory_keep_resident(KEEP_RESIDENT_BYTES);
    pool.table_keep_resident(TABLE_ELEMENTS_MAX * size_of::<usize>());
    pool.pagemap_scan(Enabled::Auto);
    pool.decommit_batch_size(1);
    pool
}

/// BLAKE3 over what wasmtime says compiled code depends on (its version, target, flags, tunables, features), and what this crate
/// adds to it.
fn hash(engine: &wasmtime::Engine) -> String {
    let mut hasher = Blake3(blake3::Hasher::new());
    hasher.write(b"sigwarden engine 1\0");
    engine.precompile_compatibility_hash().hash(&mut hasher);
    (std::env::consts::ARCH, std::env::consts::OS, STACK_BYTES).hash(&mut hasher);
    hasher.0.finalize().to_hex().to_string()
}

struct Blake3(blake3::Hasher);

impl Hasher for Blake3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests"
    )]
    use super::*;
    use wasmtime::component::Component;

    fn engine() -> Engine {
        Engine::new(EngineSettings::default()).unwrap()
    }

    #[test]
    fn spectre_mitigations_are_compiled_in() {
        // Compiled code names the flags that it was compiled with: length and name, a tag for "boolean", the value.
        let code = Component::from_binary(engine().wasmtime(), b"\0asm\x0d\0\x01\0")
            .unwrap()
            .serialize()
            .unwrap();
        for (flag, on) in [
            ("enable_heap_access_spectre_mitigation", true),
            ("enable_table_access_spectre_mitigation", true),
            ("enable_nan_canonicalization", true),
            ("unwind_info", false),
        ] {
            let at = code.windows(flag.len()).position(|window| window == flag.as_bytes()).expect(flag) + flag.len();
            let value = &code[at..at + 2];
            assert_eq!(value[1], u8::from(on), "{flag}: {value:?}");
        }
    }

    #[test]
    fn the_ticker_ends_with_the_engine() {
        let engine = engine();
        let weak = engine.wasmtime().weak();
        let clone = engine.clone();
        drop(engine);
        assert!(weak.upgrade().is_some());
        drop(clone);
        // The ticker holds the engine for no longer than a tick.
        while weak.upgrade().is_some() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_deadline_is_never_shorter_than_asked() {
        assert_eq!(Engine::ticks(Duration::ZERO), 1);
        assert_eq!(Engine::ticks(Duration::from_millis(1)), 2);
        assert_eq!(Engine::ticks(Duration::from_millis(250)), 26);
        assert_eq!(Engine::ticks(Duration::MAX), u64::from(u32::MAX));
    }
}
