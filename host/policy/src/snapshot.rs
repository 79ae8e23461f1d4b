//! The configured memory of an instance, written into its module: `wasmtime-wizer`'s component API, without its `wasmtime` feature,
//! which would bring garbage collection, threads and async along.

use crate::error::LoadFault;
use crate::guest::Guest;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasmtime::Store;
use wasmtime::component::{Instance, Lift, WasmList};
use wasmtime_wizer::{ComponentContext, ComponentInstanceState, Wizer};

/// What reading the memory takes besides, none of which is kept: each of two readings puts its answer into a page of its own.
pub(crate) const ACCESSOR_BYTES: usize = 2 * 64 * 1024;

/// A module with accessors to all of its memory and globals.
pub(crate) struct Instrumented<'a> {
    context: ComponentContext<'a>,
    wasm: Vec<u8>,
}

impl<'a> Instrumented<'a> {
    /// Adds the accessors.
    ///
    /// # Errors
    /// The module does what a snapshot cannot hold: it writes to tables, drops segments, nests components.
    pub(crate) fn new(wasm: &'a [u8]) -> Result<Self, LoadFault> {
        let instrumented = guarded(|| Wizer::new().instrument_component(wasm))?;
        let (context, wasm) = instrumented.map_err(|error| LoadFault::Snapshot(format!("{error:#}")))?;
        Ok(Self { context, wasm })
    }

    /// The module with its accessors.
    pub(crate) fn wasm(&self) -> &[u8] {
        &self.wasm
    }

    /// The original module with the memory and globals of `instance`, which is one of [`Self::wasm`].
    ///
    /// # Errors
    /// A single accessor that failed: half a memory would be a configuration that nobody wrote.
    pub(crate) fn snapshot(&self, store: &mut Store<Guest>, instance: Instance) -> Result<Vec<u8>, LoadFault> {
        let mut accessors = Accessors {
            store,
            instance,
            poison: None,
        };
        let snapshot = guarded(|| {
            let wizer = Wizer::new();
            let future = pin!(wizer.snapshot_component(&self.context, &mut accessors));
            // Every accessor below is ready at once.
            match future.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(snapshot) => snapshot.map_err(|error| LoadFault::Snapshot(format!("{error:#}"))),
                Poll::Pending => Err(LoadFault::Snapshot("an accessor is not ready".to_owned())),
            }
        });
        match accessors.poison {
            Some(poison) => Err(LoadFault::Snapshot(poison)),
            None => snapshot?,
        }
    }
}

/// Wizer panics where it meets what it did not expect; a module that gets it there is refused like any other.
fn guarded<R>(work: impl FnOnce() -> R) -> Result<R, LoadFault> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| LoadFault::Snapshot("its form is none that the snapshot knows".to_owned()))
}

struct Accessors<'a> {
    store: &'a mut Store<Guest>,
    instance: Instance,
    /// The first failure. What was read after it means nothing.
    poison: Option<String>,
}

impl Accessors<'_> {
    fn call<R: Lift + 'static>(&mut self, instance: &str, function: &str) -> Option<R> {
        match self.try_call(instance, function) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.poison.get_or_insert(format!("`{function}` cannot be read: {reason}"));
                None
            }
        }
    }

    fn try_call<R: Lift + 'static>(&mut self, instance: &str, function: &str) -> Result<R, String> {
        let missing = || "there is no accessor".to_owned();
        let export = self
            .instance
            .get_export_index(&mut *self.store, None, instance)
            .ok_or_else(missing)?;
        let export = self
            .instance
            .get_export_index(&mut *self.store, Some(&export), function)
            .ok_or_else(missing)?;
        let accessor = self.instance.get_typed_func::<(), (R,)>(&mut *self.store, export);
        let accessor = accessor.map_err(|error| format!("{error:#}"))?;
        let (value,) = accessor.call(&mut *self.store, ()).map_err(|error| format!("{error:#}"))?;
        Ok(value)
    }
}

impl ComponentInstanceState for Accessors<'_> {
    async fn call_func_ret_list_u8(&mut self, instance: &str, func: &str, contents: impl FnOnce(&[u8]) + Send) {
        match self.call::<WasmList<u8>>(instance, func) {
            Some(list) => contents(list.as_le_slice(&*self.store)),
            None => contents(&[]),
        }
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func).unwrap_or(0)
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func).unwrap_or(0)
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.call::<f32>(instance, func).map_or(0, f32::to_bits)
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.call::<f64>(instance, func).map_or(0, f64::to_bits)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use crate::engine::Engine;
    use crate::settings::EngineSettings;
    use wasmtime::component::{Component, Linker};

    /// A memory and a global, and nothing that a policy would need.
    const WAT: &str = r#"(component
        (core module $m (memory (export "m") 1) (global (mut i64) (i64.const 5)) (data (i32.const 8) "x"))
        (core instance (instantiate $m)))"#;

    fn snapshot(original: &[u8], instantiated: &[u8], instrumented: &Instrumented<'_>) -> Result<Vec<u8>, LoadFault> {
        assert!(original.len() < instrumented.wasm().len());
        let engine = Engine::new(EngineSettings::default()).unwrap();
        let component = Component::from_binary(engine.wasmtime(), instantiated).unwrap();
        let mut store = Store::new(engine.wasmtime(), Guest::loading("tested".into(), 65536 + ACCESSOR_BYTES, 65536));
        store.limiter(|guest| &mut guest.limiter);
        store.set_fuel(1_000_000).unwrap();
        store.set_hostcall_fuel(65536 + ACCESSOR_BYTES);
        store.set_epoch_deadline(u64::from(u32::MAX));
        let linker = Linker::new(engine.wasmtime());
        let instance = linker.instantiate(&mut store, &component).unwrap();
        instrumented.snapshot(&mut store, instance)
    }

    #[test]
    fn memory_and_globals_are_kept() {
        let original = wat::parse_str(WAT).unwrap();
        let instrumented = Instrumented::new(&original).unwrap();
        let kept = snapshot(&original, instrumented.wasm(), &instrumented).unwrap();
        // A data segment of one byte at 8 again, and the global's value.
        assert!(kept.windows(5).any(|bytes| bytes == [0x41, 8, 0x0b, 1, b'x']));
        assert!(kept.windows(3).any(|bytes| bytes == [0x42, 5, 0x0b]));
    }

    #[test]
    fn one_accessor_that_fails_poisons_the_snapshot() {
        let original = wat::parse_str(WAT).unwrap();
        let instrumented = Instrumented::new(&original).unwrap();
        // An instance without accessors.
        let fault = snapshot(&original, &original, &instrumented).unwrap_err();
        assert!(
            matches!(&fault, LoadFault::Snapshot(what) if what.ends_with("cannot be read: there is no accessor")),
            "{fault}"
        );
    }

    #[test]
    fn what_makes_the_snapshot_panic_is_a_refusal() {
        // Wizer adds its accessors to the exports of a module, and panics later if there are none.
        let original = wat::parse_str(WAT.replace(r#"(export "m")"#, "")).unwrap();
        let instrumented = Instrumented::new(&original).unwrap();
        let fault = snapshot(&original, instrumented.wasm(), &instrumented).unwrap_err();
        assert_eq!(fault, LoadFault::Snapshot("its form is none that the snapshot knows".to_owned()));
    }
}
