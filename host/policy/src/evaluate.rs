//! One evaluation: a fresh store and a fresh instance, one call, and what became of it.

use crate::cache::CodeCache;
use crate::convert;
use crate::engine::Engine;
use crate::error::{LoadError, LoadFault};
use crate::failure::{classify, failure};
use crate::guest::{Guest, HostCallFault};
use crate::load::{self, Loaded, ModuleSource};
use crate::settings::PolicyLimits;
use crate::wit::PolicyPre;
use crate::wit::sigwarden::policy::types;
use sigwarden_core::policy::{EvaluationFailure, Evaluator, FailureKind, Job, Report};
use sigwarden_core::staging::Staging;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, Linker};

/// Stack of a thread that loads: Cranelift recurses as deep as a module's blocks nest.
const LOAD_STACK_BYTES: usize = 8 * 1024 * 1024;

/// The policies of a deployment, loaded and configured.
pub struct Sandbox {
    engine: Engine,
    modules: Vec<Module>,
}

/// One loaded policy.
pub(crate) struct Module {
    instance: Arc<str>,
    pre: PolicyPre<Guest>,
    evaluate: ComponentExportIndex,
    denial_codes: Vec<String>,
    limits: PolicyLimits,
    ticks: u64,
    fault: Option<HostCallFault>,
}

impl Sandbox {
    /// Loads modules, in order: `Job::binding` indexes them. Compiled code is taken from the cache and put there; without one, every
    /// module is compiled anew.
    ///
    /// # Errors
    /// The first module that does not load, with its instance and the reason.
    pub fn load(engine: &Engine, sources: Vec<ModuleSource>, cache: Option<&CodeCache>) -> Result<(Self, Vec<Loaded>), LoadError> {
        let linker = load::linker(engine).map_err(host_fault)?;
        let mut modules = Vec::with_capacity(sources.len());
        let mut all = Vec::with_capacity(sources.len());
        for some in sources.chunks(std::thread::available_parallelism().map_or(1, NonZero::get)) {
            for loaded in side_by_side(engine, &linker, some, cache)? {
                let (module, loaded) = loaded?;
                modules.push(module);
                all.push(loaded);
            }
        }
        let engine = engine.clone();
        Ok((Self { engine, modules }, all))
    }

    /// Makes a fresh instance of every policy, within the limits of its evaluations, and asks it for its configuration's digest.
    ///
    /// # Errors
    /// The first that could not evaluate anything.
    pub fn self_test(&self) -> Result<(), LoadError> {
        for module in &self.modules {
            module.self_test(&self.engine).map_err(|failure| LoadError {
                instance: Some(module.instance.to_string()),
                fault: LoadFault::SelfTest(failure.to_string()),
            })?;
        }
        Ok(())
    }

    /// Makes one host call of every evaluation of a binding fail, or none. For tests of what a half-done evaluation leaves behind.
    pub fn fail_host_call(&mut self, binding: usize, fault: Option<HostCallFault>) {
        if let Some(module) = self.modules.get_mut(binding) {
            module.fault = fault;
        }
    }
}

type LoadResult = Result<(Module, Loaded), LoadError>;

/// Loads each module on a thread of its own, with a stack that compiler and guest are at home on.
fn side_by_side(
    engine: &Engine,
    linker: &Linker<Guest>,
    sources: &[ModuleSource],
    cache: Option<&CodeCache>,
) -> Result<Vec<LoadResult>, LoadError> {
    std::thread::scope(|scope| {
        let thread = || {
            std::thread::Builder::new()
                .name("policy-load".to_owned())
                .stack_size(LOAD_STACK_BYTES)
        };
        let spawn = |source| thread().spawn_scoped(scope, move || load::load(engine, linker, source, cache));
        let threads = sources.iter().map(spawn).collect::<Result<Vec<_>, _>>();
        let threads = threads.map_err(|error| host_fault(LoadFault::Host(format!("no thread to load a policy on: {error}"))))?;
        let join = |thread: ScopedJoinHandle<'_, LoadResult>| thread.join();
        let joined = threads.into_iter().map(join).collect::<Result<Vec<_>, _>>();
        joined.map_err(|_| host_fault(LoadFault::Host("loading a policy panicked".to_owned())))
    })
}

fn host_fault(fault: LoadFault) -> LoadError {
    LoadError { instance: None, fault }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let instances = self.modules.iter().map(|module| &module.instance);
        f.debug_list().entries(instances).finish()
    }
}

impl Evaluator for Sandbox {
    fn evaluate(&self, job: Job) -> Result<Report, EvaluationFailure> {
        match self.modules.get(job.binding) {
            Some(module) => module.evaluate(&self.engine, job),
            None => Err(failure(FailureKind::Host, "there is no such policy in the sandbox")),
        }
    }
}

impl Module {
    /// `None`: it does not export `evaluate`, which the type check of [`PolicyPre`] has ruled out.
    pub(crate) fn new(source: &ModuleSource, pre: PolicyPre<Guest>, denial_codes: Vec<String>) -> Option<Self> {
        let evaluate = pre.instance_pre().component().get_export_index(None, "evaluate")?;
        Some(Self {
            instance: Arc::from(source.instance.as_str()),
            pre,
            evaluate,
            denial_codes,
            ticks: Engine::ticks(source.limits.deadline),
            limits: source.limits.clone(),
            fault: None,
        })
    }

    fn self_test(&self, engine: &Engine) -> Result<(), EvaluationFailure> {
        let limits = &self.limits;
        let guest = Guest::loading(Arc::clone(&self.instance), limits.memory_bytes, limits.host_call_bytes);
        let mut store = Store::new(engine.wasmtime(), guest);
        store.limiter(|guest| &mut guest.limiter);
        store.set_fuel(limits.fuel).map_err(|error| classify(&error))?;
        store.set_epoch_deadline(self.ticks);
        store.set_hostcall_fuel(limits.host_call_bytes);
        let policy = self.pre.instantiate(&mut store).map_err(|error| classify(&error))?;
        let digest = policy.call_config_digest(&mut store).map_err(|error| classify(&error))?;
        match digest.len() {
            0 => Err(failure(FailureKind::Malformed, "it gives no digest of its configuration")),
            _ => Ok(()),
        }
    }

    fn evaluate(&self, engine: &Engine, job: Job) -> Result<Report, EvaluationFailure> {
        let Job { request, snapshot, .. } = job;
        let limits = &self.limits;
        let staging = Staging::new(snapshot, Arc::clone(&self.instance), request.now_ms);
        let guest = Guest::loading(Arc::clone(&self.instance), limits.memory_bytes, limits.host_call_bytes);
        let mut store = Store::new(engine.wasmtime(), guest.evaluating(staging, self.fault));
        store.limiter(|guest| &mut guest.limiter);
        store.set_fuel(limits.fuel).map_err(|error| classify(&error))?;
        store.set_epoch_deadline(self.ticks);
        // Of what crosses at once; `Guest` counts what crosses in all.
        store.set_hostcall_fuel(limits.host_call_bytes);

        let verdict = convert::with_request(&request, |request, bytes| {
            let paid = store.data_mut().spend(bytes);
            paid.map_err(|fault| classify(&fault.into()))?;
            // Not `PolicyPre::instantiate`, which looks every export up and checks its type again.
            let instance = self.pre.instance_pre().instantiate(&mut store).map_err(|error| classify(&error))?;
            let evaluate = instance.get_typed_func::<(types::Request<'_>,), (types::Verdict,)>(&mut store, self.evaluate);
            let (verdict,) = evaluate
                .and_then(|evaluate| evaluate.call(&mut store, (request,)))
                .map_err(|error| classify(&error))?;
            Ok(verdict)
        })?;
        let verdict = convert::verdict(verdict, &self.denial_codes)?;
        let fuel = store.get_fuel().map_err(|error| classify(&error))?;
        let guest = store.into_data();
        Ok(Report {
            verdict,
            changes: guest.staging.map(Staging::into_changes).unwrap_or_default(),
            fuel: limits.fuel.saturating_sub(fuel),
            log: guest.log.into_lines(),
        })
    }
}
