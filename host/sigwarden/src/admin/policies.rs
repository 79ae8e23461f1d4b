//! Policies: pins, and modules that are replaced under a running daemon.

use super::{Administrator, Daemon, NotDone, edit, wanted};
use crate::config::{Config, Policy};
use crate::deployment::{LoadedPolicies, changed_policies, load_policies, refuse_what_the_network_refuses, told_policies};
use crate::embedded;
use crate::proto::admin as wire;
use sha2::{Digest, Sha256};
use sigwarden_core::Ledger;
use sigwarden_core::state::{Effect, State};
use sigwarden_ledger::AdminKind;
use sigwarden_policy::{Engine, EngineSettings, Loaded};
use std::sync::{Arc, PoisonError};

impl Administrator {
    /// Pins a policy's module in sigwarden.toml. In a daemon it runs from then on: whatever would stop a start stops this first, and the
    /// daemon goes on with what it has.
    ///
    /// # Errors
    /// There is no such policy, or a start with it would fail.
    pub fn pin_policy(&self, request: wire::PinPolicyRequest) -> Result<wire::PinPolicyResponse, NotDone> {
        let _loading = self.loading();
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
        edit::pinned(&file, &request.name, &inspection.digest)?;
        let mut policy = policy.clone();
        policy.sha256 = Some(Sha256::digest(&wasm).into());
        let next = match self.daemon() {
            Some(daemon) => Some((daemon, self.next_set(daemon, &policy, &wasm, request.allow_downgrade)?)),
            None => None,
        };
        // Loaded: from here on it is a matter of milliseconds.
        let _turn = self.turn();
        let text = edit::pinned(&file, &request.name, &inspection.digest)?;
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
            // Recorded first: no decision names a policy that the log does not know.
            self.record(
                kind(&next.changed),
                &format!("policy pin {}", response.policy),
                next.changed.clone(),
            )?;
            self.bring_policies_into_force(daemon, next);
            tracing::info!(policy = response.policy, sha256 = response.sha256, changed = ?response.changed, "replaced the policies");
            response.in_force = true;
        }
        Ok(response)
    }

    /// The policies in force with another module for one of them, loaded as a start would. What else the file says of it waits for a reload,
    /// which judges it as a whole.
    fn next_set(&self, daemon: &Daemon, policy: &Policy, wasm: &[u8], allow_downgrade: bool) -> Result<Next, NotDone> {
        let mut config = Config::clone(&self.config());
        let state = daemon.ledger.snapshot();
        let place = config.policies.iter_mut().find(|other| other.name == policy.name);
        let place = place.ok_or_else(|| {
            NotDone::no(format!(
                "the daemon was started without a `[[policy]]` `{}`; `sigwarden policy reload --reason TEXT` takes it, or the next start",
                policy.name
            ))
        })?;
        place.sha256 = policy.sha256;
        place.module.clone_from(&policy.module);
        let given = Some((policy.module.as_path(), wasm));
        let policies = load_policies(&config, &daemon.engine, daemon.backends.vault(), given)?;
        if !allow_downgrade && let Some(lower) = policies.loaded.iter().find_map(|loaded| downgrade(loaded, &state)) {
            return Err(NotDone::no(format!(
                "nothing was pinned: {lower}; `--allow-downgrade` if that is meant"
            )));
        }
        let changed = changed_policies(&policies.loaded, &state);
        Ok(Next { config, policies, changed })
    }

    /// The policies of sigwarden.toml as it is now take over in a daemon, all of them or none. Whatever would stop a start leaves those in
    /// force as they are. Requests in flight finish under the set that they started with.
    ///
    /// # Errors
    /// No daemon runs; a policy does not load; one has a lower version than before, and that was not asked for.
    pub fn reload_policies(&self, request: wire::ReloadPoliciesRequest) -> Result<wire::ReloadPoliciesResponse, NotDone> {
        let _loading = self.loading();
        wanted(&request.reason)?;
        let Some(daemon) = self.daemon() else {
            return Err(NotDone::no("no daemon runs; its next start takes the policies of sigwarden.toml"));
        };
        let stays = |what: String| NotDone::no(format!("the policies in force stay: {what}"));
        let before = self.config();
        let file = Config::load(&before.dir).map_err(|error| stays(error.to_string()))?;
        let mut config = Config::clone(&before);
        config.policies = file.policies;
        refuse_what_the_network_refuses(&config).map_err(|error| stays(error.to_string()))?;
        let policies = load_policies(&config, &daemon.engine, daemon.backends.vault(), None).map_err(|error| stays(error.to_string()))?;
        // Loaded: from here on it is a matter of milliseconds. What takes longer must not hold up `keys suspend`.
        let _turn = self.turn();
        let state = daemon.ledger.snapshot();
        if !request.allow_downgrade
            && let Some(lower) = policies.loaded.iter().find_map(|loaded| downgrade(loaded, &state))
        {
            return Err(stays(format!("{lower}; `--allow-downgrade` if that is meant")));
        }
        let changed = changed_policies(&policies.loaded, &state);
        let names = |config: &Config| config.policies.iter().map(|policy| policy.name.clone()).collect::<Vec<_>>();
        let now = names(&config);
        let removed: Vec<String> = names(&before).into_iter().filter(|name| !now.contains(name)).collect();
        let mut reason = format!("policy reload: {}", request.reason);
        let rebound: Vec<String> = config
            .policies
            .iter()
            .filter(|policy| rebound(policy, &before))
            .map(|policy| policy.name.clone())
            .collect();
        if !rebound.is_empty() {
            reason.push_str(&format!(" (bound or limited otherwise: {})", rebound.join(", ")));
        }
        if !removed.is_empty() {
            reason.push_str(&format!(" (no more: {})", removed.join(", ")));
        }
        let response = wire::ReloadPoliciesResponse {
            policies: policies.loaded.iter().map(|loaded| told(loaded, &config)).collect(),
            changed: changed.iter().filter_map(instance).collect(),
            removed,
            rebound,
            sequence: self.record(kind(&changed), &reason, changed.clone())?,
        };
        self.bring_policies_into_force(daemon, Next { config, policies, changed });
        tracing::warn!(
            reason = request.reason,
            changed = ?response.changed,
            rebound = ?response.rebound,
            removed = ?response.removed,
            "reloaded the policies"
        );
        Ok(response)
    }

    fn bring_policies_into_force(&self, daemon: &Daemon, next: Next) {
        daemon.pipeline.replace_policies(Arc::new(next.policies.set));
        daemon.pipeline.replace_shadows(next.policies.shadows);
        let told = told_policies(&next.policies.loaded, &next.config);
        *daemon.told_policies.write().unwrap_or_else(PoisonError::into_inner) = told;
        // The rest may have changed while they were loaded.
        self.replace_config(|config| config.policies = next.config.policies);
    }
}

/// Whether a policy that was there before now binds other requests, or within other limits, or no longer decides.
fn rebound(policy: &Policy, before: &Config) -> bool {
    let what = |policy: &Policy| {
        let Policy {
            keys,
            roles,
            formats,
            fuel,
            deadline,
            memory_bytes,
            shadow,
            shadow_of,
            ..
        } = policy.clone();
        (keys, roles, formats, fuel, deadline, memory_bytes, shadow, shadow_of)
    };
    let old = before.policies.iter().find(|old| old.name == policy.name);
    old.is_none_or(|old| what(old) != what(policy))
}

/// What has no effect on the state is no record of one: a binding that changed, a policy that is gone.
fn kind(changed: &[Effect]) -> AdminKind {
    match changed.is_empty() {
        true => AdminKind::Maintenance,
        false => AdminKind::PolicySet,
    }
}

fn told(loaded: &Loaded, config: &Config) -> wire::PolicyInForce {
    wire::PolicyInForce {
        policy: loaded.instance.clone(),
        version: loaded.manifest.version.clone(),
        sha256: loaded.module_digest.clone(),
        shadow: config.policies.iter().any(|policy| policy.name == loaded.instance && policy.shadow),
    }
}

/// Says so if a policy has a lower version than the ledger knows. Versions that are none cannot be compared, and differ from no order.
fn downgrade(loaded: &Loaded, state: &State) -> Option<String> {
    let known = state.policies.get(loaded.instance.as_str())?;
    let (before, now) = (version(&known.version)?, version(&loaded.manifest.version)?);
    (now < before).then(|| {
        format!(
            "policy `{}` was at version {}, and this module is {}",
            loaded.instance, known.version, loaded.manifest.version
        )
    })
}

/// A semantic version, its pre-release and build left out.
fn version(text: &str) -> Option<[u64; 3]> {
    let core = text.split(['-', '+']).next()?;
    let mut parts = core.split('.').map(|part| part.parse().ok());
    let version = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(version)
}

struct Next {
    config: Config,
    policies: LoadedPolicies,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use sigwarden_core::policy::Understands;
    use sigwarden_policy::Manifest;

    fn loaded(version: &str) -> Loaded {
        Loaded {
            instance: "limits".to_owned(),
            module_digest: "11".repeat(32),
            config_digest: "22".repeat(32),
            manifest: Manifest {
                name: "rate-limit".to_owned(),
                version: version.to_owned(),
                purpose: "a test".to_owned(),
                config_schema: "{}".to_owned(),
                formats: Understands::Any,
                facts: Vec::new(),
                denial_codes: Vec::new(),
            },
            from_cache: false,
        }
    }

    #[test]
    fn a_lower_version_is_told_and_others_are_not() {
        let mut state = State::default();
        for effect in changed_policies(&[loaded("0.10.2")], &state) {
            state.apply(&effect);
        }
        let told = downgrade(&loaded("0.9.9"), &state).unwrap();
        assert_eq!(told, "policy `limits` was at version 0.10.2, and this module is 0.9.9");
        for version in ["0.10.2", "0.10.3", "1.0.0", "0.10.2-rc.1", "seven", "1.2", "1.2.3.4"] {
            assert_eq!(downgrade(&loaded(version), &state), None, "{version}");
        }
        assert_eq!(downgrade(&loaded("0.0.1"), &State::default()), None);
    }
}
