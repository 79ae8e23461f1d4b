//! How much memory an evaluation needs: the least limit under which it answers as it did.

use crate::deployment::Evaluated;
use crate::library::{Library, LoadedPolicy};
use sigwarden_core::policy::{Evaluator, Job};
use sigwarden_policy::{LoadError, LoadFault};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a WebAssembly page.
pub(super) const PAGE: u64 = 64 * 1024;

/// Policies by module, configuration and pages. None: it does not even load.
pub(super) struct Memory<'l> {
    library: &'l Library,
    own: BTreeMap<(String, u64), Option<Arc<LoadedPolicy>>>,
}

impl<'l> Memory<'l> {
    pub(super) fn new(library: &'l Library) -> Self {
        Self {
            library,
            own: BTreeMap::new(),
        }
    }

    /// The least memory, in bytes, under which the evaluation has the same verdict.
    pub(super) fn peak(&mut self, policy: &LoadedPolicy, clean: &Evaluated) -> Result<u64, Arc<LoadError>> {
        let mut enough = (policy.source.limits.memory_bytes as u64).div_ceil(PAGE);
        let mut too_little = 0;
        while too_little + 1 < enough {
            let middle = too_little.midpoint(enough);
            match self.answers(policy, clean, middle)? {
                true => enough = middle,
                false => too_little = middle,
            }
        }
        Ok(enough * PAGE)
    }

    fn answers(&mut self, policy: &LoadedPolicy, clean: &Evaluated, pages: u64) -> Result<bool, Arc<LoadError>> {
        let Some(limited) = self.limited(policy, pages)? else {
            return Ok(false);
        };
        let answer = limited.sandbox.evaluate(Job {
            binding: 0,
            ..clean.job.clone()
        });
        Ok(match (&answer, &clean.result) {
            (Ok(answer), Ok(clean)) => answer.verdict == clean.verdict,
            (Ok(_) | Err(_), _) => false,
        })
    }

    fn limited(&mut self, policy: &LoadedPolicy, pages: u64) -> Result<Option<Arc<LoadedPolicy>>, Arc<LoadError>> {
        let key = (format!("{}/{}", policy.loaded.module_digest, policy.loaded.config_digest), pages);
        if let Some(found) = self.own.get(&key) {
            return Ok(found.clone());
        }
        let mut source = policy.source.clone();
        source.limits.memory_bytes = usize::try_from(pages * PAGE).unwrap_or(usize::MAX);
        let loaded = match self.library.load_source(source) {
            Ok(loaded) => Some(loaded),
            Err(error) if is_too_little(&error.fault) => None,
            Err(error) => return Err(error),
        };
        self.own.insert(key, loaded.clone());
        Ok(loaded)
    }
}

/// Its memory at the start, or what its configuration takes, does not fit. Without a cache of compiled code it is configured anew, and
/// what that takes counts too.
fn is_too_little(fault: &LoadFault) -> bool {
    matches!(fault, LoadFault::Shape(_) | LoadFault::Call { .. } | LoadFault::Snapshot(_))
}
