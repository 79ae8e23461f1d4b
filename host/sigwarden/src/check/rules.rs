//! Each rule: what it found, and if that is not right, what is wanted and what mends it.

use super::{FileMode, Rule, Surroundings, identifiers};
use crate::config::{Access, BackendKind, Key};
use sigwarden_core::{Network, Role};
use sigwarden_pkcs11::{Provider, TokenState, TokenStatus};
use sigwarden_remote::RemoteStatus;
use std::path::Path;

/// What is wanted, and what mends it.
type Wrong = (String, String);

/// Whether what a rule speaks of could be seen: tokens and remotes are a daemon's alone while it runs.
pub(super) fn was_looked_at(rule: Rule, around: &Surroundings<'_>) -> bool {
    let has = |is: fn(&BackendKind) -> bool| around.config.backends.iter().any(|backend| is(&backend.kind));
    let tokens = around.tokens.is_some() || !has(|kind| matches!(kind, BackendKind::Pkcs11(_)));
    let remotes = around.remotes.is_some() || !has(|kind| matches!(kind, BackendKind::Remote(_)));
    let of_tokens = matches!(rule, Rule::MockHsmLibrary | Rule::HsmAnswers | Rule::Redundancy);
    let of_remotes = matches!(rule, Rule::RemoteAnswers | Rule::Redundancy);
    (tokens || !of_tokens) && (remotes || !of_remotes)
}

pub(super) fn look(rule: Rule, around: &Surroundings<'_>, network: Network) -> (String, Option<Wrong>) {
    let config = around.config;
    match rule {
        Rule::EnvBackend => backends(around, |kind| matches!(kind, BackendKind::Env { .. }), "env"),
        Rule::MockHsmBackend => backends(around, |kind| matches!(kind, BackendKind::MockHsm { .. }), "mock-hsm"),
        Rule::MockHsmLibrary => tokens(
            around,
            |token| token.seen.as_ref().is_some_and(|seen| seen.provider == Provider::Mock),
            |token| format!("{} ({})", token.label, token.library.display()),
            "no library is the mock",
            "tokens of Sigwarden's mock",
            "a vendor's library",
            "name the vendor's `library`; the mock's keys protect nothing",
        ),
        Rule::HsmAnswers => match &around.tokens {
            None => ("no token was looked at".to_owned(), None),
            Some(backends) if backends.is_empty() => ("no `pkcs11` backend".to_owned(), None),
            Some(backends) => {
                let seen = |library: &Path| {
                    backends
                        .iter()
                        .flatten()
                        .any(|token| token.library == library && token.seen.is_some())
                };
                // Of a library that nobody has seen nothing is known, not even that it is not the mock.
                let wrong = |token: &TokenStatus, all_away: bool| token.state != TokenState::Ready && (all_away || !seen(&token.library));
                let wrong_of = |backend: &Vec<TokenStatus>| {
                    let all_away = !backend.iter().any(|token| token.state == TokenState::Ready);
                    backend.iter().filter(|token| wrong(token, all_away)).map(away).collect::<Vec<_>>()
                };
                let found: Vec<String> = backends.iter().flat_map(wrong_of).collect();
                list(
                    &found,
                    "a token of every backend answers",
                    "tokens that do not answer",
                    "a token of every backend ready, and no library that was never seen",
                    "mend what the reason says; `sigwarden keys status` shows it; after a refused PIN, `sigwarden keys retry-login`",
                )
            }
        },
        Rule::RemoteAnswers => match &around.remotes {
            None => ("no remote was looked at".to_owned(), None),
            Some(backends) if backends.is_empty() => ("no `remote` backend".to_owned(), None),
            Some(backends) => {
                let silent = backends.iter().filter(|remotes| !remotes.iter().any(|remote| remote.up));
                let found: Vec<String> = silent.flatten().map(down).collect();
                list(
                    &found,
                    "a remote of every backend answers",
                    "remotes that do not sign",
                    "a remote of every backend up",
                    "mend what the reason says (docs/remote-signer.md)",
                )
            }
        },
        Rule::Redundancy => {
            let tokens = around.tokens.iter().flatten();
            let tokens = tokens.flat_map(|backend| some_of(backend, |token| token.state != TokenState::Ready, away));
            let remotes = around.remotes.iter().flatten();
            let remotes = remotes.flat_map(|backend| some_of(backend, |remote| !remote.up, down));
            let found: Vec<String> = tokens.chain(remotes).collect();
            list(
                &found,
                "nothing that has others beside it is away",
                "away, while others sign in their place",
                "every token and remote up",
                "mend what the reason says, before the last one goes too",
            )
        }
        Rule::PlainListener => {
            let plain = config
                .listeners
                .iter()
                .filter(|listener| matches!(listener.access, Access::Anybody(_)));
            let found: Vec<String> = plain.map(|listener| format!("{} ({})", listener.name, listener.listen)).collect();
            list(
                &found,
                "no TCP listener without client certificates",
                "TCP listeners without client certificates",
                "callers known by their certificates",
                "`sigwarden certs` makes them; give the listener `certificate`, `key` and `client_ca`, and the client `san` (docs/tls.md)",
            )
        }
        Rule::RawPrefixes => flagged(
            around,
            |key| !key.dangerous_allow_prefixed_raw.is_empty(),
            "raw bytes with a prefix",
            "dangerous_allow_prefixed_raw",
        ),
        Rule::ConsensusInHsm => {
            let in_files = |key: &&Key| {
                let backend = config.backends.iter().find(|backend| backend.name == key.backend);
                key.roles.contains(&Role::Consensus) && !matches!(backend.map(|backend| &backend.kind), Some(BackendKind::Pkcs11(_)))
            };
            let found: Vec<String> = config.keys.iter().filter(in_files).map(|key| key.id.to_string()).collect();
            list(
                &found,
                "no consensus key outside of an HSM",
                "consensus keys outside of an HSM",
                "consensus keys in a `pkcs11` backend",
                "generate a new one in the HSM and rotate to it (docs/hsm.md)",
            )
        }
        Rule::Passphrase => {
            let wanted = match network {
                Network::Devnet => "any passphrase will do",
                Network::TestnetAlpha | Network::TestnetBeta => "12 characters at least; below score 3 of zxcvbn it is told",
                Network::Mainnet => "16 characters at least and score 4 of zxcvbn",
            };
            (format!("judged when it is given: {wanted}"), None)
        }
        Rule::RotationRule => {
            let without: Vec<String> = config
                .keys
                .iter()
                .filter(|key| config.rotation(key).is_none())
                .map(|key| key.id.to_string())
                .collect();
            list(
                &without,
                "every key has a rotation rule",
                "keys without a rotation rule",
                "a `[[rotation]]` that speaks of every key",
                "add `[[rotation]]` with `max_age_days = 365`; `sigwarden keys due` tells what is due",
            )
        }
        Rule::Identifiers => list(
            &identifiers::foreign(config, network),
            "no chain id or address of another network",
            "identifiers of another network",
            "identifiers of this network only",
            "take them out, or set `network` to the one that they belong to",
        ),
        Rule::PinMode => {
            let open = around.pin_modes.iter().find(|file| file.mode & 0o077 != 0);
            match open.or(around.pin_modes.first()) {
                Some(_) => mode(open.or(around.pin_modes.first()), 0o077, "readable by its owner only", "go="),
                None => ("no PIN in a file".to_owned(), None),
            }
        }
        Rule::LibraryMode => {
            let open = around.library_modes.iter().find(|file| file.mode & 0o022 != 0);
            match open.or(around.library_modes.first()) {
                None => ("no PKCS#11 library".to_owned(), None),
                file => mode(file, 0o022, "writable by its owner only", "go-w"),
            }
        }
        Rule::SecretVariables => list(
            &around.secret_variables,
            "no variable carries a secret",
            "variables with secrets",
            "no secret in the environment",
            "hand them to `sigwarden keys import`, then unset them",
        ),
        Rule::PolicySet => match config.policies.iter().filter(|policy| !policy.shadow).count() {
            0 => (
                "no policy".to_owned(),
                Some((
                    "at least one `[[policy]]`".to_owned(),
                    "add one; `sigwarden init` in an empty directory shows four".to_owned(),
                )),
            ),
            count => (format!("{count} policies"), None),
        },
        Rule::PolicyPins => {
            let unpinned: Vec<String> = config
                .policies
                .iter()
                .filter(|policy| policy.sha256.is_none())
                .map(|policy| policy.name.clone())
                .collect();
            let mend = format!("`sigwarden policy pin {}`", unpinned.first().map_or("NAME", String::as_str));
            list(
                &unpinned,
                "every module is pinned",
                "modules without a pin",
                "`sha256` on every `[[policy]]`",
                &mend,
            )
        }
        Rule::RawMessages => flagged(
            around,
            |key| key.dangerous_allow_raw_messages,
            "raw messages",
            "dangerous_allow_raw_messages",
        ),
        Rule::RawDigests => flagged(
            around,
            |key| key.dangerous_allow_raw_digests,
            "raw digests",
            "dangerous_allow_raw_digests",
        ),
        Rule::ConfigMode => mode(around.config_mode.as_ref(), 0o022, "writable by its owner only", "go-w"),
        Rule::PassphraseMode => match &around.passphrase_mode {
            Some(_) => mode(around.passphrase_mode.as_ref(), 0o077, "readable by its owner only", "go="),
            None => ("no passphrase file".to_owned(), None),
        },
        Rule::PassphrasePlace => {
            let inside: Vec<String> = around.inside.iter().map(|file| file.display().to_string()).collect();
            list(
                &inside,
                "no passphrase and no PIN lies in the deployment",
                "files with a passphrase or a PIN that lie in the deployment",
                "none that lies beside what it opens",
                "move them elsewhere, and name the new places; a passphrase may come from `passphrase_env`, too",
            )
        }
        Rule::VaultMode => mode(around.vault_mode.as_ref(), 0o077, "open to its owner only", "go="),
        Rule::StateMode => mode(around.state_mode.as_ref(), 0o077, "open to its owner only", "go="),
        Rule::CoreDumps => match &around.core_dumps {
            None => ("the process leaves no core dump".to_owned(), None),
            Some(found) => (
                found.clone(),
                Some((
                    "no core dumps".to_owned(),
                    "`ulimit -c 0`, or `LimitCORE=0` in the unit; and let the process set itself non-dumpable".to_owned(),
                )),
            ),
        },
    }
}

fn away(token: &TokenStatus) -> String {
    format!("{}: {}", token.label, token.state)
}

fn down(remote: &RemoteStatus) -> String {
    format!("{}: {}", remote.address, remote.reason.as_deref().unwrap_or("not asked yet"))
}

/// Those that are away, if it is not all of them.
fn some_of<T>(all: &[T], is_away: impl Fn(&T) -> bool, show: fn(&T) -> String) -> Vec<String> {
    let found: Vec<String> = all.iter().filter(|one| is_away(one)).map(show).collect();
    if found.len() < all.len() { found } else { Vec::new() }
}

fn backends(around: &Surroundings<'_>, is: impl Fn(&BackendKind) -> bool, kind: &str) -> (String, Option<Wrong>) {
    let found: Vec<String> = around
        .config
        .backends
        .iter()
        .filter(|backend| is(&backend.kind))
        .map(|backend| backend.name.clone())
        .collect();
    list(
        &found,
        &format!("no `{kind}` backend"),
        &format!("`{kind}` backends"),
        "keys in a backend that keeps them",
        "`sigwarden keys import` moves a key into the `sealed-file` backend; then change its `backend`",
    )
}

/// Tokens, if they were looked at.
fn tokens(
    around: &Surroundings<'_>,
    is_wrong: impl Fn(&TokenStatus) -> bool,
    show: impl Fn(&TokenStatus) -> String,
    holds: &str,
    what: &str,
    wanted: &str,
    mend: &str,
) -> (String, Option<Wrong>) {
    match &around.tokens {
        None => ("no token was looked at".to_owned(), None),
        Some(tokens) if tokens.is_empty() => ("no `pkcs11` backend".to_owned(), None),
        Some(tokens) => {
            let found: Vec<String> = tokens.iter().flatten().filter(|token| is_wrong(token)).map(show).collect();
            list(&found, holds, what, wanted, mend)
        }
    }
}

fn flagged(around: &Surroundings<'_>, is: impl Fn(&Key) -> bool, what: &str, flag: &str) -> (String, Option<Wrong>) {
    let found: Vec<String> = around
        .config
        .keys
        .iter()
        .filter(|key| is(key))
        .map(|key| key.id.to_string())
        .collect();
    list(
        &found,
        &format!("no key signs {what}"),
        &format!("keys that sign {what}"),
        "structured formats, which policies can read",
        &format!("take `{flag}` out of the key"),
    )
}

fn list(found: &[String], holds: &str, what: &str, wanted: &str, mend: &str) -> (String, Option<Wrong>) {
    if found.is_empty() {
        return (holds.to_owned(), None);
    }
    // A report names a few; ten thousand keys would drown the rest.
    const SHOWN: usize = 5;
    let shown: Vec<&str> = found.iter().take(SHOWN).map(String::as_str).collect();
    let more = match found.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (
        format!("{what}: {}{more}", shown.join(", ")),
        Some((wanted.to_owned(), mend.to_owned())),
    )
}

fn mode(file: Option<&FileMode>, forbidden: u32, wanted: &str, chmod: &str) -> (String, Option<Wrong>) {
    let Some(FileMode { path, mode }) = file else {
        return ("not there".to_owned(), None);
    };
    let found = format!("{} has mode {mode:04o}", path.display());
    if mode & forbidden == 0 {
        return (found, None);
    }
    (found, Some((wanted.to_owned(), format!("`chmod {chmod} {}`", path.display()))))
}
