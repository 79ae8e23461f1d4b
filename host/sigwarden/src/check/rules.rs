//! Each rule: what it found, and if that is not right, what is wanted and what mends it.

use super::{FileMode, Rule, Surroundings};
use crate::config::{BackendKind, Key, PassphraseSource};

/// What is wanted, and what mends it.
type Wrong = (String, String);

pub(super) fn look(rule: Rule, around: &Surroundings<'_>) -> (String, Option<Wrong>) {
    let config = around.config;
    match rule {
        Rule::EnvBackend => backends(around, |kind| matches!(kind, BackendKind::Env), "env"),
        Rule::MockHsmBackend => backends(around, |kind| matches!(kind, BackendKind::MockHsm { .. }), "mock-hsm"),
        Rule::SecretVariables => list(
            &around.secret_variables,
            "no variable carries a secret",
            "variables with secrets",
            "no secret in the environment",
            "hand them to `sigwarden keys import`, then unset them",
        ),
        Rule::PolicySet => match config.policies.len() {
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
