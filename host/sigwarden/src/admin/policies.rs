//! Policies: pins, and modules that are replaced under a running daemon.

use super::{Administrator, Daemon, NotDone, edit};
use crate::config::{Config, Policy};
use crate::deployment::{changed_policies, load_policies};
use crate::embedded;
use crate::proto::admin as wire;
use sha2::{Digest, Sha256};
use sigwarden_core::state::Effect;
use sigwarden_core::{Ledger, PolicySet};
use sigwarden_ledger::AdminKind;
use sigwarden_policy::{Engine, EngineSettings};
use std::sync::Arc;

impl Administrator {
    /// Pins a policy's module in sigwarden.toml. In a daemon it runs from then on: whatever would stop a start stops this first, and the
    /// daemon goes on with what it has.
    ///
    /// # Errors
    /// There is no such policy, or a start with it would fail.
    pub fn pin_policy(&self, request: wire::PinPolicyRequest) -> Result<wire::PinPolicyResponse, NotDone> {
        let _turn = self.turn();
        let file = Config::load(&self.config().dir)?;
        let policy = find_policy(&file, &request.name)?;
        let wasm = match request.embedded {
            true => of_binary(policy)?,
            false => crate::deployment::read_module_file(policy)?,
        };
        // A module that could not start is not pinned.
        let fresh;
        let engine = match self.daemon() {
            Some(daemon) => &daemon.engine,
            None => {
                fresh = Engine::new(EngineSettings::default())?;
                &fresh
            }
        };
        let inspection = sigwarden_policy::inspect(engine, &wasm).map_err(|error| NotDone::no(error.to_string()))?;
        let text = edit::pinned(&file, &request.name, &inspection.digest)?;
        let mut policy = policy.clone();
        policy.sha256 = Some(Sha256::digest(&wasm).into());
        let next = match self.daemon() {
            Some(daemon) => Some((daemon, self.next_set(daemon, &policy, &wasm)?)),
            None => None,
        };
        if request.embedded {
            edit::replace(&policy.module, &wasm, 0o644)?;
        }
        edit::write(&file.file, &text)?;
        let mut response = wire::PinPolicyResponse {
            policy: request.name,
            sha256: inspection.digest,
            version: inspection.manifest.version,
            in_force: false,
            changed: Vec::new(),
        };
        if let Some((daemon, next)) = next {
            response.changed = next.changed.iter().filter_map(instance).collect();
            if !next.changed.is_empty() {
                // Recorded first: no decision names a policy that the log does not know.
                self.record(AdminKind::PolicySet, "policy pin", next.changed)?;
            }
            daemon.pipeline.replace_policies(Arc::new(next.set));
            self.replace_config(|config| *config = next.config);
            tracing::info!(policy = response.policy, sha256 = response.sha256, changed = ?response.changed, "replaced the policies");
            response.in_force = true;
        }
        Ok(response)
    }

    /// The policies in force with one of them replaced, loaded as a start would.
    fn next_set(&self, daemon: &Daemon, policy: &Policy, wasm: &[u8]) -> Result<Next, NotDone> {
        let mut config = Config::clone(&self.config());
        let place = config.policies.iter_mut().find(|other| other.name == policy.name);
        let place = place.ok_or_else(|| {
            NotDone::no(format!(
                "the daemon was started without a `[[policy]]` `{}`; it takes a new one at its next start",
                policy.name
            ))
        })?;
        *place = policy.clone();
        let given = Some((policy.module.as_path(), wasm));
        let (set, loaded) = load_policies(&config, &daemon.engine, daemon.backends.vault(), given)?;
        let changed = changed_policies(&loaded, &daemon.ledger.snapshot());
        Ok(Next { config, set, changed })
    }
}

struct Next {
    config: Config,
    set: PolicySet,
    changed: Vec<Effect>,
}

fn instance(effect: &Effect) -> Option<String> {
    if let Effect::PolicyInstance { instance, .. } = effect {
        return Some(instance.to_string());
    }
    None
}

fn find_policy<'c>(config: &'c Config, name: &str) -> Result<&'c Policy, NotDone> {
    config.policies.iter().find(|policy| policy.name == name).ok_or_else(|| {
        let known: Vec<&str> = config.policies.iter().map(|policy| policy.name.as_str()).collect();
        NotDone::no(format!(
            "there is no `[[policy]]` of the name `{name}`; there are {}",
            known.join(", ")
        ))
    })
}

/// The reference policy of the module's file name.
fn of_binary(policy: &Policy) -> Result<Vec<u8>, NotDone> {
    let stem = policy
        .module
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let wasm = embedded::policy(&stem);
    let wasm = wasm.ok_or_else(|| {
        NotDone::no(format!(
            "this binary carries no policy `{stem}`; without --embedded the file is pinned as it is"
        ))
    })?;
    Ok(wasm.to_vec())
}
