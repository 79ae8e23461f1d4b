//! Each rule: what it found, and if that is not right, what is wanted and what mends it.

use super::{FileMode, Rule, Surroundings, identifiers, pin_files};
use crate::config::{Access, BackendKind, Key, PassphraseSource};
use sigwarden_core::{Network, Role};
use sigwarden_pkcs11::{Provider, TokenState, TokenStatus};

/// What is wanted, and what mends it.
type Wrong = (String, String);

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
        Rule::HsmAnswers => tokens(
            around,
            |token| token.state != TokenState::Ready,
            |token| format!("{}: {}", token.label, token.state),
            "every token answers",
            "tokens that do not answer",
            "every token ready",
            "mend what the reason says; `sigwarden keys status` shows it; after a refused PIN, `sigwarden keys retry-login`",
        ),
        Rule::RemoteAnswers => match &around.remotes {
            None => ("no remote was looked at".to_owned(), None),
            Some(remotes) if remotes.is_empty() => ("no `remote` backend".to_owned(), None),
            Some(remotes) => {
                let away = remotes.iter().filter(|remote| !remote.up);
                let found: Vec<String> = away
                    .map(|remote| format!("{}: {}", remote.address, remote.reason.as_deref().unwrap_or("not asked yet")))
                    .collect();
                list(
                    &found,
                    "every remote answers",
                    "remotes that do not sign",
                    "every remote up",
                    "mend what the reason says (docs/remote-signer.md)",
                )
            }
        },
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
        Rule::PassphrasePlace if pin_files(config).any(|file| file.starts_with(&config.dir)) => {
            let inside: Vec<String> = pin_files(config)
                .filter(|file| file.starts_with(&config.dir))
                .map(|file| file.display().to_string())
                .collect();
            list(
                &inside,
                "",
                "files with a PIN or a keystore's passphrase that lie in the deployment",
                "none that lies beside what it opens",
                "move them elsewhere, and name the new places",
            )
        }
        Rule::PassphrasePlace => match &config.passphrase {
            PassphraseSource::File(file) if file.starts_with(&config.dir) => (
                format!("the passphrase file {} lies in the deployment", file.display()),
                Some((
                    "a passphrase that does not lie beside what it opens".to_owned(),
                    "move it elsewhere, and name the new place in `passphrase_file`; or use `passphrase_env`".to_owned(),
                )),
            ),
            PassphraseSource::File(file) => (format!("{} lies outside the deployment", file.display()), None),
            PassphraseSource::Prompt | PassphraseSource::Variable(_) => ("no passphrase file".to_owned(), None),
        },
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
            let found: Vec<String> = tokens.iter().filter(|token| is_wrong(token)).map(show).collect();
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
